"""Reading files of ``torch.save`` without running anything in them."""

import argparse
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.io.inert_file import Inert, read_inert


class Touch:
    """On unpickling, makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_tensors_come_back_as_they_were(tmp_path):
    base = torch.arange(12.0)
    content = {
        "whole": base.view(3, 4),
        "transposed": base.view(3, 4).T,
        "part": base[5:9],
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5),
        "kinds": [torch.tensor([1, -2], dtype=d) for d in (torch.int64, torch.float16, torch.bfloat16, torch.float64)],
        "flags": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    found = read_inert(saved(tmp_path / "f.pt", content))
    for name in ("whole", "transposed", "part", "empty", "scalar", "flags", "parameter"):
        assert torch.equal(found[name], content[name].detach()), name
        assert found[name].dtype == content[name].dtype
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(found["kinds"], content["kinds"], strict=True))


def test_state_of_a_module(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    found = read_inert(saved(tmp_path / "f.pt", {"state_dict": module.state_dict(), "epoch": 3}))
    assert found["epoch"] == 3
    assert list(found["state_dict"]) == list(module.state_dict())
    assert all(torch.equal(found["state_dict"][name], values) for name, values in module.state_dict().items())


def test_other_objects_are_remembered_and_not_made(tmp_path):
    options = argparse.Namespace(hidden_dim=8, model="hi_lam", nested=argparse.Namespace(lower={"q": 0.0}))
    found = read_inert(saved(tmp_path / "f.pt", {"args": options, "path": Path("/a/b")}))
    assert isinstance(found["args"], Inert)
    assert found["args"].attributes["hidden_dim"] == 8
    assert found["args"].attributes["nested"].attributes == {"lower": {"q": 0.0}}
    assert not isinstance(found["path"], Path)


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"state_dict": OrderedDict(a=evil)}, lambda e: [[e]]])
def test_nothing_is_executed(tmp_path, wrap):
    trace = tmp_path / "trace"
    path = saved(tmp_path / "f.pt", wrap(Touch(trace)))
    read_inert(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # the file would have done it


def test_names_reached_through_other_names_are_not_executed(tmp_path):
    trace = tmp_path / "trace"
    program = (
        b"\x80\x02cbuiltins\ngetattr\n(cos\nsystem\nX\x08\x00\x00\x00__call__tR"
        + f"(X{chr(len(str(trace)) + 6)}\0\0\0mkdir {trace}".encode("latin1")
        + b"tR."
    )
    path = tmp_path / "f.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
    with pytest.raises(InputError, match="damaged"):
        read_inert(path)
    assert not trace.exists()
    pickle.loads(program)
    assert trace.exists()


def test_a_file_cannot_change_the_reader(tmp_path):
    class Changed:
        def __reduce__(self):
            return _set_state, (), {"attributes": {"x": 1}}

    read_inert(saved(tmp_path / "f.pt", Changed()))
    assert not hasattr(Inert, "attributes")


def _set_state() -> None: ...


def test_damage_is_told(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_inert(tmp_path / "absent.pt")
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="no zip archive"):
        read_inert(plain)
    whole = saved(tmp_path / "f.pt", {"a": torch.ones(100)})
    with zipfile.ZipFile(whole) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    for suffix, content in {"data.pkl": entries["f/data.pkl"][:20], "data/0": b"\0" * 100, "byteorder": b"big"}.items():
        broken = tmp_path / "broken.pt"
        with zipfile.ZipFile(broken, "w") as archive:
            for name, original in entries.items():
                archive.writestr(name, content if name == f"f/{suffix}" else original)
        with pytest.raises(InputError, match="damaged"):
            read_inert(broken)
