"""Cases whose truth is known on the whole grid, and what the covariances of ``correlation`` are tuned on there.

A simulation knows the departure δ = x_t − x_ref that an analysis should find, at every grid point; x_ref is the
background, or the mean of the data where no background is used. Places are drawn at random, since neighbouring grid
points say much the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import Places
from rtma_diffda.assimilation.observation_interpolation import departures_from_mean
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.assimilation.posterior import Evidence
from rtma_diffda.assimilation.tuning import innovation_evidence
from rtma_diffda.errors import InputError
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem


@dataclass(frozen=True)
class TruthCase:
    """A problem, and the truth that no method may see.

    Attributes:
        problem: background, observations, operator; the first member is what is tuned on.
        truth: on the problem's layout, one member.
        static: terrain and land of this case.
    """

    problem: AssimilationProblem
    truth: State
    static: StaticFields

    def __post_init__(self) -> None:
        background = self.problem.background
        if self.truth.layout != background.layout or self.truth.valid_time != background.valid_time:
            raise InputError(
                f"the truth at {self.truth.valid_time} with {self.truth.layout.names} is not that of the background at "
                f"{background.valid_time} with {background.layout.names}, or lies on another grid"
            )

    def background_departures(self) -> Tensor:
        """x_t − x_b of the first member: (channel, y, x), float64."""
        return self.truth.values[0].double() - self.problem.background.values[0].double()


@dataclass(frozen=True)
class KnownDepartures:
    """What an analysis of one variable is given, and what it should find.

    Attributes:
        evidence: data with their departures (1, n) from the reference.
        targets: p places.
        departures: (p,) δ, SI: truth minus reference there.
    """

    evidence: Evidence
    targets: Places
    departures: Tensor


Reading = Callable[[TruthCase, int, Tensor], KnownDepartures]
"""Reads one channel of a case at some grid points (row-major, (p,))."""


def from_background(case: TruthCase, channel: int, points: Tensor) -> KnownDepartures:
    """Departures from the background: what optimal interpolation analyses."""
    surroundings = Surroundings(case.problem, case.static)
    targets, background = surroundings.of_grid(channel)
    departures = case.background_departures()[channel].flatten()[points]
    return KnownDepartures(
        innovation_evidence(surroundings, channel),
        with_background(targets, background[0]).select(points),
        departures,
    )


def from_mean_of_data(case: TruthCase, channel: int, points: Tensor) -> KnownDepartures:
    """Departures from the mean of the data: what observation interpolation analyses.

    Raises:
        InputError: the case has no datum of this channel.
    """
    if not bool((case.problem.observations.channel == channel).any()):
        raise InputError(f"no datum of {case.problem.background.layout.names[channel]} to interpolate")
    surroundings = Surroundings(case.problem, case.static)
    mean, evidence = departures_from_mean(surroundings, channel)
    targets, _ = surroundings.of_grid(channel)
    departures = case.truth.values[0, channel].double().flatten()[points] - mean
    return KnownDepartures(evidence, targets.select(points), departures)


def drawn_points(cases: Sequence[TruthCase], count: int, seed: int) -> list[Tensor]:
    """Grid points (p,) of each case, row-major, drawn without repetition; all of them where there are no more."""
    rng = np.random.default_rng(seed)
    totals = [int(np.prod(case.truth.layout.grid.shape)) for case in cases]
    return [torch.from_numpy(np.sort(rng.permutation(total)[:count])) for total in totals]


def background_error_std(cases: Sequence[TruthCase]) -> dict[str, float]:
    """Root mean square of x_t − x_b by variable, over all grid points of all cases, SI."""
    squares = torch.stack([case.background_departures().square().mean(dim=(1, 2)) for case in cases])
    return dict(zip(cases[0].truth.layout.names, squares.mean(dim=0).sqrt().tolist(), strict=True))
