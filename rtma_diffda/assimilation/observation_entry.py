"""How the observations of a problem enter a diffusion analysis; each datum once.

``ThroughChannels`` shows them to the denoiser, which was trained with such channels, and samples without conditioning.
All others leave these channels empty, so that the denoiser is the prior given the background alone, and condition while
sampling. Each entry says what the denoiser is shown, and makes the conditioning of a problem.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.covariance_modes import covariance_modes, modes_resolve
from rtma_diffda.assimilation.lag_averaged_error import lag_averaged_error
from rtma_diffda.assimilation.network_inputs import InputEncoding, NetworkInputs
from rtma_diffda.diffusion.conditioning.evidence import Evidence, evidence_of
from rtma_diffda.diffusion.conditioning.kalman import Kalman
from rtma_diffda.diffusion.conditioning.low_rank_gain import LowRankGain
from rtma_diffda.diffusion.conditioning.prior import Prior
from rtma_diffda.diffusion.conditioning.replacement import ReplacementSettings, replacement_from
from rtma_diffda.diffusion.conditioning.score_guidance import ScoreGuidance
from rtma_diffda.diffusion.conditioning.soft_mask import Bumps
from rtma_diffda.diffusion.conditioning.spread_innovations import GridPlaces, Kriging, ObservedPoints
from rtma_diffda.diffusion.conditioning.stationary_gain import StationaryGain
from rtma_diffda.diffusion.paths import Path, count_falls
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem, Conditioning


class ObservationEntry(Protocol):
    """A way for observations to enter."""

    def context(self, encoding: InputEncoding, problem: AssimilationProblem, static: StaticFields) -> NetworkInputs:
        """What the denoiser is shown, for every member of the problem's background."""

    def conditioning(
        self, problem: AssimilationProblem, static: StaticFields, scale: Tensor, *, members: int
    ) -> Conditioning:
        """The conditioning of ``members`` draws on a background of one member; ``scale`` s (channel, 1, 1) SI."""

    def calls(self, conditioning: Conditioning, path: Path) -> int:
        """Network calls (evaluations and vector-Jacobian products) of one draw along ``path`` by a first-order sampler.

        ``conditioning`` is one that this entry made.
        """


@dataclass(frozen=True)
class ThroughChannels:
    """Observations as inputs of the denoiser (``observation_channels``); nothing is conditioned while sampling."""

    def context(self, encoding: InputEncoding, problem: AssimilationProblem, static: StaticFields) -> NetworkInputs:
        """With observations."""
        return encoding.of_problem(problem, static)[0]

    def conditioning(
        self, problem: AssimilationProblem, static: StaticFields, scale: Tensor, *, members: int
    ) -> Conditioning:
        """None."""
        return Prior()

    def calls(self, conditioning: Conditioning, path: Path) -> int:
        """One a denoising."""
        return count_falls(path)


@dataclass(frozen=True)
class ThroughKalman:
    """A gain at every noise level (``conditioning.kalman``), from B of truth − E[truth | background].

    B enters by its modes, or, on grids too large for them, by its average at each lag, which knows distance only.

    Attributes:
        errors: B by variable, SI; they may know terrain, coast and the background's values.
        observation_error_factors: {variable: what ``error_std`` of its data is multiplied with}; 1 where not named.
        spacing: of the modes' landmarks, in grid points.
    """

    errors: Mapping[str, BackgroundError]
    observation_error_factors: Mapping[str, float] = field(default_factory=dict)
    spacing: int = 3

    def context(self, encoding: InputEncoding, problem: AssimilationProblem, static: StaticFields) -> NetworkInputs:
        """Without observations."""
        return encoding.context_of_problem(problem, static)

    def conditioning(
        self, problem: AssimilationProblem, static: StaticFields, scale: Tensor, *, members: int
    ) -> Conditioning:
        """The gain of these observations."""
        evidence = evidence_of(with_error_factors(problem, self.observation_error_factors), scale, members=members)
        if not len(evidence):
            return Prior()
        if not modes_resolve(problem.background.layout.grid.shape, self.spacing):
            return Kalman(evidence, StationaryGain(lag_averaged_error(self.errors, problem, static, scale), evidence))
        modes = covariance_modes(self.errors, problem, static, scale, spacing=self.spacing)
        return Kalman(evidence, LowRankGain.of(modes, evidence))

    def calls(self, conditioning: Conditioning, path: Path) -> int:
        """One a denoising."""
        return count_falls(path)


