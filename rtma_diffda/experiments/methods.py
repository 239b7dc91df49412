"""The registry of methods: from a name and settings to a method tuned on given problems.

A configuration names a method by a key of ``BUILDERS``; nothing else can be named, so no configuration can call
arbitrary code.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from rtma_diffda.assimilation.defaults import default_background_errors, default_structures, starts_for
from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser
from rtma_diffda.assimilation.observation_interpolation import ObservationInterpolation, tune_structures
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.tuning import CRITERIA, TunedParameters, TuningSettings, tune_problems
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.diffusion_methods import diffusion_method, packaged_denoiser
from rtma_diffda.experiments.station_diffusion import describe_blend, station_diffusion
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.geo.station_terrain import station_terrain
from rtma_diffda.interfaces import AnalysisMethod, AssimilationProblem, PointMethod

_log = logging.getLogger(__name__)

LEAST_DATA = 30
"""Data of a variable, over all problems, below which its parameters stay as they are by default."""


class Method(AnalysisMethod, PointMethod, Protocol):
    """What the experiments need: analyses on the grid and at stations."""


@dataclass(frozen=True)
class MethodSettings:
    """Which method, and how it is tuned.

    Attributes:
        name: a key of ``BUILDERS``.
        criterion: of the tuning: leave_one_out, folds or likelihood.
    """

    name: str = "regional"
    criterion: str = "leave_one_out"

    def __post_init__(self) -> None:
        if self.name not in BUILDERS:
            raise UsageError(f"unknown method '{self.name}'; known are {', '.join(BUILDERS)}")
        if self.criterion not in CRITERIA:
            raise UsageError(f"unknown criterion of tuning '{self.criterion}'; known are {', '.join(CRITERIA)}")


@dataclass(frozen=True)
class BuiltMethod:
    """A method ready to use.

    Attributes:
        name: its key; names its column in every table.
        method: the method.
        description: its parameters, in words.
        forced: whether it makes use of a global run.
    """

    name: str
    method: Method
    description: str
    forced: bool = False


def build_method(
    settings: MethodSettings, problems: Sequence[AssimilationProblem], static: StaticFields
) -> BuiltMethod:
    """A method tuned on the data of ``problems`` and on nothing else.

    Args:
        settings: which, and how.
        problems: of one layout; only their own observations and backgrounds are looked at.
        static: terrain and land of the grid; where no terrain is known, grid points take their height from the
            stations around them.
    """
    return BUILDERS[settings.name](settings, problems, static)


def _optimal_interpolation(
    settings: MethodSettings, problems: Sequence[AssimilationProblem], static: StaticFields
) -> BuiltMethod:
    layout = problems[0].background.layout
    starts = starts_for(_well_observed(problems), layout.grid, terrain_known=static.orography is not None)
    static = _with_terrain(static, problems)
    tuned = tune_problems(problems, static, starts, TuningSettings(criterion=settings.criterion))
    errors = default_background_errors(layout) | {name: found.background_error for name, found in tuned.items()}
    method = OptimalInterpolation(static, errors, _factors(tuned))
    return BuiltMethod("optimal_interpolation", method, _describe(tuned, layout.names))


def _observation_interpolation(
    settings: MethodSettings, problems: Sequence[AssimilationProblem], static: StaticFields
) -> BuiltMethod:
    layout = problems[0].background.layout
    structures, static = default_structures(layout), _with_terrain(static, problems)
    starts = {name: (structures[name],) for name in _well_observed(problems)}
    tuned = tune_structures(problems, static, starts, TuningSettings(criterion=settings.criterion))
    structures = structures | {name: found.background_error for name, found in tuned.items()}
    method = ObservationInterpolation(static, structures, _factors(tuned))
    return BuiltMethod("observation_interpolation", method, _describe(tuned, layout.names))


def _station_diffusion(
    settings: MethodSettings, problems: Sequence[AssimilationProblem], static: StaticFields
) -> BuiltMethod:
    parts = [build(settings, problems, static) for build in (_optimal_interpolation, _observation_interpolation)]
    method = station_diffusion(*(part.method for part in parts), problems)
    described = "\n".join([describe_blend(method.reference), *(part.description for part in parts)])
    return BuiltMethod("station_diffusion", method, described)


def _diffusion(settings: MethodSettings, problems: Sequence[AssimilationProblem], static: StaticFields) -> BuiltMethod:
    method = diffusion_method("diffusion", _denoiser(problems), _with_terrain(static, problems))
    told = "told the global run" if _forced(problems) else "without global run"
    described = (
        f"{method.members} members of the packaged denoiser, {told}, {len(method.sampler.path) - 1} network calls each"
    )
    return BuiltMethod("diffusion", method, described, forced=_forced(problems))


def _forced(problems: Sequence[AssimilationProblem]) -> bool:
    """Whether all problems have a global run."""
    return all(problem.boundary is not None for problem in problems)


def _denoiser(problems: Sequence[AssimilationProblem]) -> TrainedDenoiser:
    """The packaged denoiser for such problems."""
    return packaged_denoiser(global_run=_forced(problems))


def _regional(settings: MethodSettings, problems: Sequence[AssimilationProblem], static: StaticFields) -> BuiltMethod:
    """Diffusion where the packaged denoiser has learned such grids and variables, else optimal interpolation."""
    reasons = misfits(_denoiser(problems), problems[0].background.layout, static)
    if not reasons:
        return _diffusion(settings, problems, static)
    built = _optimal_interpolation(settings, problems, static)
    return replace(built, description=f"not diffusion: {'; '.join(reasons)}\n{built.description}")


def misfits(trained: TrainedDenoiser, layout: Layout, static: StaticFields) -> tuple[str, ...]:
    """Reasons why a denoiser does not fit a region's grid, terrain or variables; empty where it does."""
    encoding = trained.network.encoding
    reasons = encoding.shortcomings(static, layout.grid.dx)
    try:
        trained.network.on_grid(layout.grid)
    except UsageError as error:
        reasons = (*reasons, str(error))
    if layout.names != encoding.names:
        reasons = (*reasons, f"it analyses {', '.join(encoding.names)}, this region {', '.join(layout.names)}")
    return reasons


