"""Optimal interpolation on global grids of any size: every grid point from its nearest data, each channel by itself.

    (x_a − x_b)(p) = D(p) c (C + R̃)⁻¹ d̃,    σ_a²(p) = D(p)² (1 − c (C + R̃)⁻¹ cᵀ)

with the data d̃_i = d_i / D_i and R̃_i = R_i / D_i² nearest to p, c_i = φ(p, p_i) and C_ij = φ(p_i, p_j). D, the standard
deviation of the background's error by latitude, and φ, one length a channel, are ``sphere_fitting.fit_structures``. On
coarse grids ``sphere_optimal_interpolation`` is far better: its B knows more, and all data count everywhere. Reference:
Gandin (1963); Daley (1991), chapter 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from rtma_diffda.assimilation.sphere_data import SphereData
from rtma_diffda.assimilation.sphere_interpolation import grid_places
from rtma_diffda.assimilation.sphere_structure import SphereStructure
from rtma_diffda.diffusion.conditioning.evidence import evidence_of
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.interfaces import Analysis, AssimilationProblem

_POINTS_AT_ONCE = 16384
"""Bounds memory: correlations between 16 neighbours take 34 MB."""
_LEAST_ERROR = 1e-4
"""Smallest standard deviation of an error, as a share of D: data nearly at one place are then no trouble."""


@dataclass(frozen=True)
class SphereLocalInterpolation:
    """The method.

    Attributes:
        std: D (channel, y) SI, at the rows of the problems' grid.
        structures: φ of each channel.
        neighbours: how many data a grid point sees.
    """

    std: Tensor
    structures: tuple[SphereStructure, ...]
    neighbours: int = 16

    def __post_init__(self) -> None:
        if len(self.std) != len(self.structures) or not bool((self.std > 0).all()) or self.neighbours < 1:
            raise UsageError(
                f"local interpolation needs a positive std and a structure for each channel, and neighbours; found "
                f"{tuple(self.std.shape)}, {len(self.structures)} structures and {self.neighbours}"
            )

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The analysis on the grid, with the standard deviation of its error; no random numbers are drawn.

        Raises:
            InputError: fields of other channels or rows, or data that are no linear function of few grid points.
        """
        background = problem.background
        channels, ny, nx = background.layout.shape
        if self.std.shape != (channels, ny):
            raise InputError(f"B is of {tuple(self.std.shape)} channels and rows, the background of {(channels, ny)}")
        evidence = evidence_of(problem, torch.ones(channels, 1, 1), members=background.members)
        values, error_std = background.values.clone(), self.std.to(background.values)[:, :, None].repeat(1, 1, nx)
        if len(evidence):
            if evidence.stencil is None:
                raise InputError("local interpolation needs data that are linear in few grid points")
            data = SphereData.of(evidence.stencil, evidence.error_std, channels)
            departures = data.merged(evidence.departures(torch.zeros_like(background.values).double().cpu()))
            for near in self._near(data, problem):
                for channel in near.channels:
                    increment, left = self._channel(channel, near, departures[:, channel, near.rows], data)
                    values[:, channel] += increment.view_as(values[:, channel]).to(values)
                    error_std[channel] *= left.view(ny, nx).to(error_std)
        return Analysis(background.with_values(values), problem, error_std)

    def _near(self, data: SphereData, problem: AssimilationProblem) -> Iterator["_Near"]:
        """Neighbours of all grid points, once for all channels that are observed at the same places."""
        grid = grid_places(problem.background.layout.grid)
        targets = grid.position.flatten(0, 1)
        position = (targets[data.points] * data.weights[..., None]).sum(dim=1)
        position = position * (targets[0].norm() / position.norm(dim=1, keepdim=True).clamp_min(1e-9))
        observed = torch.isfinite(data.error_variance).T  # (channel, place)
        patterns, of_channel = torch.unique(observed, dim=0, return_inverse=True)
        latitude = torch.rad2deg(torch.asin((position[:, 2] / targets[0].norm()).clamp(-1.0, 1.0)))
        for i, pattern in enumerate(patterns):
            if bool(pattern.any()):
                rows = torch.nonzero(pattern)[:, 0]
                count = min(self.neighbours, len(rows))
                found = KDTree(position[rows].numpy()).query(targets.numpy(), k=list(range(1, count + 1)))
                distance, nearest = (torch.from_numpy(array) for array in found)
                channels = torch.nonzero(of_channel == i)[:, 0].tolist()
                yield _Near(channels, rows, position[rows], latitude[rows], nearest, distance, grid.latitude)

    def _channel(self, channel: int, near: "_Near", d: Tensor, data: SphereData) -> tuple[Tensor, Tensor]:
        """Increments (member, point) SI, and σ_a / D (point,)."""
        rows_std = self.std[channel].double().cpu()
        at_data = torch.from_numpy(np.interp(near.latitude, near.grid_latitude, rows_std))
        R = (data.error_variance[near.rows, channel] / at_data.square()).clamp_min(_LEAST_ERROR**2)
        increments, left = [], []
        for nearest, distance in zip(
            near.nearest.split(_POINTS_AT_ONCE), near.distance.split(_POINTS_AT_ONCE), strict=True
        ):
            weights, explained = self._weights(self.structures[channel], near.position[nearest], distance, R[nearest])
            increments.append((d / at_data)[:, nearest].mul(weights).sum(dim=-1))
            left.append((1.0 - explained).clamp_min(0.0).sqrt())
        at_points = rows_std.repeat_interleave(len(near.nearest) // len(rows_std))
        return torch.cat(increments, dim=1) * at_points, torch.cat(left)

    @staticmethod
    def _weights(structure: SphereStructure, near: Tensor, distance: Tensor, R: Tensor) -> tuple[Tensor, Tensor]:
        """(C + R̃)⁻¹ cᵀ (point, k), and c (C + R̃)⁻¹ cᵀ (point,), of data at ``near`` (point, k, 3)."""
        between = torch.cdist(near, near, compute_mode="donot_use_mm_for_euclid_dist")
        c = structure.correlation(distance.square())
        C = structure.correlation(between.square()) + torch.diag_embed(R)
        weights = torch.cholesky_solve(c[..., None], torch.linalg.cholesky(C))[..., 0]
        return weights, (weights * c).sum(dim=1)


@dataclass(frozen=True)
class _Near:
    """Who is near whom.

    Attributes:
        channels: observed at the same places.
        rows: (n,) of these among all places.
        position: (n, 3) m.
        latitude: (n,) degrees.
        nearest: (point, k) among the n.
        distance: (point, k) m.
        grid_latitude: (y,) degrees.
    """

    channels: list[int]
    rows: Tensor
    position: Tensor
    latitude: Tensor
    nearest: Tensor
    distance: Tensor
    grid_latitude: Tensor