class Guidance(Conditioning, Protocol):
    """A conditioning that asks for gradients of the network."""

    def calls(self, sigma: float) -> int:
        """Network calls of one ``denoise``."""


@dataclass(frozen=True)
class ThroughGuidance:
    """Gradients through the network (``conditioning.score_guidance``, ``moment_matching``).

    Attributes:
        guidance: makes the conditioning from the observations.
    """

    guidance: Callable[[Evidence], Guidance] = ScoreGuidance

    def context(self, encoding: InputEncoding, problem: AssimilationProblem, static: StaticFields) -> NetworkInputs:
        """Without observations."""
        return encoding.context_of_problem(problem, static)

    def conditioning(
        self, problem: AssimilationProblem, static: StaticFields, scale: Tensor, *, members: int
    ) -> Conditioning:
        """Guidance by these observations."""
        return self.guidance(evidence_of(problem, scale, members=members))

    def calls(self, conditioning: Guidance, path: Path) -> int:
        """As the guidance counts them."""
        return sum(conditioning.calls(before) for before, after in pairwise(path) if after < before)


@dataclass(frozen=True)
class ThroughReplacement:
    """Innovations put into the noisy state under a soft mask (``conditioning.replacement``): DiffDA's way.

    Attributes:
        settings: soft mask, interpolation, clipping.
    """

    settings: ReplacementSettings = field(default_factory=lambda: ReplacementSettings(Bumps(), Kriging(length=6e4)))

    def context(self, encoding: InputEncoding, problem: AssimilationProblem, static: StaticFields) -> NetworkInputs:
        """Without observations."""
        return encoding.context_of_problem(problem, static)

    def conditioning(
        self, problem: AssimilationProblem, static: StaticFields, scale: Tensor, *, members: int
    ) -> Conditioning:
        """The soft mask and the spread innovations. Height corrections are H's; the pressure's factor is left out."""
        grid, data = problem.background.layout.grid, problem.observations
        if not len(data):
            return Prior()
        x, y = grid.project(data.latitude.cpu().numpy(), data.longitude.cpu().numpy())
        innovations = problem.innovations().cpu() / scale.cpu().double().flatten()[data.channel.cpu()]
        position = torch.from_numpy(np.stack([x, y], axis=-1))
        observed = ObservedPoints(data.channel.cpu(), position, innovations)
        return replacement_from(observed, GridPlaces.of_plane(grid.x, grid.y), self.settings, channels=len(scale))

    def calls(self, conditioning: Conditioning, path: Path) -> int:
        """One a denoising."""
        return count_falls(path)


@dataclass(frozen=True)
class NoObservations:
    """The prior: observations are not looked at."""

    def context(self, encoding: InputEncoding, problem: AssimilationProblem, static: StaticFields) -> NetworkInputs:
        """Without observations."""
        return encoding.context_of_problem(problem, static)

    def conditioning(
        self, problem: AssimilationProblem, static: StaticFields, scale: Tensor, *, members: int
    ) -> Conditioning:
        """None."""
        return Prior()

    def calls(self, conditioning: Conditioning, path: Path) -> int:
        """One a denoising."""
        return count_falls(path)


def with_error_factors(problem: AssimilationProblem, factors: Mapping[str, float]) -> AssimilationProblem:
    """The problem with the ``error_std`` of each variable's data multiplied."""
    observations, names = problem.observations, problem.background.layout.names
    by_channel = torch.tensor([factors.get(name, 1.0) for name in names], dtype=observations.error_std.dtype)
    error_std = observations.error_std * by_channel[observations.channel]
    return replace(problem, observations=replace(observations, error_std=error_std))
