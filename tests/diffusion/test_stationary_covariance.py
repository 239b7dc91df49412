"""C(σ) from a table of lags against explicit matrices: on the torus exactly, on the fields away from their edge."""

import math

import pytest
import torch

from rtma_diffda.diffusion.stationary_covariance import StationaryCovariance
from rtma_diffda.errors import InputError, UsageError

SHAPE, POINTS = (7, 9), 63


def hat(lags: torch.Tensor, width: float) -> torch.Tensor:
    return (1.0 - lags.abs() / width).clamp_min(0.0)


def two_channels(width: float = 4.0, reach: int = 6) -> torch.Tensor:
    """Channel 0 is ρ; channel 1 is 0.6 of channel 0 one point farther east and something else: not symmetric in h."""
    lags = torch.arange(-reach, reach + 1, dtype=torch.float64)

    def rho(shift: int) -> torch.Tensor:
        return hat(lags, width)[:, None] * hat(lags + shift, width)

    return torch.stack([torch.stack([rho(0), 0.6 * rho(1)]), torch.stack([0.6 * rho(-1), 1.5 * rho(0)])])


def dense(table: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """B (N, N), entry by entry of the table; 0 beyond it."""
    y, x = (a.flatten() for a in torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij"))
    m_y, m_x = table.shape[2] // 2, table.shape[3] // 2
    dy, dx = y[None, :] - y[:, None], x[None, :] - x[:, None]
    inside = (dy.abs() <= m_y) & (dx.abs() <= m_x)
    blocks = table[:, :, (dy + m_y).clamp(0, 2 * m_y), (dx + m_x).clamp(0, 2 * m_x)] * inside
    return blocks.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)


def on_torus(covariance: StationaryCovariance) -> torch.Tensor:
    """B (N, N) of all points of the torus: lags are the shortest way around."""
    t_y, t_x = covariance.torus
    far = torch.nn.functional.pad(covariance.table, (t_x, t_x, t_y, t_y))
    B = dense(far, (t_y, t_x)).view(2, t_y, t_x, 2, t_y, t_x)
    total = B.clone()
    for north, east in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]:
        m_y, m_x = far.shape[2] // 2, far.shape[3] // 2
        y, x = (torch.arange(n) for n in (t_y, t_x))
        dy, dx = y[None, :] - y[:, None] + north * t_y, x[None, :] - x[:, None] + east * t_x
        inside = (dy.abs() <= m_y)[:, None, :, None] & (dx.abs() <= m_x)[None, :, None, :]
        rows, columns = (dy + m_y).clamp(0, 2 * m_y), (dx + m_x).clamp(0, 2 * m_x)
        total += (far[:, :, rows[:, None, :, None], columns[None, :, None, :]] * inside).permute(0, 2, 3, 1, 4, 5)
    return total.reshape(2 * t_y * t_x, 2 * t_y * t_x)


def conditional(B: torch.Tensor, sigma: float) -> torch.Tensor:
    return B - B @ torch.linalg.solve(B + sigma**2 * torch.eye(len(B), dtype=B.dtype), B)


def as_matrix(covariance: StationaryCovariance, sigma: float) -> torch.Tensor:
    """C(σ) by products with unit fields."""
    channels = covariance.channels
    units = torch.eye(channels * POINTS, dtype=torch.float64).view(-1, channels, *SHAPE)
    return covariance.conditional(sigma, dtype=torch.float64).apply(units).flatten(1).T


@pytest.mark.parametrize("sigma", [0.05, 0.6, 4.0, 80.0])
def test_equals_the_formula_on_the_torus(sigma):
    covariance = StationaryCovariance(two_channels(), SHAPE)
    t_y, t_x = covariance.torus
    C = conditional(on_torus(covariance), sigma).view(2, t_y, t_x, 2, t_y, t_x)
    ny, nx = SHAPE
    expected = C[:, :ny, :nx, :, :ny, :nx].reshape(2 * POINTS, 2 * POINTS)
    torch.testing.assert_close(as_matrix(covariance, sigma), expected, rtol=0, atol=1e-10)


def test_large_noise_leaves_all_of_it_and_none_leaves_nothing():
    covariance = StationaryCovariance(two_channels(), SHAPE)
    B = dense(two_channels(), SHAPE)
    torch.testing.assert_close(as_matrix(covariance, 1e7), B, rtol=0, atol=1e-10)
    assert float(as_matrix(covariance, 0.0).abs().max()) == 0.0


