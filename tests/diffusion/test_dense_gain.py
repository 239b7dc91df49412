"""The gain by dense algebra: against the formula, for non-linear H, and where the algebra is singular."""

import math

import pytest
import torch

from rtma_diffda.diffusion.conditioning.dense_gain import DenseGain, jacobian
from rtma_diffda.diffusion.conditioning.evidence import Evidence, Stencil
from rtma_diffda.errors import InputError

SHAPE, SIZE = (2, 4, 5), 40


def covariance() -> torch.Tensor:
    position = torch.cartesian_prod(torch.arange(4.0), torch.arange(5.0)).double()
    rho = torch.exp(-0.5 * torch.cdist(position, position) ** 2 / 1.5**2)
    return torch.kron(torch.tensor([[1.0, 0.5], [0.5, 2.0]], dtype=torch.float64), rho)


def rows(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / 4.0


def linear(H: torch.Tensor, error: float | torch.Tensor = 0.5) -> Evidence:
    n = len(H)
    error_std = error * torch.ones(n, dtype=torch.float64)
    return Evidence(lambda r: r.flatten(1) @ H.to(r).T, torch.zeros(n, dtype=torch.float64), error_std)


def conditional(B: torch.Tensor, sigma: float) -> torch.Tensor:
    return B - B @ torch.linalg.solve(B + sigma**2 * torch.eye(len(B), dtype=B.dtype), B)


def increments(d: torch.Tensor, H: torch.Tensor, R: torch.Tensor, sigma: float) -> torch.Tensor:
    C = conditional(covariance(), sigma)
    return (d @ torch.linalg.inv(H @ C @ H.T + torch.diag(R)) @ H @ C).view(-1, *SHAPE)


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.01, 0.4, 5.0, 80.0])
@pytest.mark.parametrize("affine", [False, True])
def test_equals_the_formula(sigma, affine):
    H, d, at = rows(9), normal(3, 9), normal(3, *SHAPE)
    error = torch.linspace(0.1, 2.0, 9, dtype=torch.float64)
    found = DenseGain(covariance(), linear(H, error), affine=affine)(d, sigma, at)
    torch.testing.assert_close(found, increments(d, H, error.square(), sigma), rtol=0, atol=1e-9)


def test_large_noise_is_optimal_interpolation_and_none_moves_nothing():
    B, H, d = covariance(), rows(6), normal(2, 6)
    gain = DenseGain(B, linear(H))
    interpolated = d @ torch.linalg.inv(H @ B @ H.T + 0.25 * torch.eye(6)) @ H @ B
    torch.testing.assert_close(gain(d, 1e6, normal(2, *SHAPE)).flatten(1), interpolated, rtol=0, atol=1e-8)
    assert float(gain(d, 0.0, normal(2, *SHAPE)).abs().max()) == 0.0
    assert float(gain(d, 1e-4, normal(2, *SHAPE)).abs().max()) < 1e-7


@pytest.mark.parametrize("sigma", [1e-3, 1.0, 80.0])
def test_exact_data_are_met_and_useless_ones_say_nothing(sigma):
    H, d = rows(6), normal(2, 6)
    met = DenseGain(covariance(), linear(H, 1e-12))(d, sigma, normal(2, *SHAPE))
    torch.testing.assert_close(met.flatten(1) @ H.T, d, rtol=0, atol=1e-5)
    useless = DenseGain(covariance(), linear(H, 1e12))(d, sigma, normal(2, *SHAPE))
    assert float(useless.abs().max()) < 1e-20


def test_a_datum_of_infinite_error_is_none():
    H, d, error = rows(6), normal(2, 6), torch.full((6,), 0.5, dtype=torch.float64)
    error[3:] = math.inf
    found = DenseGain(covariance(), linear(H, error))(d, 1.0, normal(2, *SHAPE))
    torch.testing.assert_close(found, DenseGain(covariance(), linear(H[:3]))(d[:, :3], 1.0, normal(2, *SHAPE)))


def test_the_same_datum_many_times():
    """H C Hᵀ is singular. n data of error ε are one of ε / √n; exact ones that contradict each other are their mean."""
    H, d = rows(1), normal(2, 30)
    many = DenseGain(covariance(), linear(H.expand(30, -1)))(d, 1.0, normal(2, *SHAPE))
    one = DenseGain(covariance(), linear(H, 0.5 / 30**0.5))(d.mean(dim=1, keepdim=True), 1.0, normal(2, *SHAPE))
    torch.testing.assert_close(many, one, rtol=0, atol=1e-9)
    exact = DenseGain(covariance(), linear(H.expand(30, -1), 1e-15))(d, 1.0, normal(2, *SHAPE))
    torch.testing.assert_close(exact.flatten(1) @ H.T, d.mean(dim=1, keepdim=True), rtol=0, atol=1e-3)


