"""GraphCast's weights against its published formulas, and known values."""

import numpy as np
import pytest
import torch

from rtma_diffda.backbones.graphcast.task import TASKS
from rtma_diffda.fields.global_layout import global_grid
from rtma_diffda.fields.global_weights import channel_weights, latitude_weights, level_weights, variable_weights

LONGITUDES = np.arange(8) * 45.0
KEYS = (("geopotential", 250), ("geopotential", 500), ("geopotential", 850), ("2m_temperature", None),
        ("mean_sea_level_pressure", None))  # fmt: skip


def published_latitude_weights(latitudes, spacing):
    """``losses.py``: with and without rows on the poles."""
    if abs(latitudes[-1]) == 90.0:
        weights = np.cos(np.deg2rad(latitudes)) * np.sin(np.deg2rad(spacing / 2))
        weights[[0, -1]] = np.sin(np.deg2rad(spacing / 4)) ** 2
    else:
        weights = np.cos(np.deg2rad(latitudes))
    return weights / weights.mean()


@pytest.mark.parametrize(("first", "rows"), [(-90.0, 19), (-87.1875, 32)])
def test_rows_weigh_as_published_with_and_without_poles(first, rows):
    latitudes = np.linspace(first, -first, rows)
    weights = latitude_weights(global_grid(latitudes, LONGITUDES))
    np.testing.assert_allclose(weights, published_latitude_weights(latitudes, latitudes[1] - latitudes[0]), rtol=1e-5)
    assert float(weights.mean()) == pytest.approx(1.0)


def test_levels_weigh_as_their_pressure_and_variables_as_published():
    torch.testing.assert_close(
        level_weights(KEYS), torch.tensor([250 / 1600 * 3, 500 / 1600 * 3, 850 / 1600 * 3, 1, 1])
    )
    assert variable_weights(KEYS).tolist() == pytest.approx([1, 1, 1, 1, 0.1])
    assert channel_weights(KEYS).tolist() == pytest.approx([250 / 1600, 500 / 1600, 850 / 1600, 1, 0.1])


def test_weights_of_a_published_task_add_up_to_the_variables():
    """Six upper-air variables and 2 m temperature of 1; two winds, pressure and precipitation of 0.1."""
    assert float(channel_weights(TASKS["GraphCast_operational"].outputs).sum()) == pytest.approx(7.4, rel=1e-5)
