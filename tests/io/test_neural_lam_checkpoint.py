"""Neural-LAM's Lightning checkpoints: names of weights through its history, options, sizes, statistics."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.io.neural_lam_checkpoint import (
    NeuralLamSizes,
    read_neural_lam_checkpoint,
    read_neural_lam_statistics,
    sizes_of,
)

DATA = Path(__file__).parents[1] / "backbones" / "limited_area" / "data"
ARGUMENTS = Namespace(model="hi_lam", mesh_aggr="mean", g2m_gnn_type="PropagationNet", epochs=200, data=Path("x"))


def weights_of(name: str) -> dict[str, torch.Tensor]:
    with np.load(DATA / f"{name}.npz") as stored:
        return {n.removeprefix("param/"): torch.tensor(stored[n]) for n in stored.files if n.startswith("param/")}


def lightning(path: Path, state: dict, **more: object) -> Path:
    content = {"epoch": 3, "state_dict": state, "optimizer_states": [{"state": {0: torch.ones(3)}}], **more}
    torch.save(content, path)
    return path


@pytest.mark.parametrize("prefix", ["forecaster.predictor.", ""])
def test_weights_of_new_and_older_checkpoints(tmp_path, prefix):
    weights = weights_of("graph_lam_clamped")
    state = {f"{prefix}{name}": values for name, values in weights.items()} | {"per_var_std": torch.ones(4)}
    found = read_neural_lam_checkpoint(lightning(tmp_path / "m.ckpt", state)).weights
    assert set(found) == set(weights)
    assert all(torch.equal(found[name], values) for name, values in weights.items())


@pytest.mark.parametrize("prefix", ["forecaster.predictor.", ""])
def test_the_old_name_of_the_grid_mlp(tmp_path, prefix):
    weights = weights_of("hi_lam_parallel")
    old = {n.replace("encoding_grid_mlp.", "g2m_gnn.grid_mlp."): v for n, v in weights.items()}
    assert any(name.startswith("g2m_gnn.grid_mlp") for name in old)
    found = read_neural_lam_checkpoint(lightning(tmp_path / "m.ckpt", {prefix + n: v for n, v in old.items()})).weights
    assert set(found) == set(weights)


def test_plain_options_are_kept(tmp_path):
    more = {"hyper_parameters": {"args": ARGUMENTS, "lr": 1e-3, "config": Namespace(a=1)}}
    path = lightning(tmp_path / "m.ckpt", weights_of("hi_lam_parallel"), **more)
    options = {"model": "hi_lam", "mesh_aggr": "mean", "g2m_gnn_type": "PropagationNet", "epochs": 200, "lr": 1e-3}
    assert read_neural_lam_checkpoint(path).options == options


def test_what_is_no_such_checkpoint(tmp_path):
    torch.save({"weights": 1}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="no state_dict"):
        read_neural_lam_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="no grid_embedder"):
        read_neural_lam_checkpoint(lightning(tmp_path / "b.ckpt", {"a": torch.ones(1)}))
    with pytest.raises(InputError, match="'a' is no tensor"):
        read_neural_lam_checkpoint(lightning(tmp_path / "c.ckpt", {"a": Path("b")}))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("graph_lam_clamped", NeuralLamSizes("GraphLAM", 13, 8, 8, 2, 1, 1)),
        ("hi_lam_propagation", NeuralLamSizes("HiLAM", 11, 3, 8, 1, 1, 2)),
        ("hi_lam_parallel", NeuralLamSizes("HiLAMParallel", 11, 3, 8, 1, 1, 2)),
    ],
)
def test_sizes_follow_from_weights(name, expected):
    assert sizes_of(weights_of(name)) == expected


def test_sizes_of_something_else():
    with pytest.raises(InputError, match="not those of a model"):
        sizes_of({"grid_embedder.0.weight": torch.ones(2, 3)})


def test_statistics(tmp_path):
    names = ("state_mean", "state_std", "state_diff_mean_standardized", "state_diff_std_standardized")
    arrays = {f"norm/{name}": np.full(3, i, np.float64) for i, name in enumerate(names)}
    arrays |= {"grid/xy": np.arange(8.0).reshape(4, 2), "static": np.ones((4, 2))}
    np.savez(tmp_path / "s.npz", **arrays)
    found = read_neural_lam_statistics(tmp_path / "s.npz")
    assert [float(v[0]) for v in (found.state_mean, found.state_std, found.difference_mean, found.difference_std)] == [
        *range(4)
    ]
    assert found.static.dtype == torch.float32
    assert np.array_equal(found.xy, arrays["grid/xy"])
    del arrays["static"]
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(InputError, match="lack 'static'"):
        read_neural_lam_statistics(tmp_path / "s.npz")
    with pytest.raises(InputError, match="cannot be read"):
        read_neural_lam_statistics(tmp_path / "absent.npz")
