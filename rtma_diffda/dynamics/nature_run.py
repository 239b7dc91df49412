"""Nature runs and their twins: simulated truth that solves the slab's equations, and backgrounds honestly wrong.

Truth and twin are two draws of one stochastic process given what they share: terrain, climate, the coherent part of the
large scale, the places that are ready for convection. Parameters, the detail of the terrain (``model_terrain``) and
everything else are drawn for each from the same law, and both are brought to the map's terrain: truth and background
are *exchangeable*, so that no statistics of the background betray its error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.coarse_states import CoarseStates, coarse_states, with_earth_relative_wind
from rtma_diffda.dynamics.nature_draws import ModelDraws, RunDraws
from rtma_diffda.dynamics.nature_settings import NatureSettings, RunClock
from rtma_diffda.dynamics.nature_world import Record, World, integrate, integrate_forecasts
from rtma_diffda.dynamics.slab.diagnosis import NEAR_SURFACE
from rtma_diffda.dynamics.slab.state import SlabState
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields

__all__ = ["NatureSettings", "RunFields", "simulate_runs"]


@dataclass(frozen=True)
class RunFields:
    """One run, SI, float32, winds earth-relative.

    Attributes:
        layout: of truth, background and lagged forecasts: t2m, d2m, u10m, v10m, sp on the region's grid.
        static: terrain and land of the run.
        times: (time,).
        truth: (time, 5, y, x).
        background: (time, 5, y, x) of the twin; None where none was asked for.
        sky: (time, 4, y, x) of the truth: gust, tcc, vis, ceil (NaN where unlimited).
        lagged: lead (hours) → (time, 5, y, x) forecasts from the twin's states.
        lagged_times: lead (hours) → (time,) when those are valid.
        large_scale: states of a coarser grid that reaches beyond the region, with errors of their own.
        parameters: name → value, of ``truth.…`` and ``background.…``.
    """

    layout: Layout
    static: StaticFields
    times: np.ndarray
    truth: Tensor
    background: Tensor | None
    sky: Tensor
    lagged: Mapping[int, Tensor]
    lagged_times: Mapping[int, np.ndarray]
    large_scale: CoarseStates
    parameters: Mapping[str, float]


def simulate_runs(
    statics: Sequence[StaticFields],
    times: np.ndarray,
    settings: NatureSettings,
    *,
    generators: Sequence[torch.Generator],
    backgrounds: bool = True,
) -> list[RunFields]:
    """Independent runs, computed together.

    Args:
        statics: terrain and land of each run's region, all of one grid shape and spacing.
        times: (time,) datetime64, increasing, each a multiple of ``settings.forcing_interval`` after the first.
        settings: how.
        generators: one a run; a run depends on its own only, not on the others of the batch.
        backgrounds: also run the twins, and the lagged forecasts that start from them.

    Raises:
        UsageError: another number of generators than of runs, times that do not fit, grids that differ.
    """
    if len(statics) != len(generators) or not statics:
        raise UsageError(f"{len(statics)} runs need as many generators, and at least one; found {len(generators)}")
    clock = RunClock.of(times, settings)
    draws = [
        RunDraws.of(static, clock, settings, generator=generator)
        for static, generator in zip(statics, generators, strict=True)
    ]
    with torch.no_grad():
        world = World.of(statics, draws, clock, settings, twins=backgrounds)
        record = integrate(world, clock)
        lagged = _lagged(world, record, clock, settings, draws=draws, statics=statics) if world.has_twins else {}
    return [
        _run_fields(_Run(i, statics[i], draws[i], world), record, lagged, clock, settings) for i in range(len(statics))
    ]


def _lagged(
    world: World,
    record: Record,
    clock: RunClock,
    settings: NatureSettings,
    *,
    draws: Sequence[RunDraws],
    statics: Sequence[StaticFields],
) -> dict[int, Tensor]:
    """Lead (hours) → (run, launch, 5, y, x): forecasts from every launch, all computed together."""
    if not clock.launch_nodes:
        return {}
    nodes = round(max(settings.leads) * 3600.0 / clock.interval) + 1
    forecasts = world.forecasts(draws, clock, settings, statics=statics, nodes=nodes)
    start = SlabState(torch.stack([record.launched[node] for node in clock.launch_nodes], dim=1).flatten(0, 1))
    fields = integrate_forecasts(forecasts, start, leads=settings.leads, interval=clock.interval)
    return {lead: values.unflatten(0, (world.runs, -1)) for lead, values in fields.items()}


@dataclass(frozen=True)
class _Run:
    """One run of a batch."""

    index: int
    static: StaticFields
    draws: RunDraws
    world: World


def _run_fields(
    run: _Run, record: Record, lagged: Mapping[int, Tensor], clock: RunClock, settings: NatureSettings
) -> RunFields:
    """What is handed out of one run."""
    i, world, layout = run.index, run.world, Layout.of(run.static.grid, NEAR_SURFACE)
    background, parameters = None, _named(run.draws.truth, "truth")
    if world.has_twins:
        background = with_earth_relative_wind(record.near_surface[world.runs + i], layout)
        parameters |= _named(run.draws.twin, "background")
    inside = {lead: _valid_times(clock, lead) <= clock.times[-1] for lead in lagged}
    return RunFields(
        layout=layout,
        static=run.static,
        times=clock.times,
        truth=with_earth_relative_wind(record.near_surface[i], layout),
        background=background,
        sky=record.sky[i],
        lagged={
            lead: with_earth_relative_wind(values[i][torch.from_numpy(inside[lead])], layout)
            for lead, values in lagged.items()
        },
        lagged_times={lead: _valid_times(clock, lead)[inside[lead]] for lead in lagged},
        large_scale=_large_scale(run, record, clock, settings),
        parameters=parameters,
    )


def _large_scale(run: _Run, record: Record, clock: RunClock, settings: NatureSettings) -> CoarseStates:
    return coarse_states(
        record.extended[run.index],
        replace(run.world.schedule.landscape, terrain=run.world.true_terrain).static_of(run.index, run.static),
        np.array([clock.time(node) for node in clock.large_scale_nodes]),
        coarsening=settings.coarsening,
        names=NEAR_SURFACE,
        generator=run.draws.large_scale,
    )


def _valid_times(clock: RunClock, lead: int) -> np.ndarray:
    return np.array([clock.time(launch) + np.timedelta64(lead, "h") for launch in clock.launch_nodes])


def _named(draws: ModelDraws, model: str) -> dict[str, float]:
    return {f"{model}.{name}": value for name, value in draws.parameters.of_run(0).items()}
