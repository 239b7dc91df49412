"""B of the backgrounds of cycles: fitted to their errors in cycles of the training period, which a known B runs first.

A 6-h forecast that begins with analyses carries errors of all cycles before it: larger, and of larger scales, than
those of a 6-h forecast from the truth. So analyses of cycles want a B of their own. Optimal interpolation with the B of
long forecasts runs the cycles; B is fitted to truth − background after some of them, and runs the cycles once more,
which are better then; and so on. Fixed and new columns take turns. References: Parrish and Derber (1992), MWR 120;
``diffda.md`` §9.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.graphcast_denoiser_checkpoint import (
    TrainedGraphCastDenoiser,
    graphcast_denoiser_from_checkpoint,
)
from rtma_diffda.assimilation.sphere_covariance import SphereCovariance, covariance_from, stored_tensors
from rtma_diffda.assimilation.sphere_fitting import SphereFitting, fit_sphere_covariance
from rtma_diffda.assimilation.sphere_optimal_interpolation import SphereOptimalInterpolation
from rtma_diffda.errors import InputError
from rtma_diffda.experiments.diffda_bench import Bench, ObservingPlan
from rtma_diffda.experiments.global_world import HOUR, GlobalWorld
from rtma_diffda.experiments.progress import progress
from rtma_diffda.experiments.train_global_settings import CycledSettings
from rtma_diffda.fields.state import State
from rtma_diffda.io.checkpoint import Checkpoint, read_checkpoint

ARCHITECTURE = "sphere_covariance"
LONG = np.timedelta64(48, "h")
"""Lead time of the first backgrounds of a sequence, and whose residuals' size s is the unit of B."""

_CARD = """# graphcast_cycles

The covariance of background errors in 6-hour cycles of {sequences} sequences of the training period, {columns} observed
columns, fixed and new ones in turn, after the first {spin_up} of {cycles} cycles; fitted {rounds} times, each time to
cycles of optimal interpolation with the covariance before. It holds no network.

## Limits

It knows the cycles of one forecast model, begun with its 48-hour forecasts, with about so many columns.
"""


def cycled_covariance(
    world: GlobalWorld,
    begun: SphereCovariance,
    settings: CycledSettings,
    *,
    within: tuple[np.datetime64, np.datetime64],
    fitting: SphereFitting | None = None,
    seed: int = 0,
    shown: bool = False,
) -> SphereCovariance:
    """B of the backgrounds of cycles, in the units of ``begun``.

    Args:
        world: truth and forecast model.
        begun: B of 48-h forecasts, which the first cycles are run with.
        settings: of the cycles.
        within: first and last valid time that cycles may begin at.
        fitting: what is tried.
        seed: of the columns.
        shown: whether a progress bar is wanted.

    Raises:
        InputError: the truth has too few times.
    """
    ahead = settings.cycles * world.time_step
    starts = world.spread_times(settings.sequences, before=world.reach(LONG), after=ahead, within=within)
    covariance, bench = begun, Bench(world, (), ObservingPlan(), world.store, seed)
    for round_number in range(settings.rounds):
        method, errors = SphereOptimalInterpolation(covariance, with_error_std=False), []
        for i, start in enumerate(progress(starts, f"cycles, round {round_number + 1}", shown=shown)):
            count = settings.columns[i % len(settings.columns)]
            fixed = i // len(settings.columns) % 2 == 0
            cycles = _background_errors(bench, method, start, count=count, fixed=fixed)
            errors += [error for cycle, error in zip(range(settings.cycles), cycles, strict=False)
                       if cycle >= settings.spin_up]  # fmt: skip
        covariance = fit_sphere_covariance(torch.stack(errors), world.layout.grid, begun.scale, fitting)
    return covariance


def _background_errors(
    bench: Bench, method: SphereOptimalInterpolation, start: np.datetime64, *, count: int, fixed: bool
) -> Iterator[Tensor]:
    """Truth − background (channel, y, x) SI of one cycle after the other, without an end."""
    world, history, cycle = bench.world, (), 0
    while True:
        time = start + cycle * world.time_step
        young = len(history) < world.model.history_length
        background = world.fresh_forecast(time, LONG) if young else world.forecast_from(list(history), world.time_step)
        yield (world.truth(time).values - background.values)[0]
        places = bench.places(count, "training cycles", str(start), -1 if fixed else cycle)
        analysis = method.analyse(bench.problem(background, places), generator=torch.Generator())
        history: tuple[State, ...] = (*history, analysis.state)[-world.model.history_length :]
        cycle += 1


def denoiser_for_cycles(path: Path) -> TrainedGraphCastDenoiser:
    """The denoiser whose B of 48-h forecasts begins, and whose s is the unit.

    Raises:
        InputError: its checkpoint has no such B.
    """
    trained = graphcast_denoiser_from_checkpoint(read_checkpoint(path))
    if float(LONG / HOUR) not in trained.covariances:
        raise InputError(f"{path} has no covariance of residuals of {LONG / HOUR:g}-h forecasts")
    return trained


def cycled_checkpoint(
    covariance: SphereCovariance, settings: CycledSettings, provenance: Mapping[str, Any]
) -> Checkpoint:
    """B as a checkpoint without weights."""
    facts = {**vars(settings), "columns": list(settings.columns)}
    card = _CARD.format(**{**facts, "columns": " or ".join(map(str, settings.columns))})
    config = {"architecture": ARCHITECTURE, "lead_hours": float(LONG / HOUR), "cycles": facts}
    return Checkpoint({}, config, stored_tensors(covariance), card, provenance)


def read_cycled_covariance(path: Path) -> SphereCovariance:
    """B of a checkpoint that ``cycled_checkpoint`` made.

    Raises:
        InputError: it is something else.
    """
    checkpoint = read_checkpoint(path)
    found = checkpoint.config.get("architecture")
    if found != ARCHITECTURE:
        raise InputError(f"{path} holds a '{found}'; expected '{ARCHITECTURE}', as target=graphcast_cycles makes it")
    return covariance_from(checkpoint.statistics)
