"""H on a periodic latitude–longitude grid: exact at grid points, bilinear across the seam, and its adjoint."""

import numpy as np
import torch

from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations

GRID = LatLonGrid(np.linspace(-75.0, 75.0, 6), np.arange(12) * 30.0, periodic=True)
LAYOUT = Layout(GRID, (Channel("t2m"), Channel("z", 500.0)))
OPERATOR = BilinearOperator(LAYOUT, StaticFields(GRID), lapse_rates={})


def reports(latitude, longitude, channel):
    n = len(latitude)
    return Observations(
        value=torch.zeros(n, dtype=torch.float64),
        error_std=torch.ones(n, dtype=torch.float64),
        latitude=torch.tensor(latitude, dtype=torch.float64),
        longitude=torch.tensor(longitude, dtype=torch.float64),
        elevation=torch.full((n,), torch.nan, dtype=torch.float64),
        channel=torch.tensor(channel),
        valid_time=np.full(n, np.datetime64("2020-01-01T00", "ns")),
        station=np.array([f"S{i}" for i in range(n)]),
        network=np.full(n, "columns"),
        flags=np.zeros(n, np.int32),
        bound=np.zeros(n, np.int8),
    )


def test_grid_points_are_read_as_they_are():
    values = torch.randn(2, *LAYOUT.shape, dtype=torch.float64)
    data = reports([-75.0, 15.0, 75.0], [0.0, 330.0, 150.0], [0, 1, 1])
    expected = torch.stack([values[:, 0, 0, 0], values[:, 1, 3, 11], values[:, 1, 5, 5]], dim=1)
    assert torch.allclose(OPERATOR(values, data), expected, atol=1e-12)


def test_the_last_column_is_followed_by_the_first():
    values = torch.zeros(1, *LAYOUT.shape, dtype=torch.float64)
    values[:, 0, :, 11], values[:, 0, :, 0] = 2.0, 6.0
    assert torch.allclose(OPERATOR(values, reports([15.0], [337.5], [0])), torch.tensor([[3.0]], dtype=torch.float64))


def test_the_adjoint_is_the_transpose():
    torch.manual_seed(1)
    data = reports([-80.0, 3.0, 61.0, 90.0], [355.0, -3.0, 359.0, 200.0], [0, 1, 0, 1])
    x, d = torch.randn(3, *LAYOUT.shape, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    forward, back = (OPERATOR.tangent(x, data) * d).sum(), (x * OPERATOR.adjoint(d, data)).sum()
    assert torch.allclose(forward, back, rtol=1e-12)
