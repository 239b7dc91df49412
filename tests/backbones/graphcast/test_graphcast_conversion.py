"""``scripts/convert_graphcast.py``: published files as directories of this package, and back."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from small_graphcast import small_backbone, small_graphcast, stacked

from rtma_diffda.backbones.graphcast.deepmind import model_config_of, task_config_of, to_deepmind
from rtma_diffda.backbones.graphcast.task import FORCINGS, STATICS
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.forecast.graphcast_checkpoint import load_graphcast
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.deepmind_checkpoint import DeepMindCheckpoint, write_deepmind_checkpoint
from rtma_diffda.io.global_statistics import write_global_statistics


@pytest.fixture(scope="module")
def convert():
    path = Path(__file__).parents[3] / "scripts" / "convert_graphcast.py"
    spec = importlib.util.spec_from_file_location("convert_graphcast", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *arguments: module.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A published file and its statistics."""
    folder, backbone = tmp_path_factory.mktemp("published"), small_backbone(mesh2grid_edge_normalization_factor=0.5)
    keys = [*backbone.task.outputs, *((name, None) for name in (*FORCINGS, *STATICS))]
    numbers = {key: 1.0 + 0.25 * i for i, key in enumerate(keys)}
    write_global_statistics(folder / "stats", GlobalStatistics(numbers, numbers, numbers))
    weights = to_deepmind(small_graphcast(backbone).state_dict(), backbone.settings)
    config = model_config_of(backbone.settings, resolution=18.0)
    stored = DeepMindCheckpoint(weights, config, task_config_of(backbone.task), "made up", "CC0\nno rights")
    write_deepmind_checkpoint(folder / "GraphCast.npz", stored)
    return folder


def test_a_published_file_goes_there_and_back(convert, published, tmp_path, capsys):
    first, directory, again = published / "GraphCast.npz", tmp_path / "ours", tmp_path / "again.npz"
    assert convert(first, "--statistics", published / "stats", "--output", directory) == 0
    assert "29 channels in and 6 out, mesh of 1 refinements, grid of 11 × 20 points" in capsys.readouterr().out
    assert convert(directory, "--output", again) == 0
    with np.load(first) as expected, np.load(again) as found:
        assert set(found.files) == set(expected.files)
        assert all(np.array_equal(found[name], expected[name]) for name in expected.files)
    card = (directory / "MODEL_CARD.md").read_text()
    assert "CC BY-NC-SA 4.0" in card and "> CC0\n> no rights" in card and "made up" in card


def test_the_directory_is_the_same_model(convert, published, tmp_path):
    convert(published / "GraphCast.npz", "--statistics", published / "stats", "--output", tmp_path / "ours")
    grid = small_backbone().grid
    static = StaticFields(grid, np.ones(grid.shape), np.ones(grid.shape))
    ours = load_graphcast(tmp_path / "ours", static=static)
    theirs = load_graphcast(published / "GraphCast.npz", static=static, statistics=published / "stats")
    values = stacked(small_backbone(), members=1)
    with torch.no_grad():
        assert torch.equal(ours.network.network(values), theirs.network.network(values))
    assert dict(ours.network.statistics.mean) == dict(theirs.network.statistics.mean)


def test_edges_chosen_elsewhere_are_kept(convert, published, tmp_path):
    senders = small_backbone().graph.mesh_to_grid.senders.view(-1, 3).flip(1).numpy()
    np.savez(tmp_path / "graph.npz", mesh2grid_senders=senders.ravel(), mesh2grid_receivers=np.arange(660) // 3)
    given = ("--statistics", published / "stats", "--edges", tmp_path / "graph.npz", "--output", tmp_path / "ours")
    assert convert(published / "GraphCast.npz", *given) == 0
    grid = small_backbone().grid
    static = StaticFields(grid, np.ones(grid.shape), np.ones(grid.shape))
    graph = load_graphcast(tmp_path / "ours", static=static).network.backbone.graph
    assert np.array_equal(graph.mesh_to_grid.senders.view(-1, 3).numpy(), senders)


def test_what_cannot_be_converted_is_explained(convert, published, tmp_path, capsys):
    assert convert(published / "GraphCast.npz", "--output", tmp_path / "ours") == 1
    assert "give --statistics DIR" in capsys.readouterr().err
    assert convert(tmp_path, "--output", tmp_path / "back.npz") == 1
    assert "is no checkpoint" in capsys.readouterr().err
    bad = ("--statistics", published / "stats", "--edges", tmp_path / "none.npz", "--output", tmp_path / "ours")
    assert convert(published / "GraphCast.npz", *bad) == 1
    assert "edges" in capsys.readouterr().err and not (tmp_path / "ours").exists()
