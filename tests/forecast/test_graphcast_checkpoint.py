"""Checkpoints of GraphCast forecasts: ours, and the published format."""

import logging

import numpy as np
import pytest
import torch
from global_world import small_globe, small_history, small_network, small_static, small_statistics, small_task

from rtma_diffda.backbones.graphcast.config import given_mesh_to_grid
from rtma_diffda.backbones.graphcast.deepmind import model_config_of, task_config_of, to_deepmind
from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_layout import global_grid
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.forecast.graphcast import GraphCastForecast
from rtma_diffda.forecast.graphcast_checkpoint import graphcast_forecast_checkpoint, load_graphcast
from rtma_diffda.forecast.graphcast_network import GraphCastForecastNetwork
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.checkpoint import Checkpoint, write_checkpoint
from rtma_diffda.io.deepmind_checkpoint import DeepMindCheckpoint, write_deepmind_checkpoint
from rtma_diffda.io.global_statistics import write_global_statistics


@pytest.fixture(scope="module")
def network():
    return small_network(seed=3, task=small_task(diagnostic_precipitation=True)).eval()


@pytest.fixture(scope="module")
def directory(network, tmp_path_factory):
    checkpoint = graphcast_forecast_checkpoint(network, card="# Card", provenance={"seed": 3})
    return write_checkpoint(tmp_path_factory.mktemp("ours") / "graphcast", checkpoint, created="2026-01-01")


@pytest.fixture(scope="module")
def published(network, tmp_path_factory):
    settings, task = network.backbone.settings, network.backbone.task
    stored = DeepMindCheckpoint(
        to_deepmind(network.network.state_dict(), settings),
        model_config_of(settings, resolution=22.5),
        task_config_of(task),
    )
    folder = tmp_path_factory.mktemp("theirs")
    write_global_statistics(folder / "stats", small_statistics())
    return write_deepmind_checkpoint(folder / "GraphCast.npz", stored)


def step(model):
    return model.step_with_diagnostics(small_history())


def test_a_directory_gives_the_same_forecast(network, directory):
    loaded = load_graphcast(directory, static=small_static())
    for one, other in zip(step(loaded), step(GraphCastForecast(network)), strict=True):
        assert torch.equal(one.values, other.values)
    assert not loaded.network.training and loaded.device == torch.device("cpu")


def test_a_published_file_gives_the_same_forecast(network, published):
    expected = step(GraphCastForecast(network))
    for statistics in (small_statistics(), published.parent / "stats"):
        loaded = load_graphcast(published, static=small_static(), statistics=statistics)
        for one, other in zip(step(loaded), expected, strict=True):
            assert torch.equal(one.values, other.values)


def test_a_published_file_needs_statistics(published):
    with pytest.raises(InputError, match="holds weights only: give statistics=DIRECTORY"):
        load_graphcast(published, static=small_static())


def test_another_resolution_is_told(published, caplog):
    grid = small_globe(16, 32)
    with caplog.at_level(logging.WARNING):
        load_graphcast(published, static=small_static(grid), statistics=small_statistics())
    assert "trained on a grid of 22.5 degrees; the states are on one of 11.25" in caplog.text


def test_the_weights_serve_on_another_grid(directory):
    grid = global_grid(np.linspace(-90, 90, 10), np.arange(18) * 20.0)
    loaded = load_graphcast(directory, static=small_static(grid))
    assert loaded.layout.grid == grid
    state = loaded.step(
        [s.__class__(torch.zeros(1, *loaded.layout.shape), loaded.layout, s.valid_time) for s in small_history()]
    )
    assert torch.isfinite(state.values).all()


def test_mesh_to_grid_edges_chosen_elsewhere_are_kept(network, tmp_path):
    mesh = network.backbone.graph.mesh_to_grid.senders.view(-1, 3)
    chosen = mesh.roll(7, dims=0)  # the neighbour's triangle
    backbone = given_mesh_to_grid(network.backbone, chosen)
    moved = GraphCastForecastNetwork(backbone, network.statistics, small_static())
    moved.load_state_dict(network.state_dict())
    path = write_checkpoint(tmp_path / "moved", graphcast_forecast_checkpoint(moved), created="2026-01-01")
    for statistics in (None, small_statistics()):
        loaded = load_graphcast(path, static=small_static(), statistics=statistics)
        found, expected = step(loaded)[0], step(GraphCastForecast(moved.eval()))[0]
        assert torch.equal(found.values, expected.values)
        assert not torch.equal(found.values, step(GraphCastForecast(network))[0].values)


def test_given_statistics_replace_those_of_a_directory(directory):
    other = small_statistics()
    doubled = GlobalStatistics(other.mean, other.std, {key: 2 * value for key, value in other.change_std.items()})
    _, last = small_history()
    changes = [
        load_graphcast(directory, static=small_static(), statistics=statistics).step(small_history()).values
        - last.values
        for statistics in (other, doubled)
    ]
    assert torch.allclose(2 * changes[0], changes[1], rtol=1e-3, atol=0.1)


def test_bfloat16_is_for_those_who_ask_on_a_cpu(directory):
    assert not load_graphcast(directory, static=small_static()).network.bfloat16
    assert load_graphcast(directory, static=small_static(), bfloat16=True).network.bfloat16


def test_what_is_missing_or_of_another_kind_is_said(tmp_path, directory):
    with pytest.raises(InputError, match=r"none.npz does not exist; .*gs://dm_graphcast/graphcast/params/"):
        load_graphcast(tmp_path / "none.npz", static=small_static())
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read"):
        load_graphcast(tmp_path / "bad.npz", static=small_static(), statistics=small_statistics())
    other = write_checkpoint(tmp_path / "other", Checkpoint({}, {"architecture": "unet"}), created="2026-01-01")
    with pytest.raises(InputError, match="architecture 'unet', expected 'graphcast_forecast'"):
        load_graphcast(other, static=small_static())
    with pytest.raises(InputError, match="needs terrain and land"):
        load_graphcast(directory, static=StaticFields(small_globe()))