def test_more_exact_data_than_values():
    found = DenseGain(covariance(), linear(rows(90), 1e-9))(normal(1, 90), 1.0, normal(1, *SHAPE))
    assert bool(torch.isfinite(found).all())


def test_a_covariance_without_full_rank():
    B = covariance()
    B[:20, :] = 0.0
    B[:, :20] = 0.0
    found = DenseGain(B, linear(rows(5)))(normal(2, 5), 1.0, normal(2, *SHAPE))
    assert bool(torch.isfinite(found).all())
    assert float(found[:, 0].abs().max()) < 1e-12


def test_no_observations():
    found = DenseGain(covariance(), linear(rows(0)))(normal(2, 0), 1.0, normal(2, *SHAPE))
    assert found.shape == (2, *SHAPE)
    assert float(found.abs().max()) == 0.0


def wind_speeds(points: list[int]) -> Evidence:
    """|(u, v)| at grid points: not linear."""

    def equivalents(r: torch.Tensor) -> torch.Tensor:
        u, v = r.flatten(2)[:, :, points].unbind(dim=1)
        return torch.hypot(u, v)

    n = len(points)
    return Evidence(equivalents, torch.zeros(n, dtype=torch.float64), torch.full((n,), 0.5, dtype=torch.float64))


def test_a_non_linear_H_is_linearised_at_each_member():
    points, at, d = [0, 7, 13], normal(3, *SHAPE), normal(3, 3)
    found = DenseGain(covariance(), wind_speeds(points))(d, 0.8, at)
    u, v = at.flatten(2)[:, :, points].unbind(dim=1)
    speed = torch.hypot(u, v)
    for member in range(3):
        J = torch.zeros(3, SIZE, dtype=torch.float64)
        J[range(3), points] = (u / speed)[member]
        J[range(3), [20 + p for p in points]] = (v / speed)[member]
        torch.testing.assert_close(jacobian(wind_speeds(points), at)[member], J, rtol=0, atol=1e-12)
        expected = increments(d[member : member + 1], J, torch.full((3,), 0.25, dtype=torch.float64), 0.8)
        torch.testing.assert_close(found[member : member + 1], expected, rtol=0, atol=1e-9)


def test_steps_repeated_from_a_better_state_approach_the_observations():
    """Gauss-Newton: exact wind speeds are met after a few steps, from each step's result."""
    evidence = wind_speeds([0, 7, 13])
    evidence = Evidence(evidence.equivalents, torch.tensor([1.0, 2.0, 0.5]).double(), 1e-6 * evidence.error_std)
    at, misses = normal(2, *SHAPE), []
    for _ in range(8):
        misses.append(float(evidence.departures(at).abs().max()))
        at = at + DenseGain(covariance(), evidence)(evidence.departures(at), 1.0, at)
    assert misses[-1] < 1e-4 < misses[0]


def test_members_do_not_influence_each_other():
    points, at, d = [0, 7, 13], normal(4, *SHAPE), normal(4, 3)
    gain = DenseGain(covariance(), wind_speeds(points))
    together = gain(d, 0.8, at)
    alone = torch.cat([gain(d[i : i + 1], 0.8, at[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-12)


def test_rows_are_worked_out_once_where_evidence_has_them():
    H, calls = torch.zeros(1, SIZE, dtype=torch.float64), []
    H[0, 3] = 2.0

    def equivalents(r: torch.Tensor) -> torch.Tensor:
        calls.append(r.dtype)
        return r.flatten(1) @ H.to(r).T

    stencil = Stencil(torch.tensor([0]), torch.tensor([[3]]), torch.tensor([[2.0]]))
    gain = DenseGain(covariance(), Evidence(equivalents, torch.zeros(1), torch.ones(1), stencil))
    for members in (2, 3):
        at = normal(members, *SHAPE).float()
        found = gain(normal(members, 1).float(), 1.0, at)
        assert found.dtype == torch.float32
        expected = increments(normal(members, 1), H, torch.ones(1, dtype=torch.float64), 1.0)
        torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-6)
    assert calls == [torch.float64]


@pytest.mark.parametrize("B", [torch.eye(3)[:2], torch.full((3, 3), math.nan)])
def test_covariances_that_are_none(B):
    with pytest.raises(InputError, match="a dense covariance"):
        DenseGain(B, linear(rows(1)))


def test_fields_of_another_size_are_refused():
    with pytest.raises(InputError, match="B is of 40 values, r0 of 20"):
        DenseGain(covariance(), linear(rows(1)))(normal(1, 1), 1.0, normal(1, 1, 4, 5))
