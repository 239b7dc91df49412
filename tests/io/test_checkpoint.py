"""Checkpoints come back as they were, and say in a sentence what is wrong with them."""

import json

import pytest
import torch
import yaml
from torch import nn

from rtma_diffda import __version__
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.io import atomic
from rtma_diffda.io.checkpoint import Checkpoint, read_checkpoint, read_manifest, write_checkpoint
from rtma_diffda.io.tensor_file import read_tensors, write_tensors

CREATED = "2026-11-21T09:00:00Z"


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def a_checkpoint(seed=0):
    return Checkpoint(
        dict(network(seed).state_dict()),
        {"architecture": "unet", "widths": [32, 64], "region": "Föhn"},
        {"increment_std": torch.tensor([1.5, 2.5], dtype=torch.float64)},
        "# A network\nFor tests. ü\n",
        {"data_set": "osse_small", "seed": 7, "scores": {"t2m": 0.85}},
    )


@pytest.fixture
def directory(tmp_path):
    return write_checkpoint(tmp_path / "deep" / "net", a_checkpoint(), created=CREATED)


def require_same(found, expected):
    assert found.config == expected.config and found.card == expected.card
    assert found.provenance == expected.provenance
    for a, b in ((found.weights, expected.weights), (found.statistics, expected.statistics)):
        assert a.keys() == b.keys() and all(torch.equal(a[n], b[n]) and a[n].dtype == b[n].dtype for n in a)


def test_a_checkpoint_comes_back_as_it_was(directory):
    require_same(read_checkpoint(directory), a_checkpoint())
    other = network(seed=1)
    filled = read_checkpoint(directory).fill(other)
    assert filled is other and torch.equal(other[0].weight, network()[0].weight)


def test_the_directory_says_what_it_is(directory):
    names = {"model.safetensors", "statistics.safetensors", "config.yaml", "MODEL_CARD.md", "manifest.json"}
    assert {path.name for path in directory.iterdir()} == names
    assert [path.name for path in directory.parent.iterdir()] == ["net"]
    manifest = read_manifest(directory)
    assert manifest["package"] == {"name": "rtma_diffda", "version": __version__} and manifest["created"] == CREATED
    assert manifest["files"]["config.yaml"]["bytes"] == (directory / "config.yaml").stat().st_size
    assert manifest["parameters"] == 12 + 4 + 4 * 4 + 1
    assert yaml.safe_load((directory / "config.yaml").read_text())["architecture"] == "unet"


def test_half_precision_halves_the_file_and_is_read_as_float32(tmp_path):
    weights = {"a": torch.linspace(-3, 3, 5000), "count": torch.tensor(70000)}
    sizes = []
    for half in (False, True):
        path = write_checkpoint(tmp_path / str(half), Checkpoint(weights, {}), created=CREATED, half_precision=half)
        found = read_checkpoint(path)
        assert found.weights["a"].dtype == torch.float32 and found.weights["count"] == 70000
        torch.testing.assert_close(found.weights["a"], weights["a"], rtol=0 if not half else 2**-11, atol=1e-7)
        sizes.append((path / "model.safetensors").stat().st_size)
    assert sizes[1] < 0.52 * sizes[0]
    with pytest.raises(UsageError, match="weight 'a' reaches 1e"):
        write_checkpoint(
            tmp_path / "x", Checkpoint({"a": torch.tensor([1e5])}, {}), created=CREATED, half_precision=True
        )


def test_an_older_checkpoint_is_replaced(directory):
    write_checkpoint(directory, a_checkpoint(seed=5), created=CREATED)
    require_same(read_checkpoint(directory), a_checkpoint(seed=5))
    assert [path.name for path in directory.parent.iterdir()] == ["net"]