def test_little_noise_leaves_itself():
    table = two_channels()
    table[:, :, 6, 6] += 0.5 * torch.eye(2)  # no eigenvalue is near 0
    eye = torch.eye(2 * POINTS, dtype=torch.float64)
    torch.testing.assert_close(as_matrix(StationaryCovariance(table, SHAPE), 1e-4), 1e-8 * eye, rtol=0, atol=1e-15)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_fields_that_end_at_their_edge_know_a_little_less(sigma):
    """Beyond the edge the torus has a noisy field; the bounded fields have none. Variances differ there most."""
    table = two_channels(width=2.0, reach=2)
    found = as_matrix(StationaryCovariance(table, SHAPE), sigma).diagonal().view(2, *SHAPE)
    exact = conditional(dense(table, SHAPE), sigma).diagonal().view(2, *SHAPE)
    assert float((exact - found).min()) > -1e-10
    assert float(((exact - found) / exact).max()) < 0.25
    assert float(((exact - found) / exact)[:, 3, 4].max()) < 0.1


@pytest.mark.parametrize("sigma", [0.1, 2.0, 50.0])
def test_is_symmetric_and_never_negative(sigma):
    C = as_matrix(StationaryCovariance(two_channels(), SHAPE), sigma)
    torch.testing.assert_close(C, C.T, rtol=0, atol=1e-12)
    assert float(torch.linalg.eigvalsh(C)[0]) > -1e-12


def test_lags_are_those_of_the_products():
    torus_covariance = StationaryCovariance(two_channels(), SHAPE).conditional(0.7, dtype=torch.float64)
    lags, ny, nx = torus_covariance.lags(), *SHAPE
    C = as_matrix(StationaryCovariance(two_channels(), SHAPE), 0.7).view(2, ny, nx, 2, ny, nx)
    for from_y, from_x, to_y, to_x in [(0, 0, 0, 0), (2, 3, 5, 1), (6, 8, 0, 0), (1, 2, 1, 3)]:
        lag = lags[:, :, (to_y - from_y) % lags.shape[2], (to_x - from_x) % lags.shape[3]]
        torch.testing.assert_close(C[:, from_y, from_x, :, to_y, to_x], lag, rtol=0, atol=1e-12)


def test_float32_agrees_with_float64():
    covariance = StationaryCovariance(two_channels(), SHAPE)
    fields = torch.randn(3, 2, *SHAPE, generator=torch.Generator().manual_seed(0))
    for sigma in (0.03, 1.0, 80.0):
        wide = covariance.conditional(sigma, dtype=torch.float64).apply(fields.double())
        found = covariance.conditional(sigma).apply(fields)
        assert found.dtype == torch.float32
        assert float((found - wide).norm() / wide.norm()) < 1e-5


def test_zeros_around_a_table_cost_nothing():
    plain = StationaryCovariance(two_channels(reach=4), SHAPE)
    padded = StationaryCovariance(torch.nn.functional.pad(two_channels(reach=4), (9, 9, 5, 5)), SHAPE)
    assert padded.torus == plain.torus
    torch.testing.assert_close(as_matrix(padded, 1.0), as_matrix(plain, 1.0))


def test_negative_eigenvalues_count_as_none():
    covariance = StationaryCovariance(torch.ones(1, 1, 3, 3, dtype=torch.float64), SHAPE)  # a box has negative ones
    for sigma in (0.1, 1.0, 80.0):
        C = as_matrix(covariance, sigma)
        assert bool(torch.isfinite(C).all())
        assert float(torch.linalg.eigvalsh(0.5 * (C + C.T))[0]) > -1e-12


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (torch.ones(2, 1, 3, 3), "has the shape"),
        (torch.ones(1, 1, 4, 3), "has the shape"),
        (torch.full((1, 1, 3, 3), math.nan), "not finite"),
        (torch.zeros(1, 1, 3, 3), "must be positive"),
    ],
)
def test_tables_that_are_none(table, message):
    with pytest.raises(InputError, match=message):
        StationaryCovariance(table, SHAPE)


@pytest.mark.parametrize("sigma", [-1.0, math.nan, math.inf])
def test_noise_levels_that_are_none(sigma):
    with pytest.raises(UsageError, match="noise level"):
        StationaryCovariance(two_channels(), SHAPE).conditional(sigma)
