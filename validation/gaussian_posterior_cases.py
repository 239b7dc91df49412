"""The problems of ``gaussian_posterior.py``, each with the mean and covariance of its posterior."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.spread_innovations import GridPlaces, ObservedPoints
from rtma_diffda.diffusion.gaussian import Gaussian

DOUBLE = torch.float64
POINTS, LENGTH = 32, 4.0


@dataclass(frozen=True)
class Case:
    """A problem and its answer.

    Attributes:
        name: what is observed, and what is scored.
        prior: of r (channel, y, x); it is the denoiser as well.
        evidence: the observations.
        exact: the posterior, or a Gaussian of its mean and covariance.
        scored: (channel, y, x) bool.
        members: of the ensemble drawn, a multiple of 8.
        observed: the data as points of the grid, for replacement; None where H is not linear.
    """

    name: str
    prior: Gaussian
    evidence: Evidence
    exact: Gaussian
    scored: Tensor
    members: int
    observed: ObservedPoints | None = None


def pair() -> Gaussian:
    """Two variables of correlation 0.9."""
    return Gaussian(torch.zeros(2, 1, 1, dtype=DOUBLE), torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=DOUBLE))


def weather(between: Sequence[Sequence[float]] = ((1.0,),)) -> Gaussian:
    """Variables of unit variance on the grid, with correlations ``between`` them; SOAR in distance."""
    places = torch.cartesian_prod(torch.arange(POINTS), torch.arange(POINTS)).double()
    distance = torch.cdist(places, places) / LENGTH
    covariance = torch.kron(torch.tensor(between, dtype=DOUBLE), (1.0 + distance) * torch.exp(-distance))
    return Gaussian(torch.zeros(len(between), POINTS, POINTS, dtype=DOUBLE), covariance)


def grid_of(prior: Gaussian) -> GridPlaces:
    _, ny, nx = prior.mean.shape
    return GridPlaces.of_plane(range(nx), range(ny))


def linear_case(name: str, prior: Gaussian, rows: Tensor, value: Tensor, *, error: float, **fields) -> Case:
    error_std = torch.full_like(value, error)
    evidence = Evidence(lambda r: r.flatten(1) @ rows.T.to(r), value, error_std)
    return Case(name, prior, evidence, prior.given(rows, value, error_std.square()), **fields)


def pair_case(error: float) -> Case:
    """r₁ = 1.5 is observed, r₂ scored: the problem of ``guidance-and-anchors.md`` §1.1."""
    rows, value = torch.tensor([[1.0, 0.0]], dtype=DOUBLE), torch.tensor([1.5], dtype=DOUBLE)
    observed = ObservedPoints(torch.zeros(1, dtype=torch.int64), torch.zeros(1, 2, dtype=DOUBLE), value)
    second = torch.tensor([False, True]).view(2, 1, 1)
    name = f"pair, error {error:g}: the other variable"
    return linear_case(name, pair(), rows, value, error=error, scored=second, members=4096, observed=observed)


def field_case(name: str, prior: Gaussian, *, seed: int, error: float, on_points: bool, members: int) -> Case:
    """60 data of the first variable, of a truth drawn from the prior; the last variable is scored."""
    generator, count = torch.Generator().manual_seed(seed), 60
    position = torch.rand(count, 2, generator=generator, dtype=DOUBLE) * (POINTS - 1.01)  # (x, y)
    position = position.round() if on_points else position
    rows = bilinear_rows(position, len(prior.mean))
    truth = prior.draw(1, generator=generator).flatten()
    value = rows @ truth + error * torch.randn(count, generator=generator, dtype=DOUBLE)
    scored = torch.zeros_like(prior.mean, dtype=torch.bool)
    scored[-1] = True
    observed = ObservedPoints(torch.zeros(count, dtype=torch.int64), position, value)
    return linear_case(name, prior, rows, value, error=error, scored=scored, members=members, observed=observed)


def bilinear_rows(position: Tensor, channels: int) -> Tensor:
    """H (n, N) of the first variable at places (n, 2), in grid points."""
    low = position.floor().long().clamp_max(POINTS - 2)
    share = position - low
    rows = torch.zeros(len(position), channels, POINTS, POINTS, dtype=DOUBLE)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (share[:, 0] if i else 1.0 - share[:, 0]) * (share[:, 1] if j else 1.0 - share[:, 1])
        rows[torch.arange(len(position)), 0, low[:, 1] + j, low[:, 0] + i] = weight
    return rows.flatten(1)


def speed_case() -> Case:
    """The speed of a wind of which the pair are the components, less the background's (3, 1)."""
    both = torch.ones(2, 1, 1, dtype=torch.bool)
    background = torch.tensor([3.0, 1.0], dtype=DOUBLE)

    def speed(s: Tensor) -> Tensor:
        return (s + background.to(s)).norm(dim=-1, keepdim=True)

    return curved_case(
        "pair, wind speed: both", pair(), (0, 1), speed, value=(4.0,), error=0.3, scored=both, members=4096
    )


