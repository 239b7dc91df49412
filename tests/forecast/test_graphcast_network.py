"""Normalisation, residuals, roll-out and loss around the network; parity with the published code (shared fixture)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from global_world import FIRST, SIX_HOURS, small_history, small_network, small_static, small_statistics, small_task
from torch import nn

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.config import given_mesh_to_grid
from rtma_diffda.backbones.graphcast.deepmind import from_deepmind, published_names, settings_from, task_from
from rtma_diffda.backbones.graphcast.task import STATICS
from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_forcings import FORCINGS, global_forcings
from rtma_diffda.fields.global_layout import global_grid, global_layout
from rtma_diffda.fields.global_weights import channel_weights, latitude_weights
from rtma_diffda.fields.global_windows import GlobalWindows
from rtma_diffda.forecast.graphcast_loss import GraphCastLoss
from rtma_diffda.forecast.graphcast_network import GlobalFrames, GraphCastForecastNetwork
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.deepmind_checkpoint import read_deepmind_checkpoint
from rtma_diffda.io.global_statistics import read_global_statistics


class Constant(nn.Module):
    """Answers 2 everywhere, whatever it is given."""

    def __init__(self, channels):
        super().__init__()
        self.channels, self.seen = channels, []

    def forward(self, values):
        self.seen.append(values)
        return torch.full((len(values), self.channels, *values.shape[2:]), 2.0)


def with_constant(network):
    network.network = Constant(len(network.backbone.task.outputs))
    return network


def frames(network, members=1, seed=0):
    earlier, later = small_history(members, seed=seed)
    return GlobalFrames(earlier.values, later.values, np.array([later.valid_time]))


def windows(network, *, members=2, times=4, extra=(), seed=0):
    layout = global_layout([*extra, *network.keys], network.backbone.grid)
    generator = torch.Generator().manual_seed(seed)
    keys = [*extra, *network.keys]
    mean, std = (of(keys)[:, None, None] for of in (network.statistics.mean_of, network.statistics.std_of))
    values = mean + std * torch.randn(members, times, *layout.shape, generator=generator)
    starts = FIRST + np.arange(members) * 28 * SIX_HOURS
    return GlobalWindows(values, starts[:, None] + np.arange(times) * SIX_HOURS, layout)


def test_an_answer_is_a_change_in_units_of_its_standard_deviation():
    network = with_constant(small_network())
    start = frames(network)
    answer = network(start)
    statistics = small_statistics()
    assert torch.allclose(
        answer.state - start.later, 2.0 * statistics.change_std_of(network.keys)[:, None, None], rtol=1e-2
    )
    assert answer.diagnostics.shape[1] == 0


def test_what_is_answered_only_has_mean_and_deviation():
    network = with_constant(small_network(task=small_task(diagnostic_precipitation=True)))
    answer = network(frames(network))
    assert network.diagnostic_keys == (("total_precipitation_6hr", None),)
    assert torch.allclose(answer.diagnostics, torch.tensor(6e-4 + 2 * 2e-4))
    assert answer.state.shape[1] == len(network.keys) == answer.raw.shape[1] - 1


def test_inputs_are_normalised_in_the_order_of_the_task():
    network = with_constant(small_network())
    start = frames(network)
    network(start)
    channels = {(c.variable, c.level, c.frame): i for i, c in enumerate(network.backbone.task.inputs)}
    seen = network.network.seen[0][0]
    t850 = network.keys.index(("temperature", 850))
    assert torch.allclose(
        seen[channels["temperature", 850, "earlier"]], (start.earlier[0, t850] - 260.0) / 8.0, atol=1e-4
    )
    target = global_forcings(start.valid_times + SIX_HOURS, network.backbone.grid)[0]
    radiation = (target[0] - 1.1e6) / 1.4e6
    assert torch.allclose(seen[channels[FORCINGS[0], None, "target"]], radiation, atol=1e-5)
    terrain = torch.from_numpy(9.80665 * small_static().orography - 3e3).float() / 8e3
    assert torch.allclose(seen[channels[STATICS[0], None, "static"]], terrain, atol=1e-5)


def test_members_may_have_times_of_their_own():
    network = small_network().eval()
    one, other = frames(network), frames(network, seed=1)
    shifted = np.array([FIRST + 101 * SIX_HOURS])
    both = GlobalFrames(
        torch.cat([one.earlier, other.earlier]),
        torch.cat([one.later, other.later]),
        np.append(one.valid_times, shifted),
    )
    with torch.no_grad():
        together = network(both).raw
        apart = [network(one), network(GlobalFrames(other.earlier, other.later, shifted))]
        unshifted = network(other).raw
    assert torch.allclose(together, torch.cat([answer.raw for answer in apart]), atol=1e-5)
    assert not torch.allclose(unshifted, apart[1].raw, atol=1e-2)


def test_a_roll_out_feeds_the_state_back_and_moves_the_clock():
    network = small_network().eval()
    with torch.no_grad():
        first, second = network.roll_out(frames(network), 2)
        start = frames(network)
        again = network(GlobalFrames(start.later, first.state, start.valid_times + SIX_HOURS))
    assert torch.equal(second.state, again.state)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_loss_of_a_constant_answer_is_known(steps):
    network = with_constant(small_network())
    batch = windows(network, times=2 + steps)
    loss, figures = network.loss(batch)
    expected, last = 0.0, batch.values[:, 1]
    for step in range(steps):
        last = last + 2.0 * network.change_std
        error = (last - batch.values[:, 2 + step]) / network.change_std
        rows = latitude_weights(network.backbone.grid)[:, None]
        expected += ((error.square() * rows).mean(dim=(2, 3)) @ channel_weights(network.keys)).mean() / steps
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert set(figures) == {f"loss_{name}" for name, _ in network.keys}


def test_a_diagnostic_counts_where_the_batch_has_it():
    network = with_constant(small_network(task=small_task(diagnostic_precipitation=True)))
    rain = ("total_precipitation_6hr", None)
    with_rain = windows(network, extra=(rain,))
    without = GlobalWindows(with_rain.values[:, :, 1:], with_rain.valid_times, network.layout)
    known = ((with_rain.values[:, 2:, 0] - 6e-4) / 2e-4 - 2.0).square().double().numpy()
    rows = np.cos(np.deg2rad(network.backbone.grid.latitudes))
    expected = 0.1 * np.average(known.mean(axis=(0, 1, 3)), weights=rows)
    full, figures = network.loss(with_rain)
    part, fewer = network.loss(without)
    assert (full - part).item() == pytest.approx(expected, rel=2e-3)
    assert set(figures) - set(fewer) == {"loss_total_precipitation_6hr"}


def test_gradients_pass_through_the_roll_out():
    """Recomputed activations give the gradients that kept ones give, and the first step has its share."""
    network = small_network()
    batch = windows(network, times=4)
    loss, _ = network.loss(batch)
    loss.backward()
    recomputed = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    state, total = network._history(batch), 0.0
    for step in range(2):
        answer = network(state)
        error, keys = network._error(answer, state, batch, 2 + step)
        weighted = GraphCastLoss(keys, network.backbone.grid)
        total = total + weighted.total(weighted.by_variable(error)).mean() / 2
        state = state.followed_by(answer.state)
    total.backward()
    kept = [p.grad for p in network.parameters() if p.grad is not None]
    assert len(kept) == len(recomputed) > 10
    for one, other in zip(kept, recomputed, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6 * float(one.abs().max()))


def test_bfloat16_is_near_and_leaves_the_state_exact_where_nothing_changes():
    network = small_network().eval()
    rounded = small_network(bfloat16=True).eval()
    start = frames(network)
    with torch.no_grad():
        exact, near = network(start), rounded(start)
    assert near.state.dtype == torch.float32
    difference = (near.state - exact.state) / network.change_std
    assert 0.0 < difference.square().mean().sqrt() < 0.05


def test_what_does_not_fit_is_refused():
    network = small_network()
    with pytest.raises(InputError, match="a batch of 2 states"):
        network.loss(windows(network, times=2))
    few = windows(network)
    bare = GlobalWindows(few.values[:, :, 1:], few.valid_times, global_layout(network.keys[1:], network.backbone.grid))
    with pytest.raises(InputError, match="needs 10m_u_component_of_wind; the states have v10m"):
        network.loss(bare)
    other = global_grid([-45.0, 45.0], np.arange(8) * 45.0)
    with pytest.raises(InputError, match="terrain on"):
        GraphCastForecastNetwork(
            network.backbone, small_statistics(), StaticFields(other, np.zeros((2, 8)), np.zeros((2, 8)))
        )
    with pytest.raises(InputError, match="needs terrain and land"):
        GraphCastForecastNetwork(network.backbone, small_statistics(), StaticFields(network.backbone.grid))


class Published:
    """The fixture: DeepMind's network with random weights, its inputs and answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stored = read_deepmind_checkpoint(folder / "checkpoint.npz")
        self.settings, task = settings_from(stored.model_config), task_from(stored.task_config)
        inputs, targets = self.open("inputs.nc"), self.open("targets.nc")
        grid = global_grid(inputs["lat"], inputs["lon"])
        edges = np.load(folder / "graph.npz")["mesh2grid_senders"].reshape(-1, 3)
        backbone = given_mesh_to_grid(GraphCastBackbone(self.settings, task, grid), edges)
        height = inputs["geopotential_at_surface"].values.astype(float) / 9.80665
        static = StaticFields(grid, height, inputs["land_sea_mask"].values.astype(float))
        self.network = GraphCastForecastNetwork(backbone, read_global_statistics(folder), static)
        self.network.network.load_state_dict(from_deepmind(stored.params, self.settings))
        self.info = json.loads((folder / "info.json").read_text())
        times = np.array(self.info["datetime"], "datetime64[ns]")
        values = torch.cat([self.channels(part, self.network.keys) for part in (inputs, targets)], dim=1)
        self.windows = GlobalWindows(values, times, self.network.layout)

    def open(self, name):
        return xr.open_dataset(self.folder / name, engine="scipy", decode_times=False).transpose("batch", "time", ...)

    @staticmethod
    def channels(dataset, keys):
        fields = [dataset[name] if level is None else dataset[name].sel(level=level) for name, level in keys]
        return torch.from_numpy(np.stack([field.values for field in fields], axis=2))

    def of_steps(self, steps):
        whole = self.windows
        return GlobalWindows(whole.values[:, : 2 + steps], whole.valid_times[:, : 2 + steps], whole.layout)


