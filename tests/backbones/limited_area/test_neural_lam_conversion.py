"""From a Lightning checkpoint of Neural-LAM to a checkpoint directory that gives Neural-LAM's answers."""

import importlib.util
import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.neural_lam_conversion import clamping_from, predictor_of, settings_from
from rtma_diffda.errors import InputError
from rtma_diffda.io.checkpoint import read_checkpoint

DATA = Path(__file__).parent / "data"
FILES = sorted(DATA.glob("*.npz"))
OPTIONS = ("mesh_aggr", "g2m_gnn_type", "m2g_gnn_type", "mesh_up_gnn_type", "mesh_down_gnn_type")


def convert(*arguments: object) -> int:
    """What ``scripts/convert_neural_lam.py`` does."""
    path = Path(__file__).parents[3] / "scripts" / "convert_neural_lam.py"
    spec = importlib.util.spec_from_file_location("convert_neural_lam", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main([str(argument) for argument in arguments])


def arrays_of(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as stored:
        return {n: torch.from_numpy(np.array(stored[n])) for n in stored.files if stored[n].dtype.kind != "U"}


def meta_of(path: Path) -> dict:
    with np.load(path) as stored:
        return json.loads(str(stored["meta"]))


def stored_model(path: Path, directory: Path, *, options: bool = True) -> tuple[Path, Path]:
    """The model of a case as Neural-LAM leaves it: a Lightning checkpoint, and a directory with the graph."""
    arrays = arrays_of(path)
    state = {f"forecaster.predictor.{n[6:]}": v for n, v in arrays.items() if n.startswith("param/")}
    arguments = Namespace(**{name: meta_of(path)[name] for name in OPTIONS}, graph="g")
    checkpoint, graph = directory / "model.ckpt", directory / "graph"
    torch.save({"state_dict": state, "hyper_parameters": {"args": arguments} if options else {}}, checkpoint)
    graph.mkdir()
    parts = {n[6:]: v for n, v in arrays.items() if n.startswith("graph/")}
    for name in {part.partition("/")[0] for part in parts}:
        levels = [part for part in parts if part.startswith(f"{name}/")]
        torch.save([parts[f"{name}/{i}"] for i in range(len(levels))] if levels else parts[name], graph / f"{name}.pt")
    (graph / "metainfo.yaml").write_text("spec_version: 0.1.0\n")
    return checkpoint, graph


def answers(directory: Path, arrays: dict[str, torch.Tensor], **more: object) -> tuple[torch.Tensor, ...]:
    predictor = predictor_of(read_checkpoint(directory), **more)
    initial = arrays["in/init_states"]
    with torch.no_grad():
        return predictor(initial[:, 1], initial[:, 0], arrays["in/forcing"][:, 0])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_converted_model_answers_as_neural_lam_does(tmp_path, path):
    checkpoint, graph = stored_model(path, tmp_path)
    target = tmp_path / "converted"
    assert convert(checkpoint, "--graph", graph, "--statistics", path, "--output", target) == 0
    arrays = arrays_of(path)
    mean, std = answers(target, arrays)
    assert torch.allclose(mean, arrays["out/one_step"], rtol=0.0, atol=2e-5)
    if "out/one_step_std" in arrays:
        assert torch.allclose(std, arrays["out/one_step_std"], rtol=0.0, atol=2e-5)
    chunked, _ = answers(target, arrays, evaluation=Evaluation(chunk=17))
    assert torch.allclose(chunked, mean, rtol=0.0, atol=1e-5)


def test_options_that_a_checkpoint_lacks_are_given(tmp_path, capsys):
    path = DATA / "graph_lam_clamped.npz"
    checkpoint, graph = stored_model(path, tmp_path, options=False)
    arrays, target = arrays_of(path), tmp_path / "converted"
    arguments = (checkpoint, "--graph", graph, "--statistics", path, "--output", target)
    assert convert(*arguments) == 0
    assert "sum aggregation" in capsys.readouterr().out
    assert not torch.allclose(answers(target, arrays)[0], arrays["out/one_step"], rtol=0.0, atol=1e-3)
    assert convert(*arguments, "--option", "mesh_aggr=mean") == 0
    assert torch.allclose(answers(target, arrays)[0], arrays["out/one_step"], rtol=0.0, atol=2e-5)


def test_a_graph_of_another_model_is_refused(tmp_path, capsys):
    checkpoint, _ = stored_model(DATA / "graph_lam_clamped.npz", tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    _, graph = stored_model(DATA / "hi_lam_parallel.npz", other)
    arguments = ("--graph", graph, "--statistics", DATA / "graph_lam_clamped.npz", "--output", tmp_path / "converted")
    assert convert(checkpoint, *arguments) == 1
    assert "cannot convert" in capsys.readouterr().err
    assert not (tmp_path / "converted").exists()


def test_limits_from_buffers():
    weights = {
        "clamp_lower_upper_idx": torch.tensor([2]),
        "sigmoid_lower_lims": torch.tensor([-1.0]),
        "sigmoid_upper_lims": torch.tensor([1.0]),
        "clamp_lower_idx": torch.tensor([0]),
        "softplus_lower_lims": torch.tensor([-3.0]),
        "clamp_upper_idx": torch.tensor([3]),
        "softplus_upper_lims": torch.tensor([5.0]),
    }
    found = clamping_from(weights, 4)
    inf = float("inf")
    assert found.lower.tolist() == [-3.0, -inf, -1.0, -inf]
    assert found.upper.tolist() == [inf, inf, 1.0, 5.0]
    assert clamping_from({"clamp_lower_idx": torch.empty(0)}, 4) is None


def test_channels_that_do_not_fit():
    weights = {n[6:]: v for n, v in arrays_of(DATA / "graph_lam_clamped.npz").items() if n.startswith("param/")}
    assert settings_from(weights, {}, state=4, static=2).forcing == 3
    with pytest.raises(InputError, match="does not fit 5 variables"):
        settings_from(weights, {}, state=5, static=2)
    with pytest.raises(InputError, match="and 9 static"):
        settings_from(weights, {}, state=4, static=9)


def test_a_checkpoint_of_something_else(tmp_path):
    path = DATA / "hi_lam_parallel.npz"
    checkpoint, graph = stored_model(path, tmp_path)
    convert(checkpoint, "--graph", graph, "--statistics", path, "--output", tmp_path / "converted")
    stored = read_checkpoint(tmp_path / "converted")
    with pytest.raises(InputError, match="expected neural_lam"):
        predictor_of(replace(stored, config={**stored.config, "architecture": "unet"}))
    lacking = {name: v for name, v in stored.statistics.items() if name != "static"}
    with pytest.raises(InputError, match="lacks something"):
        predictor_of(replace(stored, statistics=lacking))