def exponential_case() -> Case:
    """e^(r/2) at two neighbouring places, as of a visibility."""
    prior = weather()
    near = torch.zeros_like(prior.mean, dtype=torch.bool)
    near[:, 12:20, 11:22] = True
    places = (16 * POINTS + 15, 16 * POINTS + 18)

    def exponential(s: Tensor) -> Tensor:
        return (0.5 * s).exp()

    name = "field, exp(r/2) at two places: around them"
    return curved_case(name, prior, places, exponential, value=(1.9, 0.9), error=0.2, scored=near, members=128)


def curved_case(
    name: str, prior: Gaussian, places: Sequence[int], function: Callable[[Tensor], Tensor], *, value, error, **fields
) -> Case:
    """Functions of the values at two of the prior's N places."""
    value = torch.tensor(value, dtype=DOUBLE)
    where = torch.tensor(places)
    evidence = Evidence(lambda r: function(r.flatten(1)[:, where]), value, torch.full_like(value, error))
    rows = torch.eye(prior.mean.numel(), dtype=DOUBLE)[where]
    return Case(name, prior, evidence, given_function(prior, rows, function, evidence), **fields)


def given_function(prior: Gaussian, rows: Tensor, function: Callable[[Tensor], Tensor], evidence: Evidence) -> Gaussian:
    """Mean and covariance of r given a function of s = H r, two numbers: quadrature over s, and r given s is Gaussian.

    With S = H B Hᵀ and G = B Hᵀ S⁻¹: E[r] = m + G (E[s] − H m), Cov r = B − G (S − Cov s) Gᵀ.
    """
    S, at_mean = rows @ prior.covariance @ rows.T, rows @ prior.mean.flatten()
    nodes = torch.linspace(-7.0, 7.0, 701, dtype=DOUBLE)
    z = torch.cartesian_prod(nodes, nodes)
    s = at_mean + z @ torch.linalg.cholesky(S).T
    misfit = (evidence.value - function(s)) / evidence.error_std
    w = torch.softmax(-0.5 * (z.square().sum(dim=1) + misfit.square().sum(dim=1)), dim=0)
    mean = w @ s
    cov = (s - mean).T @ (w[:, None] * (s - mean))
    G = torch.linalg.solve(S, rows @ prior.covariance).T
    covariance = prior.covariance - G @ (S - cov) @ G.T
    moved = (G @ (mean - at_mean)).view_as(prior.mean)
    return Gaussian(prior.mean + moved, 0.5 * (covariance + covariance.T))


def cases() -> Iterator[Case]:
    """All of them, the cheap ones first."""
    for error in (0.1, 0.5, 1.0):
        yield pair_case(error)
    yield speed_case()
    one, two = weather(), weather(((1.0, 0.6), (0.6, 1.0)))
    yield field_case("field, points, error 0.1", one, seed=1, error=0.1, on_points=True, members=48)
    yield field_case("field, between points, error 0.7", one, seed=2, error=0.7, on_points=False, members=48)
    yield exponential_case()
    yield field_case("two fields, one observed: the other", two, seed=3, error=0.5, on_points=False, members=24)


def small_case(error: float, value: float = 1.0) -> Case:
    """Sixteen data on 8 × 8 points of one variable; values may be multiplied to be absurd."""
    places = torch.cartesian_prod(torch.arange(8), torch.arange(8)).double()
    prior = Gaussian(torch.zeros(1, 8, 8, dtype=DOUBLE), torch.exp(-torch.cdist(places, places) / 4.0))
    rows = torch.eye(64, dtype=DOUBLE)[::4]
    truth = prior.draw(1, generator=torch.Generator().manual_seed(3)).flatten()
    everywhere = torch.ones(1, 8, 8, dtype=torch.bool)
    return linear_case("", prior, rows, value * rows @ truth, error=error, scored=everywhere, members=32)