@pytest.fixture(scope="module")
def published(shared):
    return Published(shared / "fixtures" / "graphcast")


def test_states_of_the_published_code(published):
    """Limits of the fixture: 2e-5 raw, 3e-4 of the changes' deviation for states. Answers use our own forcings."""
    network, values = published.network, published.windows.values
    with torch.no_grad():
        answers = list(
            network.roll_out(GlobalFrames(values[:, 0], values[:, 1], published.windows.valid_times[:, 1]), 3)
        )
    task = network.backbone.task
    raw = published.channels(published.open("raw_output.nc"), task.outputs)[:, 0]
    assert (answers[0].raw - raw).abs().max() < 2e-5
    stored = published.channels(published.open("rollout.nc"), network.keys)
    stored = torch.cat([published.channels(published.open("one_step.nc"), network.keys), stored], dim=1)
    for answer, expected in zip([answers[0], *answers], stored.unbind(1), strict=True):
        assert ((answer.state - expected) / network.change_std).abs().max() < 3e-4


@pytest.mark.parametrize(("steps", "file"), [(1, "gradients.npz"), (3, "gradients_3step.npz")])
def test_loss_and_gradients_of_the_published_code(published, steps, file):
    network = published.network
    network.zero_grad()
    loss, figures = network.loss(published.of_steps(steps))
    assert loss.item() == pytest.approx(published.info[f"loss_{steps}step"], rel=2e-6)
    for name, values in published.info[f"loss_{steps}step_per_variable"].items():
        assert figures[f"loss_{name}"] == pytest.approx(values[0], rel=1e-5)
    loss.backward()
    names = {":".join(path): own for own, path in published_names(published.settings).items()}
    gradients = {own: parameter.grad for own, parameter in network.network.named_parameters()}
    for name, expected in np.load(published.folder / file).items():
        found = gradients[names[name]]
        found = torch.zeros(expected.shape) if found is None else found
        found = found.T if name.endswith(":w") else found
        assert np.abs(found.numpy() - expected).max() <= 1e-4 * np.abs(expected).max(), name
