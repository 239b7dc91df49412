"""Sample correlations against loops, localisation against known values, positive definiteness against eigenvalues."""

import numpy as np
import pytest
import torch
from twin_cases import GRID, STATIC, stations

from rtma_diffda.assimilation.joint_data import at_data, own_correlations
from rtma_diffda.assimilation.sample_covariance import (
    LagCorrelations,
    columns,
    gaspari_cohn,
    localised,
    sample_correlations,
)
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.observations.operators import BilinearOperator

SMALL = ProjectedGrid("+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200 +units=m", 7, 6, 1e4, 1e4, 0.0, 0.0)
PAIR = ("t2m", "u10m")


def noisy(grid: ProjectedGrid, *, count: int = 5, seed: int = 0) -> torch.Tensor:
    """Smooth fields of two related variables with noise; too few for a clean estimate."""
    rng = np.random.default_rng(seed)
    fields = rng.normal(size=(count, 2, *grid.shape)).cumsum(axis=-1).cumsum(axis=-2)
    fields[:, 1] = 0.3 * fields[:, 1] + np.roll(fields[:, 0], 2, axis=-1)
    return torch.from_numpy(fields)


def dense(correlations: LagCorrelations, grid: ProjectedGrid) -> np.ndarray:
    """ρ between all channels and points of the grid, written out in loops over channels."""
    y, x = (index.ravel() for index in np.indices(grid.shape))
    m_y, m_x = correlations.reach
    lag_y, lag_x = y[None, :] - y[:, None] + m_y, x[None, :] - x[:, None] + m_x
    table, channels = correlations.table.numpy(), range(len(correlations.names))
    return np.block([[table[i, j][lag_y, lag_x] for j in channels] for i in channels])


def test_estimates_equal_means_over_pairs_of_points():
    layout, errors = Layout.of(SMALL, PAIR), noisy(SMALL)
    found = sample_correlations([errors[:2], errors[2:]], layout)
    e = errors.numpy()
    for i, j, dy, dx in [(0, 0, 0, 0), (0, 1, 2, -3), (1, 0, -1, 4), (1, 1, 5, 6)]:
        products = [
            e[:, i, y, x] * e[:, j, y + dy, x + dx]
            for y in range(6)
            for x in range(7)
            if 0 <= y + dy < 6 and 0 <= x + dx < 7
        ]
        scale = np.sqrt((e[:, i] ** 2).mean() * (e[:, j] ** 2).mean())
        m_y, m_x = found.reach
        assert float(found.table[i, j, m_y + dy, m_x + dx]) == pytest.approx(np.mean(products) / scale, abs=1e-12)
    assert found.fields == 5
    assert found.std.tolist() == pytest.approx(np.sqrt((e**2).mean(axis=(0, 2, 3))).tolist())


def test_a_displacement_shows_at_its_lag():
    """v(x + (1, 2)) = t(x): their correlation is 1 at the lag of one row and two columns."""
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(300, 9, 10))
    errors = torch.from_numpy(np.stack([wide[:, 1:7, 2:9], wide[:, :6, :7]], axis=1))
    found = sample_correlations([errors], Layout.of(SMALL, PAIR))
    m_y, m_x = found.reach
    assert float(found.table[0, 1, m_y + 1, m_x + 2]) == pytest.approx(1.0, abs=0.05)
    assert float(found.table[1, 0, m_y - 1, m_x - 2]) == pytest.approx(1.0, abs=0.05)
    assert float(found.at_zero()[0, 1].abs()) < 0.05


def test_localisation_function_has_its_known_values():
    distance = torch.tensor([0.0, 50.0, 100.0, 150.0], dtype=torch.float64)
    assert gaspari_cohn(distance, 100.0).tolist() == pytest.approx([1.0, 5.0 / 24.0, 0.0, 0.0], abs=1e-12)
    fine = gaspari_cohn(torch.linspace(0, 100, 2001, dtype=torch.float64), 100.0)
    assert float(fine.diff().max()) <= 0.0 and float(fine.diff().abs().max()) < 2e-3


