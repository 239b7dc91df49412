"""Modes of a background-error covariance on a grid (Nyström): B ≈ G Gᵀ from some of its columns.

With landmarks m, every ``spacing``-th grid point of every ``spacing``-th row, and B_mm = U Λ_m Uᵀ,

    G = B_pm U Λ_m^(−½),

turned so that its columns are orthogonal. Exact at the landmarks; between them it misses what is finer than their
spacing, and that variance is returned beside the modes. References: Williams and Seeger (2001), NIPS 13, 682–688.
"""

from collections.abc import Mapping

import torch

from rtma_diffda.assimilation.correlation import BackgroundError, Places, covariance, variance
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.diffusion.conditioning.low_rank_gain import Modes
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem

_MOST_LANDMARKS = 900
"""Their eigenvectors take about a quarter of a second a variable; the spacing grows where a grid would have more."""
_SMALLEST = 1e-6
"""Of the largest eigenvalue of B_mm: smaller ones are noise of the arithmetic."""
_ROWS = 1024
"""Whose products are added up in float32."""


def covariance_modes(
    errors: Mapping[str, BackgroundError],
    problem: AssimilationProblem,
    static: StaticFields,
    scale: torch.Tensor,
    *,
    spacing: int = 3,
) -> tuple[Modes, ...]:
    """Modes of every channel, in units of s.

    Args:
        errors: B by variable (SI).
        problem: of one background member, whose values B may look at.
        static: terrain and land.
        scale: s (channel, 1, 1) SI.
        spacing: of the landmarks, in grid points.
    """
    surroundings, layout, modes = Surroundings(problem, static), problem.background.layout, []
    landmarks = _landmarks(layout.grid.shape, spacing)
    for channel, name in enumerate(layout.names):
        places, background = surroundings.of_grid(channel)
        seen = with_background(places, background[0])
        local = seen.relative_to(seen.position.mean(dim=0), torch.float32)
        modes.append(_modes(errors[name], local, landmarks, float(scale.flatten()[channel])))
    return tuple(modes)


def _modes(error: BackgroundError, places: Places, landmarks: torch.Tensor, scale: float) -> Modes:
    B_pm = covariance(error, places, places.select(landmarks)) / scale**2
    eigenvalues, U = torch.linalg.eigh(B_pm[landmarks].double())
    kept = eigenvalues > _SMALLEST * eigenvalues[-1]
    W = U[:, kept] / eigenvalues[kept].sqrt()
    lengths, V = torch.linalg.eigh(W.T @ _gram(B_pm) @ W)
    G = B_pm @ (W @ V).float()
    rest = variance(error, places) / scale**2 - G.square().sum(dim=1)
    return Modes(G, lengths.clamp_min(0.0).float(), rest.clamp_min(0.0))


def _gram(rows: torch.Tensor) -> torch.Tensor:
    """rowsᵀ rows in float64, from products of few rows each in float32: a third of the time, and no digit less."""
    return sum((part.T @ part).double() for part in rows.split(_ROWS))


def modes_resolve(shape: tuple[int, int], spacing: int) -> bool:
    """Whether modes of a grid of ``shape`` (y, x) can have landmarks ``spacing`` points apart."""
    return (shape[0] // spacing) * (shape[1] // spacing) <= _MOST_LANDMARKS


def _landmarks(shape: tuple[int, int], spacing: int) -> torch.Tensor:
    """Flat indices, away from the edges by half a spacing."""
    nx = shape[1]
    while not modes_resolve(shape, spacing):
        spacing += 1
    rows, columns = (torch.arange(min(spacing // 2, n - 1), n, spacing) for n in shape)
    return (rows[:, None] * nx + columns).flatten()