BUILDERS: Mapping[str, Callable[[MethodSettings, Sequence[AssimilationProblem], StaticFields], BuiltMethod]] = {
    "regional": _regional,
    "diffusion": _diffusion,
    "optimal_interpolation": _optimal_interpolation,
    "observation_interpolation": _observation_interpolation,
    "station_diffusion": _station_diffusion,
}
"""Every method that a configuration can name."""


def _factors(tuned: Mapping[str, TunedParameters]) -> dict[str, float]:
    return {name: found.observation_error_factor for name, found in tuned.items()}


def _well_observed(problems: Sequence[AssimilationProblem]) -> list[str]:
    """Variables with enough data to tune on."""
    names = problems[0].background.layout.names
    counts = sum(np.bincount(p.observations.channel.cpu().numpy(), minlength=len(names)) for p in problems)
    few = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if count < LEAST_DATA]
    if few:
        _log.warning("too few data to tune on, default parameters stay: %s", ", ".join(few))
    return [name for name, count in zip(names, counts, strict=True) if count >= LEAST_DATA]


def _describe(tuned: Mapping[str, TunedParameters], names: Sequence[str]) -> str:
    found = [f"{name}: {parameters.describe()}" for name, parameters in tuned.items()]
    return "\n".join(found + [f"{name}: default parameters, not tuned" for name in names if name not in tuned])


def _with_terrain(static: StaticFields, problems: Sequence[AssimilationProblem]) -> StaticFields:
    """The static fields; where they have no terrain, with one made from the heights of the stations."""
    if static.orography is not None:
        return static
    data = [problem.observations for problem in problems]
    columns = [
        torch.cat([getattr(part, name) for part in data]).cpu() for name in ("latitude", "longitude", "elevation")
    ]
    places = np.unique(torch.stack(columns, dim=1).numpy(), axis=0)
    places = places[np.isfinite(places).all(axis=1)]
    if not len(places):
        return static
    terrain = station_terrain(static.grid, *places.T)
    return replace(static, orography=terrain, source=f"{static.source}; terrain from station heights (a stand-in)")
