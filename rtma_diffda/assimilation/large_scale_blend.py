"""The background with the large scale of a global run blended in by linear regression, for interpolation to start from.

    x_c = x_b + w · L(G − x_b)

G is the global state on the region, L the mean over squares of n × n points and back again, bilinear, which keeps the
background's detail. w, by variable, and n are those of least error against the truth of simulated runs. This is what
classical methods can make of a global run, and what a network that is told one must be seen against.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_on_region import global_state
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem

SQUARES = (2, 4, 8, 16)
"""Points a side, of which the best is chosen."""


@dataclass(frozen=True)
class LargeScaleBlend:
    """An ``AnalysisMethod`` that looks at no observation.

    Attributes:
        static: terrain and land of the region.
        weights: w by variable; 0 where not named.
        points: n.
    """

    static: StaticFields
    weights: Mapping[str, float]
    points: int

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The blend; nothing is drawn.

        Raises:
            InputError: the problem has no global states, or they do not reach.
        """
        names, values = problem.background.layout.names, problem.background.values
        weight = torch.tensor([self.weights.get(name, 0.0) for name in names]).to(values)[:, None, None]
        blended = values + weight * _large_scale(problem, self.static, self.points)
        return Analysis(problem.background.with_values(blended), problem)


def tuned_blend(cases: Sequence[TruthCase]) -> LargeScaleBlend:
    """The blend of least error over cases of validation runs: w = Σ δ d / Σ d², δ = x_t − x_b, d = L(G − x_b).

    n is chosen by the error of all variables, each over its background's.

    Raises:
        InputError: a case has no global states.
    """
    names = cases[0].truth.layout.names
    found = []
    for points in SQUARES:
        departures = torch.stack([case.background_departures() for case in cases])
        large = torch.stack([_large_scale(case.problem, case.static, points)[0].double() for case in cases])
        weight = (departures * large).sum(dim=(0, 2, 3)) / large.square().sum(dim=(0, 2, 3)).clamp_min(1e-30)
        left = (departures - weight[:, None, None] * large).square().mean(dim=(0, 2, 3))
        ratio = float((left / departures.square().mean(dim=(0, 2, 3)).clamp_min(1e-30)).mean())
        found.append((ratio, points, dict(zip(names, weight.tolist(), strict=True))))
    _, points, weights = min(found, key=lambda one: one[0])
    return LargeScaleBlend(cases[0].static, weights, points)


def _large_scale(problem: AssimilationProblem, static: StaticFields, points: int) -> Tensor:
    """L(G − x_b): (member, channel, y, x)."""
    background = problem.background
    if problem.boundary is None:
        raise InputError("blending the large scale in needs the states of a global run, and was given none")
    there = global_state(problem.boundary, static, background.layout, background.valid_time)
    departure = there.values.to(background.values) - background.values
    coarse = avg_pool2d(departure, points, ceil_mode=True, count_include_pad=False)
    ny, nx = departure.shape[-2:]
    return interpolate(coarse, scale_factor=float(points), mode="bilinear")[..., :ny, :nx]
