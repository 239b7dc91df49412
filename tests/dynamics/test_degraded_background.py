"""The degraded background: error sizes as intended, exchangeable detail, reproducible, and exact where told to be."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.dynamics.degraded_background import BackgroundErrors, degraded_background
from rtma_diffda.dynamics.smoothing import low_pass
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def values_of(states):
    return torch.cat([state.values for state in states])


@pytest.fixture(scope="module")
def backgrounds(afternoons, demo_static):
    errors = BackgroundErrors(demo_static)
    return [degraded_background(truth, errors, generator=seeded(10 + i)) for i, truth in enumerate(afternoons)]


def test_errors_have_the_size_of_the_feasibility_study(afternoons, backgrounds):
    squares = [
        (values_of(b) - values_of(t)).square().mean(dim=(0, 2, 3)) for b, t in zip(backgrounds, afternoons, strict=True)
    ]
    rmse = torch.stack(squares).mean(dim=0).sqrt().tolist()
    for found, expected in zip(rmse, (1.5, 1.5, 1.25, 1.25, 48.0), strict=True):
        assert found == pytest.approx(expected, rel=0.15)


def test_dew_point_stays_below_temperature(backgrounds):
    for states in backgrounds:
        assert (values_of(states)[:, 1] <= values_of(states)[:, 0]).all()


def test_errors_persist_over_a_quarter_of_an_hour(afternoons, backgrounds):
    for truth, states in zip(afternoons, backgrounds, strict=True):
        error = values_of(states) - values_of(truth)
        assert ((error[1:] - error[:-1]).std(dim=(0, 2, 3)) < 0.55 * error.std(dim=(0, 2, 3))).all()


def test_small_scales_have_about_the_truths_variance(afternoons, backgrounds, demo_static):
    """Nothing tells false detail from true: wind variance below 15 km over the sea, where terrain makes none."""
    sea = torch.from_numpy(demo_static.land_fraction < 0.02)

    def detail_variance(states):
        wind = values_of(states)[:, 2:4].double()
        return float((wind - low_pass(wind, demo_static.grid, 6e3))[..., sea].var())

    ratios = [detail_variance(b) / detail_variance(t) for b, t in zip(backgrounds, afternoons, strict=True)]
    assert 0.7 < sum(ratios) / len(ratios) < 1.6


def test_same_seed_same_bits_and_later_states_change_nothing(afternoons, backgrounds, demo_static):
    again = degraded_background(afternoons[0][:4], BackgroundErrors(demo_static), generator=seeded(10))
    assert torch.equal(values_of(again), values_of(backgrounds[0])[:4])


def test_only_smoothed_terrain_when_nothing_else_is_wrong(demo_static):
    """Over an atmosphere of constant lapse the error of temperature is the lapse times the terrain's error, exactly."""
    layout = Layout.of(demo_static.grid, ["t2m", "sp"])
    terrain = torch.from_numpy(demo_static.orography)
    ratio = (1.0 - 0.0065 * terrain / 290.0) ** (9.80665 / (287.05 * 0.0065))
    values = torch.stack([290.0 - 0.0065 * terrain, 101000.0 * ratio])[None]
    truth = State(values, layout, np.datetime64("2026-04-10T19:00", "ns"))
    errors = BackgroundErrors(demo_static, position_std=0.0, large_std={}, detail_std={}, bias={}, amplitude={})
    background = degraded_background([truth], errors, generator=seeded())[0]
    smooth = low_pass(terrain, demo_static.grid, errors.resolved_length)
    torch.testing.assert_close(background.channel("t2m")[0], 290.0 - 0.0065 * smooth)
    torch.testing.assert_close(background.channel("sp"), truth.channel("sp"), atol=1e-6, rtol=0)
    biased = degraded_background([truth], replace(errors, bias={"t2m": 1.5}), generator=seeded())[0]
    torch.testing.assert_close(biased.values[:, 0], background.values[:, 0] + 1.5)


def test_members_get_errors_of_their_own(afternoons, demo_static):
    truth = afternoons[0][0]
    pair = truth.with_values(truth.values.repeat(2, 1, 1, 1))
    state = degraded_background([pair], BackgroundErrors(demo_static), generator=seeded())[0]
    assert state.members == 2
    assert not torch.allclose(state.values[0], state.values[1])


def test_nothing_gives_nothing_and_another_grid_is_refused(afternoons, demo_static):
    assert degraded_background([], BackgroundErrors(demo_static), generator=seeded()) == ()
    elsewhere = replace(demo_static.grid, x0=0.0)
    with pytest.raises(UsageError, match="on the grid of the static fields"):
        degraded_background(afternoons[0], BackgroundErrors(StaticFields(elsewhere)), generator=seeded())
