"""The Gaussian posterior at any places, from innovations at others: the algebra of optimal interpolation.

With A = B_oo + R between the data, and B_po between the places and the data,

    x_a − x_b = B_po A⁻¹ d,        σ_a² = diag(B_pp − B_po A⁻¹ B_op).

``ExactSolver`` uses all data everywhere (n³). ``LocalSolver`` covers the places with overlapping tiles; each tile is
solved with the data nearest to its centre, and the tiles are joined with bilinear hat weights, which add up to one, so
that the analysis is continuous. References: Gandin (1963); Daley (1991), Atmospheric Data Analysis, chapter 4.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError, Places, covariance, variance
from rtma_diffda.errors import InputError

_Answer = TypeVar("_Answer")
_CHUNK = 1024
"""Places solved at a time by the exact solver: bounds its memory at n × 1024 numbers a thread."""


@dataclass(frozen=True)
class Evidence:
    """What is known about the error of the background.

    Attributes:
        places: of the n data.
        error_variance: (n,) diagonal of R, SI squared.
        innovations: (member, n) d = y − H(x_b).
    """

    places: Places
    error_variance: Tensor
    innovations: Tensor

    def select(self, rows: Tensor) -> "Evidence":
        """The data of an index tensor (m,)."""
        return Evidence(self.places.select(rows), self.error_variance[rows], self.innovations[:, rows])


@dataclass(frozen=True)
class Posterior:
    """Increment and its uncertainty.

    Attributes:
        increment: (member, p) x_a − x_b at the places asked for.
        variance: (p,) σ_a².
        chi_square: dᵀ A⁻¹ d / n, mean over members; near 1 where B and R describe the innovations.
    """

    increment: Tensor
    variance: Tensor
    chi_square: float


class Solver(Protocol):
    """Evaluates the posterior of one variable."""

    def solve(self, error: BackgroundError, evidence: Evidence, targets: Places) -> Posterior:
        """The posterior at ``targets``, in float64."""


@dataclass(frozen=True)
class _Factor:
    """A = C Cᵀ: factor C (n, n), A⁻¹ d (n, member) and chi² a datum."""

    triangle: Tensor
    weights: Tensor
    chi_square: float


@dataclass(frozen=True)
class ExactSolver:
    """All data everywhere, in float64."""

    def solve(self, error: BackgroundError, evidence: Evidence, targets: Places) -> Posterior:
        """The posterior at ``targets``."""
        factor = _factorise(error, evidence)

        def evaluate(i: int) -> tuple[Tensor, Tensor]:
            return _evaluate(error, evidence, factor, targets.select(slice(i * _CHUNK, (i + 1) * _CHUNK)))

        increments, spreads = zip(*_in_threads(evaluate, max(1, -(-len(targets) // _CHUNK))), strict=True)
        return Posterior(torch.cat(increments, dim=1), torch.cat(spreads), factor.chi_square)


@dataclass(frozen=True)
class LocalSolver:
    """Overlapping tiles, each with its nearest data.

    Attributes:
        observations: most data a tile uses.
        dtype: of the tiles' arithmetic; float32 halves the time, and a tile whose A is singular in it is solved again
            in float64.
    """

    observations: int = 256
    dtype: torch.dtype = torch.float32

    def solve(self, error: BackgroundError, evidence: Evidence, targets: Places) -> Posterior:
        """The posterior at ``targets``."""
        if len(evidence.error_variance) <= self.observations:
            return ExactSolver().solve(error, evidence, targets)
        positions = evidence.places.position.numpy()
        tree = cKDTree(positions)
        tiles = _lay_tiles(targets.position.numpy(), _tile_width(tree, self.observations))
        _, nearest = tree.query(tiles.centres, k=self.observations)

        def solve_tile(i: int) -> tuple[Tensor, Tensor, float]:
            part = evidence.select(torch.from_numpy(np.sort(nearest[i])))
            places = targets.select(torch.from_numpy(tiles.rows[i]))
            return self._solve_tile(error, part, places, torch.from_numpy(tiles.centres[i]))

        increments, spreads, chi_squares = zip(*_in_threads(solve_tile, len(tiles.centres)), strict=True)
        return _blend(tiles, torch.cat(increments, dim=1), torch.cat(spreads), float(np.mean(chi_squares)))

    def _solve_tile(
        self, error: BackgroundError, evidence: Evidence, targets: Places, origin: Tensor
    ) -> tuple[Tensor, Tensor, float]:
        """One tile, in matrices small enough for the cache: 2.5 times as fast as one batch of all tiles."""
        local = _localise(evidence, origin, self.dtype)
        try:
            factor = _factorise(error, local)
        except InputError:
            local = _localise(evidence, origin, torch.float64)
            factor = _factorise(error, local)
        places = targets.relative_to(origin, local.error_variance.dtype)
        return *_evaluate(error, local, factor, places), factor.chi_square


@dataclass(frozen=True)
class AutomaticSolver:
    """The exact solver for few data, the local one for many.

    Attributes:
        exact_limit: most data that are solved exactly.
        local: the solver of larger problems.
    """

    exact_limit: int = 1500
    local: LocalSolver = LocalSolver()

    def solve(self, error: BackgroundError, evidence: Evidence, targets: Places) -> Posterior:
        """The posterior at ``targets``."""
        if len(evidence.error_variance) <= self.exact_limit:
            return ExactSolver().solve(error, evidence, targets)
        return self.local.solve(error, evidence, targets)


def _factorise(error: BackgroundError, evidence: Evidence) -> _Factor:
    """Cholesky factor of A = B + R; float64 is tried again with a little more on the diagonal.

    Raises:
        InputError: A is not positive definite.
    """
    matrix = covariance(error, evidence.places, evidence.places)
    matrix.diagonal().add_(evidence.error_variance)
    triangle, failed = torch.linalg.cholesky_ex(matrix)
    if failed and matrix.dtype == torch.float64:
        matrix.diagonal().mul_(1.0 + 1e-10)
        triangle, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        raise InputError(
            f"the covariance of {len(matrix)} data is not positive definite at row {int(failed)}; "
            "their errors are too small for the correlations given"
        )
    d = evidence.innovations.T
    weights = torch.cholesky_solve(d, triangle)
    return _Factor(triangle, weights, float((d * weights).sum(dtype=torch.float64)) / max(d.numel(), 1))


def _evaluate(error: BackgroundError, evidence: Evidence, factor: _Factor, targets: Places) -> tuple[Tensor, Tensor]:
    """Increment (member, p) and variance (p,) at the targets."""
    B_op = covariance(error, evidence.places, targets)
    increment = factor.weights.T @ B_op
    # from the right on the transpose, which LAPACK takes as it lies in memory: 0.5 to 0.8 of the time (measured)
    explained = torch.linalg.solve_triangular(factor.triangle.T, B_op.T, upper=True, left=False)
    spread = variance(error, targets) - torch.linalg.vector_norm(explained, dim=1) ** 2
    return increment, spread.clamp_min(0.0)


def _in_threads(task: Callable[[int], _Answer], count: int) -> list[_Answer]:
    """``task(0) … task(count − 1)``, as many at a time as torch may use threads, each on one thread.

    Tiles are too small to be shared among threads: one tile a thread took half the time of all threads on one tile.
    """
    threads = torch.get_num_threads()
    if threads == 1 or count == 1:
        return [task(i) for i in range(count)]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(task, range(count)))
    finally:
        torch.set_num_threads(threads)


def _localise(evidence: Evidence, origin: Tensor, dtype: torch.dtype) -> Evidence:
    return Evidence(
        evidence.places.relative_to(origin, dtype), evidence.error_variance.to(dtype), evidence.innovations.to(dtype)
    )


@dataclass(frozen=True)
class _Tiles:
    """Which places each tile solves.

    Attributes:
        centres: (tile, 2) projected metres.
        rows: the places of each tile; every place is in up to four tiles.
        weights: (entry,) hat weights of the concatenated rows; those of a place add up to 1.
        places: number of places.
    """

    centres: np.ndarray
    rows: list[np.ndarray]
    weights: np.ndarray
    places: int


def _tile_width(tree: cKDTree, observations: int) -> float:
    """Distance of tile centres: a tile's corners then lie within its nearest data, where data are dense.

    A tile reaches one width to every side, so its corners are √2 widths from its centre.
    """
    sample = tree.data[:: max(1, len(tree.data) // 200)]
    reach = tree.query(sample, k=[observations])[0]
    return float(np.quantile(reach, 0.25)) / np.sqrt(2.0)


def _lay_tiles(positions: np.ndarray, width: float) -> _Tiles:
    """Tile centres on a square lattice over ``positions`` (p, 2), and the four tiles of every place."""
    south_west, extent = positions.min(axis=0), np.ptp(positions, axis=0)
    width = max(width, extent.max() / 64.0, 1.0)
    columns, rows = (np.ceil(extent / width).astype(int) + 1).clip(2)
    fraction = (positions - south_west) / width
    corner = np.minimum(fraction.astype(int), [columns - 2, rows - 2])
    east, north = (fraction - corner).T
    tiles, weights = [], []
    for dx, wx in ((0, 1.0 - east), (1, east)):
        for dy, wy in ((0, 1.0 - north), (1, north)):
            tiles.append((corner[:, 1] + dy) * columns + corner[:, 0] + dx)
            weights.append(wx * wy)
    tile, weight = np.concatenate(tiles), np.concatenate(weights)
    kept = np.flatnonzero(weight > 0)
    order = kept[np.argsort(tile[kept], kind="stable")]
    used, starts = np.unique(tile[order], return_index=True)
    centres = south_west + width * np.stack([used % columns, used // columns], axis=1)
    return _Tiles(centres, np.split(order % len(positions), starts[1:]), weight[order], len(positions))


def _blend(tiles: _Tiles, increments: Tensor, spreads: Tensor, chi_square: float) -> Posterior:
    """Sum of the tiles' answers (member, entry) and (entry,) with their hat weights."""
    rows, weights = torch.from_numpy(np.concatenate(tiles.rows)), torch.from_numpy(tiles.weights)
    increment = torch.zeros(len(increments), tiles.places, dtype=torch.float64)
    increment.index_add_(1, rows, increments.double() * weights)
    blended = torch.zeros(tiles.places, dtype=torch.float64).index_add_(0, rows, spreads.double() * weights)
    return Posterior(increment, blended, chi_square)