def test_localised_covariances_are_positive_definite_though_the_estimate_is_not():
    raw = sample_correlations([noisy(SMALL, count=2)], Layout.of(SMALL, PAIR))
    found = localised(raw, 1e5)
    assert np.linalg.eigvalsh(dense(raw, SMALL)).min() < -0.01
    assert np.linalg.eigvalsh(dense(found, SMALL)).min() > -1e-9
    assert found.at_zero().diagonal().tolist() == pytest.approx([1.0, 1.0])
    torch.testing.assert_close(found.table, found.table.transpose(0, 1).flip(2, 3))


def test_a_definite_estimate_is_only_multiplied():
    rng = np.random.default_rng(1)
    errors = torch.from_numpy(rng.normal(size=(4000, 2, *SMALL.shape)))
    raw = sample_correlations([errors], Layout.of(SMALL, PAIR))
    found = localised(raw, 3e4)
    m_y, m_x = raw.reach
    lags = torch.hypot(*torch.meshgrid(*(torch.arange(-m, m + 1.0).double() * 1e4 for m in (m_y, m_x)), indexing="ij"))
    torch.testing.assert_close(found.table, raw.table * gaspari_cohn(lags, 3e4), rtol=0, atol=1e-9)


def test_columns_are_those_of_the_observation_operator():
    layout = Layout.of(GRID, PAIR)
    found = localised(sample_correlations([noisy(GRID, count=30)], layout), 8e4)
    data = stations(layout, 6, np.random.default_rng(3))
    operator, size = BilinearOperator(layout, STATIC), GRID.nx * GRID.ny
    for channel in (0, 1):
        for j in (0, 1):
            part = data.of_channel(j)
            units = torch.eye(len(part), dtype=torch.float64)
            transposed = operator.adjoint(units, part)[:, j].flatten(1).numpy()
            block = dense(found, GRID)[j * size : (j + 1) * size, channel * size : (channel + 1) * size]
            np.testing.assert_allclose(
                columns(found, layout, channel, part, j).flatten(1).numpy(), transposed @ block, rtol=0, atol=1e-12
            )


def test_a_datums_own_correlation_is_the_diagonal():
    layout = Layout.of(GRID, PAIR)
    found = localised(sample_correlations([noisy(GRID, count=30)], layout), 8e4)
    data = stations(layout, 8, np.random.default_rng(4))
    own = own_correlations(found, layout, data)
    for j in (0, 1):
        part = data.of_channel(j)
        among = at_data(columns(found, layout, j, part, j).flatten(1), layout, part)
        torch.testing.assert_close(own[data.channel == j], among.diagonal(), rtol=0, atol=1e-12)
    assert float(own.max()) < 1.0


def test_lags_beyond_the_samples_have_no_correlation():
    found = localised(sample_correlations([noisy(SMALL)], Layout.of(SMALL, PAIR)), 5e4)
    large = Layout.of(GRID, PAIR)
    data = stations(large, 1, np.random.default_rng(5)).of_channel(0)
    field = columns(found, large, 0, data, 0)[0]
    assert field.shape == GRID.shape
    assert float(field.max()) > 0.5 and int((field == 0).sum()) > field.numel() // 2


def test_what_does_not_fit_is_refused():
    layout = Layout.of(SMALL, PAIR)
    with pytest.raises(InputError, match="there are none"):
        sample_correlations([], layout)
    with pytest.raises(InputError, match="not finite in fields 0 … 4"):
        sample_correlations([noisy(SMALL) * torch.nan], layout)
    found = sample_correlations([noisy(SMALL)], layout)
    with pytest.raises(InputError, match="do not serve a grid"):
        found.require_grid(Layout.of(SMALL, ["t2m", "v10m"]))
