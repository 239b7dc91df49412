"""A correction of the background that looks at no observation, and then an ordinary analysis of what it gives.

    x_a = analysis of (x_c, y, R),     x_c = c(x_b), such as a network's estimate of E[x_t | x_b]

About half of what a network gains over optimal interpolation may be c: it knows what a background does wrong over
terrain, coast and at which hour. The part that stands between this method and one that sees observations *and*
background together is what the latter learned about using observations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AnalysisMethod, AssimilationProblem, PointAnalysis, PointMethod
from rtma_diffda.observations.table import Observations


class InnerMethod(AnalysisMethod, PointMethod, Protocol):
    """What analyses the corrected background: a dataclass with a field ``static``, on the grid and at stations."""


@dataclass(frozen=True)
class CorrectedBackground:
    """Correct the background, then analyse.

    The correction is handed the problem without its observations, and a generator that always begins alike: it is a
    function of the background, the same one on the grid and at stations. Without observations the inner method then
    returns the corrected background, not the original one.

    Attributes:
        static: terrain and land; correction and inner method are moved to it.
        correction: its analysis of the problem without observations is the corrected background; a dataclass with a
            field ``static``.
        inner: tuned on corrected backgrounds (``corrected_cases``).
    """

    static: StaticFields
    correction: AnalysisMethod
    inner: InnerMethod

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The inner analysis of the corrected background; it refers to the original problem."""
        inner = replace(self.inner, static=self.static)
        analysis = inner.analyse(self._corrected(problem), generator=generator)
        return replace(analysis, problem=problem)

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """The same at the targets."""
        return replace(self.inner, static=self.static).analyse_at(self._corrected(problem), targets)

    def _corrected(self, problem: AssimilationProblem) -> AssimilationProblem:
        return corrected_problem(replace(self.correction, static=self.static), problem)


def corrected_problem(correction: AnalysisMethod, problem: AssimilationProblem) -> AssimilationProblem:
    """The problem with what ``correction`` makes of its background as its background."""
    unobserved = replace(problem, observations=problem.observations.select(np.empty(0, np.int64)))
    corrected = correction.analyse(unobserved, generator=torch.Generator().manual_seed(0))
    return replace(problem, background=corrected.state)


def corrected_cases(correction: AnalysisMethod, cases: Sequence[TruthCase]) -> tuple[TruthCase, ...]:
    """Cases with corrected backgrounds, which the inner method is tuned on; the correction gets each case's terrain."""
    return tuple(
        replace(case, problem=corrected_problem(replace(correction, static=case.static), case.problem))
        for case in cases
    )
