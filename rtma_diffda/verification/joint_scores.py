"""Scores of what a method says of many places together: not only how large its errors are, but how alike.

CRPS, spread and ranks look at one place at a time: an ensemble whose members are shuffled at every place by itself
keeps them all. Two scores that do not, for members x_i (i = 1 … M), the truth y and errors e_i = x_i − y at n places:

    energy score      ES = 1/M Σ_i ‖e_i‖ − 1/(2 M (M − 1)) Σ_ij ‖e_i − e_j‖,    ‖e‖ = √(1/n Σ_a e_a²),
    variogram score   VS = Σ_ab w_ab [(v_ab − v̄_ab)² − s²_ab / M] / Σ_ab w_ab,  v_ab = |y_a − y_b|^p,  p = ½,

with v̄_ab and s²_ab the mean and the variance (over M − 1) of the members' |x_ia − x_ib|^p. Both have the variable's
unit, and both are *fair*: on average they are what infinitely many members of the same kind would get, so that no
method gains or loses by its number of members. For n = 1 the energy score is the fair CRPS. The fair variogram score is
the mean over i ≠ j of (v − v_i)(v − v_j); a single case of it may be negative.

*A Gaussian without correlations*, N(x̄_a, σ_a²) at every place by itself, is all that a method says that states a mean
and an error. Its variogram is known,

    E|x_a − x_b|^p = σ^p g(μ/σ),   μ = x̄_a − x̄_b,   σ² = σ_a² + σ_b²,
    g(z) = 2^(p/2) Γ((p + 1)/2) / √π · ₁F₁(−p/2; ½; −z²/2)                                       (Winkelbauer 2012),

and takes the place of v̄ with s² = 0. Its energy score has no closed form: so many members are drawn from it as the
ensembles have. A method that states no error is a point: M = 1 without the terms that compare members.

*Weights*: w_ab = 1/d_ab up to ``RADIUS``, 0 beyond, with d_ab the distance, and ``SHORTEST`` where that is longer. The
number of pairs grows like d, so every distance weighs the same; beyond the reach of the errors' correlation pairs add
noise. Tried on 80 cases of 100 places over 315 km × 315 km, errors with correlation exp(−d / 40 km), right ensembles of
8 against right Gaussians without correlations: mean difference over its standard error −8.9 with these weights, −4.1
with 1/d and no radius, −2.6 with equal weights up to 100 km, and 0.0 with equal weights for all pairs; −14.6 with 1/d²,
which we leave, for a few close pairs then decide. For 20 km it is −3.1 with these weights, for 80 km −22.2.

References: Gneiting and Raftery (2007), doi:10.1198/016214506000001437, §4.3; Scheuerer and Hamill (2015),
doi:10.1175/MWR-D-14-00269.1; Ferro (2014), doi:10.1002/qj.2270; Winkelbauer (2012), arXiv:1209.4340.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.special import gamma, hyp1f1

from rtma_diffda.geo.sphere import chord_to_distance, distance_to_chord, unit_vectors
from rtma_diffda.verification.ensemble_scores import Departures

ORDER = 0.5
"""p of the variogram score; the lower, the less single large differences sway it."""

RADIUS = 100e3
"""m; pairs that are further apart do not count."""

SHORTEST = 5e3
"""m; a closer pair weighs as if it were so far apart, lest one pair rule a case."""

BLOCK = 8
"""Points along a side of the blocks of a grid whose energy score is taken."""

_FAR = 1e6  # of z = μ/σ: from here g(z) is z^p to 13 digits


@dataclass(frozen=True)
class Pairs:
    """Pairs of places and their weights.

    Attributes:
        first, second: (k,) int64 positions of the two places.
        weight: (k,) sums to 1; empty where no two places are within the radius.
    """

    first: np.ndarray
    second: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, latitude: np.ndarray, longitude: np.ndarray, *, radius: float = RADIUS) -> "Pairs":
        """Every pair of places (n,), in degrees, up to ``radius`` (m) apart; two data of one place are no pair."""
        vectors = unit_vectors(latitude, longitude)
        first, second = cKDTree(vectors).query_pairs(float(distance_to_chord(radius)), output_type="ndarray").T
        distance = chord_to_distance(np.linalg.norm(vectors[first] - vectors[second], axis=-1))
        apart = distance > 0.0
        weight = 1.0 / np.maximum(distance[apart], SHORTEST)
        return cls(first[apart], second[apart], weight / weight.sum())


def drawn_members(departures: Departures, *, count: int, generator: torch.Generator) -> np.ndarray:
    """Errors (member, n) of members that stand for what a method says: those of an ensemble, or of a point, as they
    are; of a Gaussian ``count`` draws, independent from place to place."""
    if departures.is_ensemble or departures.error_std is None:
        return departures.errors
    shape = (count, departures.errors.shape[1])
    draws = torch.randn(shape, generator=generator, dtype=torch.float64).numpy()
    return departures.errors + departures.error_std * draws


def energy_score(errors: np.ndarray) -> np.ndarray:
    """ES (…) of errors (member, …, n), in the unit of the variable."""
    m = len(errors)
    skill = _norm(errors).mean(axis=0)
    if m == 1:
        return skill
    between = sum(_norm(errors[i] - errors[:i]).sum(axis=0) for i in range(1, m))
    return skill - between / (m * (m - 1))


def block_energy_score(errors: np.ndarray, *, size: int = BLOCK) -> float:
    """Mean energy score of square blocks of a grid, each scored by itself.

    Args:
        errors: (member, y, x).
        size: points along a block's side. Rows and columns beyond the last whole block are left out; a grid that holds
            no whole block is one.
    """
    m, ny, nx = errors.shape
    if min(ny, nx) < size:
        return float(energy_score(errors.reshape(m, -1)))
    rows, columns = ny // size, nx // size
    whole = errors[:, : rows * size, : columns * size].reshape(m, rows, size, columns, size)
    return float(energy_score(whole.swapaxes(2, 3).reshape(m, rows * columns, size * size)).mean())


def variogram_score(departures: Departures, truth: np.ndarray, pairs: Pairs, *, order: float = ORDER) -> float:
    """VS of what a method says at n places where ``truth`` (n,) was true; NaN without pairs."""
    if not pairs.weight.size:
        return float("nan")
    v = np.abs(truth[pairs.first] - truth[pairs.second]) ** order
    said = departures.errors + truth
    difference = said[:, pairs.first] - said[:, pairs.second]
    if departures.is_ensemble:
        powers = np.abs(difference) ** order
        squares = (v - powers.mean(axis=0)) ** 2 - powers.var(axis=0, ddof=1) / departures.members
    else:
        squares = (v - absolute_moment(difference[0], _independent_std(departures, pairs), order)) ** 2
    return float(pairs.weight @ squares)


def absolute_moment(mean: np.ndarray, std: np.ndarray, order: float) -> np.ndarray:
    """E|X|^p of X ~ N(mean, std²), any shapes that fit each other; |mean|^p where std is 0."""
    mean, std = np.broadcast_arrays(np.abs(mean), std)
    found = mean**order
    near = mean < _FAR * std
    z, p = mean[near] / std[near], order
    g = 2.0 ** (p / 2) * gamma((p + 1) / 2) / np.sqrt(np.pi) * hyp1f1(-p / 2, 0.5, -0.5 * z**2)
    found[near] = std[near] ** p * g
    return found


def _independent_std(departures: Departures, pairs: Pairs) -> np.ndarray:
    """Standard deviation (k,) of the difference of two places that know nothing of each other."""
    std = departures.error_std
    return np.zeros(pairs.weight.shape) if std is None else np.hypot(std[pairs.first], std[pairs.second])


def _norm(errors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(errors**2, axis=-1))