def test_a_write_that_fails_leaves_the_older_one(directory, monkeypatch):
    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "sync_tree", refuse)
    with pytest.raises(InputError, match="the disk is full"):
        write_checkpoint(directory, a_checkpoint(seed=5), created=CREATED)
    require_same(read_checkpoint(directory), a_checkpoint())
    assert [path.name for path in directory.parent.iterdir()] == ["net"]


def test_one_whose_replacement_was_killed_is_found_and_replaced(directory):
    retired = directory.with_name(".net.retired")  # a writer killed between its two renames leaves this
    directory.rename(retired)
    require_same(read_checkpoint(directory), a_checkpoint())
    write_checkpoint(directory, a_checkpoint(seed=5), created=CREATED)
    require_same(read_checkpoint(directory), a_checkpoint(seed=5))
    assert not retired.exists()


def test_weights_that_share_memory_are_stored(tmp_path):
    shared = torch.arange(6.0)
    weights = {"a": shared, "b": shared, "turned": shared.view(2, 3).T}
    found = read_checkpoint(write_checkpoint(tmp_path / "net", Checkpoint(weights, {}), created=CREATED))
    assert all(torch.equal(found.weights[name], values) for name, values in weights.items())


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def edit_manifest(path, **changes):
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda d: (d / "manifest.json").unlink(), "is no checkpoint: it has no manifest.json"),
        (lambda d: (d / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda d: (d / "manifest.json").write_text("[]"), "has format None, expected 1"),
        (lambda d: edit_manifest(d / "manifest.json", format=2), "has format 2, expected 1: it was written by another"),
        (lambda d: edit_manifest(d / "manifest.json", files=3), "lacks its list of files"),
        (lambda d: edit_manifest(d / "manifest.json", files={}), "does not list model.safetensors"),
        (lambda d: (d / "config.yaml").unlink(), "is incomplete: config.yaml is missing"),
        (lambda d: flip_last_byte(d / "model.safetensors"), "model.safetensors is damaged or was changed: its SHA-256"),
        (lambda d: (d / "model.safetensors").write_bytes(b"x"), "has 1 bytes, its manifest says"),
        (lambda d: flip_last_byte(d / "MODEL_CARD.md"), "MODEL_CARD.md is damaged or was changed"),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_a_sentence(directory, damage, sentence):
    damage(directory)
    with pytest.raises(InputError, match=sentence):
        read_checkpoint(directory)


def test_weights_of_another_network_are_refused(directory):
    found = read_checkpoint(directory)
    with pytest.raises(InputError, match=r"'0\.weight' has shape \(4, 3\) in the checkpoint and \(4, 5\)"):
        found.fill(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)))
    with pytest.raises(InputError, match=r"in the checkpoint and none in the network \(5 weights"):
        found.fill(nn.Sequential(nn.Linear(3, 4)))


def test_what_is_not_plain_is_refused_and_nothing_written(tmp_path):
    for odd in ({"config": {"a": object()}}, {"config": {}, "provenance": {"a": object()}}):
        with pytest.raises(UsageError, match="plain"):
            write_checkpoint(tmp_path / "net", Checkpoint({}, **odd), created=CREATED)
    with pytest.raises(UsageError, match="finite"):
        write_checkpoint(tmp_path / "net", Checkpoint({}, {}, provenance={"a": float("nan")}), created=CREATED)
    assert list(tmp_path.iterdir()) == []


def test_tensor_files_come_back_with_their_facts(tmp_path):
    tensors = {"a": torch.randn(2, 3), "n": torch.tensor(5), "none": torch.zeros(0)}
    path = write_tensors(tmp_path / "x.safetensors", tensors, {"update": 3, "names": ["a"]})
    found, facts = read_tensors(path)
    assert facts == {"update": 3, "names": ["a"]}
    assert found.keys() == tensors.keys() and all(torch.equal(found[n], v) for n, v in tensors.items())
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"x\.safetensors is damaged"):
        read_tensors(path)
    with pytest.raises(InputError, match="does not exist"):
        read_tensors(tmp_path / "y")
