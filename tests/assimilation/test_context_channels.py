import numpy as np
import pytest
import torch
from regression_world import GRID, LAYOUT, NAMES, STATIC, pairs_of

from rtma_diffda.assimilation.context_channels import (
    Landscape,
    context_channel_count,
    context_channels,
    context_vectors,
    wind_components,
)
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.height import LAPSE_RATES, pressure_ratio

NOON = np.array(["2026-03-01T12:00"], "datetime64[ns]")


def landscape(height: torch.Tensor) -> Landscape:
    return Landscape(height, torch.ones_like(height))


def standing_air(height: np.ndarray) -> torch.Tensor:
    """Air whose temperature, dew point and pressure differ by height alone: (1, channel, y, x)."""
    wind = np.zeros_like(height)
    fields = (280.0 + LAPSE_RATES["t2m"] * height, 275.0 + LAPSE_RATES["d2m"] * height, wind + 4.0, wind - 2.0)
    return torch.from_numpy(np.stack([*fields, 1e5 * pressure_ratio(0.0, height)])[None])


def test_air_that_differs_by_height_alone_shows_no_departures():
    height = np.asarray(STATIC.orography, np.float64)
    channels = context_channels(standing_air(height), landscape(torch.from_numpy(height)[None]), NOON, LAYOUT)
    assert channels.dtype == torch.float32
    for name in ("t2m", "d2m", "sp"):
        assert float(channels[0, NAMES.index(name)].abs().max()) < 1e-4
    assert float(channels[0, 2].min()) == float(channels[0, 2].max()) == 1.0
    assert float(channels[0, 3].min()) == float(channels[0, 3].max()) == -0.5


def test_depression_is_told():
    channels = context_channels(
        standing_air(np.zeros(GRID.shape)), landscape(torch.zeros(1, *GRID.shape)), NOON, LAYOUT
    )
    assert float(channels[0, 5].max()) == pytest.approx(5.0 / 5.0 - 1.0)


def test_a_plane_has_its_slope_and_no_height_above_its_surroundings():
    x = torch.arange(GRID.nx) * 1e4
    plane = (0.02 * x).expand(1, *GRID.shape)
    channels = context_channels(torch.zeros(1, *LAYOUT.shape), landscape(plane), NOON, LAYOUT)[0, 6:11]
    torch.testing.assert_close(channels[2], torch.ones(GRID.shape))
    torch.testing.assert_close(channels[3], torch.zeros(GRID.shape))
    assert float(channels[1, :, 5:-5].abs().max()) < 1e-5
    torch.testing.assert_close(channels[0, 0, 5], torch.tensor(0.02 * 5e4 / 500.0))


def test_time_of_day_is_the_suns():
    """At 10° east the sun is 40 minutes ahead of UTC."""
    times = np.array(["2026-03-01T23:20", "2026-03-01T05:20", "2026-03-01T11:20"], "datetime64[ns]")
    batch = pairs_of(3)
    channels = context_channels(batch.background, Landscape(batch.orography, batch.land_fraction), times, LAYOUT)
    np.testing.assert_allclose(channels[:, -2, 0, 0], [1.0, 0.0, -1.0], atol=0.01)
    np.testing.assert_allclose(channels[:, -1, 3, 4], [0.0, 1.0, 0.0], atol=0.01)


def test_counts_and_positions_hold_for_other_variables():
    layout = Layout.of(GRID, ("u10m", "t2m", "v10m"))
    channels = context_channels(torch.zeros(2, *layout.shape), landscape(torch.zeros(2, *GRID.shape)), NOON, layout)
    assert channels.shape[1] == context_channel_count(layout.names) == 10
    assert wind_components(layout.names) == ((0, 2),)
    assert context_vectors(layout.names) == ((0, 2), (5, 6))
    assert wind_components(("t2m", "u10m")) == ()
