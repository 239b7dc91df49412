"""``Bench``: what the experiments of DiffDA share: world, methods, observing plan, and results as they are made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from time import perf_counter
from typing import Any

import numpy as np
import torch

from rtma_diffda.experiments.diffda_store import Key, ResultStore
from rtma_diffda.experiments.global_world import GlobalWorld
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import Analysis, AnalysisMethod, AssimilationProblem
from rtma_diffda.observations.columns import ColumnPlaces, drawn_by_area, drawn_by_index, observe_columns
from rtma_diffda.times import Window, format_time
from rtma_diffda.verification.global_errors import MEAN

BACKGROUND, FORECAST = "background", "forecast"
"""Sources besides the methods: the forecast that is corrected, and forecasts begun with the truth."""

DRAWS: Mapping[str, Callable[..., ColumnPlaces]] = {"index": drawn_by_index, "area": drawn_by_area}
"""How columns are drawn."""


def generator_of(seed: int, *facts: object) -> torch.Generator:
    """A generator that depends on the seed and the facts alone."""
    digest = sha256("|".join(map(str, (seed, *facts))).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@dataclass(frozen=True)
class Recipe:
    """An analysis method as the experiments use it.

    Attributes:
        name: in results and tables.
        title: in pictures and pages.
        build: the method for backgrounds that are forecasts of a lead time.
        facts: all that its results depend on besides the world, in plain values.
        members: of its ensemble; 1 where it draws nothing, or one sample as in the paper.
        calls: forward evaluations of a network an analysis and member; 0 for methods without.
        cases: only so many cases are analysed with it; None: all.
        columns: only with these numbers of columns; None: with all.
        adaptive: whether it is told, cycle by cycle, how far the innovations say the background has drifted.
        smoothed: whether what new columns correct is given in cycles to the state before, too.
    """

    name: str
    title: str
    build: Callable[[np.timedelta64], AnalysisMethod] = field(repr=False)
    facts: tuple[object, ...] = ()
    members: int = 1
    calls: int = 0
    cases: int | None = None
    columns: tuple[int, ...] | None = None
    adaptive: bool = False
    smoothed: bool = False

    def serves(self, case: int, columns: int) -> bool:
        """Whether the case of this number is analysed with so many columns."""
        return (self.cases is None or case < self.cases) and (self.columns is None or columns in self.columns)


@dataclass(frozen=True)
class ObservingPlan:
    """How columns are observed: all channels, without noise.

    Attributes:
        draw: a key of ``DRAWS``; ``index`` as published.
        error_share: stated error over the standard deviation of 6-hour changes; nearly none, as there is none.
        locations: real ones, in the place of drawn ones.
    """

    draw: str = "index"
    error_share: float = 1e-3
    locations: ColumnPlaces | None = None


@dataclass(frozen=True, eq=False)
class Bench:
    """What experiments are run with.

    Attributes:
        world: truth and forecast model.
        recipes: the methods.
        plan: of observing.
        store: of results; its identity is that of the world and the plan.
        seed: of all draws.
        shown: whether a progress bar is wanted.
    """

    world: GlobalWorld
    recipes: tuple[Recipe, ...]
    plan: ObservingPlan
    store: ResultStore
    seed: int
    shown: bool = False

    def places(self, count: int, *drawn_for: object) -> ColumnPlaces:
        """``count`` columns drawn for something; the plan's own locations where ``count`` is 0."""
        if count == 0:
            return self.plan.locations
        generator = generator_of(self.seed, "columns", count, *drawn_for)
        return DRAWS[self.plan.draw](self.world.layout.grid, count, generator=generator)

    def problem(self, background: State, places: ColumnPlaces) -> AssimilationProblem:
        """The background and what columns at these places report at its time."""
        error_std = self.plan.error_share * self.world.change_std.double()
        observations = observe_columns(self.world.truth(background.valid_time), places, error_std)
        window = Window.around(background.valid_time, np.timedelta64(0, "m"))
        return AssimilationProblem(background, observations, self.world.operator, window)

    def analysed(
        self, recipe: Recipe, problem: AssimilationProblem, lead: np.timedelta64, *drawn_for: object
    ) -> tuple[Analysis, float]:
        """The analysis with the recipe's members, and the seconds it took.

        Args:
            recipe: the method.
            problem: of one member; the ensemble begins with as many copies.
            lead: of the forecast that is the background.
            drawn_for: what the draws belong to; the same gives the same bits.
        """
        background = problem.background
        values = background.values.expand(max(recipe.members, background.members), -1, -1, -1)
        together = AssimilationProblem(
            background.with_values(values.contiguous()), problem.observations, problem.operator, problem.window
        )
        generator = generator_of(self.seed, "analysis", recipe.name, format_time(background.valid_time), *drawn_for)
        begin = perf_counter()
        analysis = self._built(recipe, lead).analyse(together, generator=generator)
        analysis.state.require_finite(f"the analysis of {recipe.title} at {format_time(background.valid_time)}")
        return analysis, perf_counter() - begin

    def kept(self, key: Key, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """The result of a key; made, and kept, where it is not there."""
        return self.store.get(key) if key in self.store else self.store.put(key, make())

    def key_of(self, recipe: Recipe, *parts: str | int | float) -> Key:
        """The key of a method's result: what it is of, the method, and how the method is set."""
        return (*parts, recipe.name, sha256(repr(recipe.facts).encode()).hexdigest()[:8])

    def _built(self, recipe: Recipe, lead: np.timedelta64) -> AnalysisMethod:
        return _build(recipe, lead)


@lru_cache(maxsize=32)
def _build(recipe: Recipe, lead: np.timedelta64) -> AnalysisMethod:
    return recipe.build(lead)


def result_of(analysis: Analysis, errors: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """What is kept of an analysis."""
    return {"errors": errors, "seconds": seconds, "diagnostics": dict(analysis.diagnostics)}


def only_mean(errors: Mapping[str, Any]) -> Mapping[str, Any]:
    """The errors of the mean alone."""
    return {MEAN: errors[MEAN]}
