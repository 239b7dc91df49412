"""Autoregressive assimilation: analyses that begin the forecasts that the next analyses correct, every 6 hours.

Cycles 0 and 1 correct 48-h forecasts from the truth. From cycle 2 on the forecast model takes the two latest analyses,
predicts 6 h, and the method for 6-h backgrounds assimilates. Columns are *free*, drawn anew for every cycle, or
*fixed*. An ensemble hands on its mean. Beside the methods goes the forecast that never sees an observation.

In a cycle the background's error is not that of a 6-h forecast from the truth: it has what earlier analyses left. An
*adaptive* method is told so. Innovations d = y − H(x_b) are what is known of it, and the lead time L is taken for which

    mean over channels of ln(mean d² / s(L)²) = 0,

s(L) being the error of forecasts from the truth of lead time L; no truth enters. Fixed columns, which analyses fit, see
little of the error elsewhere; a *cycled* method has a B of the backgrounds of cycles (``train_global_cycles``).

The forecast model takes the difference between two states for a tendency; two analyses of different columns differ by
their errors, which are far larger than six hours of weather. Errors hardly change in six hours, so that what a new
column corrects now was as wrong then: a *smoothed* method gives the increment to the state before, too, as far as its
columns are new; where they are the same that state has had it already.

References: Huang et al. (2024), arXiv 2401.05932, autoregressive assimilation; Desroziers et al. (2005),
doi:10.1256/qj.05.108, for innovations as witnesses.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rtma_diffda.experiments.diffda_bench import BACKGROUND, FORECAST, Bench, Recipe, only_mean
from rtma_diffda.experiments.diffda_store import Key
from rtma_diffda.experiments.global_world import HOUR
from rtma_diffda.experiments.progress import progress
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.columns import ColumnPlaces
from rtma_diffda.times import format_time
from rtma_diffda.verification.global_errors import score_rows

NAME = "autoregressive"
FREE, FIXED = "free", "fixed"
_LEADS = np.geomspace(6.0, 48.0, 19)  # steps of an eighth in lead time, some six per cent in error


@dataclass(frozen=True)
class Autoregressive:
    """What is cycled.

    Attributes:
        starts: valid times of cycle 0 of each sequence.
        cycles: of each, cycles 0 and 1 counted.
        columns: number of observed columns.
        networks: ``FREE``, ``FIXED`` or both.
        lead: of the backgrounds of cycles 0 and 1.
        spread: s(L): (channel,) of a lead time, for adaptive methods.
    """

    starts: np.ndarray
    cycles: int
    columns: int
    networks: tuple[str, ...]
    lead: np.timedelta64
    spread: Callable[[np.timedelta64], Tensor] | None = field(default=None, repr=False)


def run_autoregressive(bench: Bench, run: Autoregressive) -> pd.DataFrame:
    """Every sequence with every method and network; goes on with the cycle after the last one that the store has.

    Returns:
        Rows of ``score_rows`` with ``case`` (start), ``method``, ``network`` (empty for the forecast without
        observations), ``cycle`` and ``stage`` (``analysis``, or the ``background`` that it corrects),
        and ``told_hours``, the lead time that the method was built for.
    """
    rows: list[dict[str, object]] = []
    for start in progress(run.starts, "forecasts without observations", shown=bench.shown):
        rows += _free_rows(bench, run, start)
    units = [(start, network, recipe) for start in run.starts for network in run.networks for recipe in bench.recipes]
    steps = [(unit, cycle) for unit in units for cycle in range(run.cycles)]
    sequence: _Sequence | None = None
    for unit, cycle in progress(steps, "cycles", shown=bench.shown):
        if cycle == 0:
            sequence = _Sequence(bench, run, *unit)
        rows += sequence.rows_of(cycle)
    return pd.DataFrame(rows)


@dataclass
class _Sequence:
    """One method's cycles from one start.

    Attributes:
        history: the two latest analyses, as far as they were needed.
        done: number of the last cycle that ``history`` has.
    """

    bench: Bench
    run: Autoregressive
    start: np.datetime64
    network: str
    recipe: Recipe
    history: tuple[State, ...] = ()
    done: int = -1

    def rows_of(self, cycle: int) -> Iterator[dict[str, object]]:
        """Scores of a cycle; cycles come in order."""
        key = self._key(cycle)
        if key not in self.bench.store:
            self._catch_up(cycle)
        result = self.bench.kept(key, lambda: self._cycle(cycle))
        if self.done == cycle:
            self._keep_history()
        label = {"case": format_time(self.start), "method": self.recipe.name, "network": self.network, "cycle": cycle}
        for stage in ("analysis", BACKGROUND):
            names = self.bench.world.layout.names
            yield from score_rows(result[stage], names, **label, stage=stage, told_hours=result["lead_hours"])

    def _cycle(self, cycle: int) -> Mapping[str, Any]:
        world = self.bench.world
        time = self.start + cycle * world.time_step
        if cycle < world.model.history_length:
            background, lead = world.forecast(time, self.run.lead), self.run.lead
        else:
            background, lead = world.forecast_from(self.history, world.time_step), world.time_step
        problem = self.bench.problem(background, self._places(cycle))
        told = self._told(problem, lead)
        analysis, seconds = self.bench.analysed(self.recipe, problem, told, self.network, cycle)
        latest = analysis.state.mean()
        if self.recipe.smoothed and self.history:
            self.history = (*self.history[:-1], self._smoothed(latest.values - background.values, cycle))
        self.history = (*self.history, latest)[-world.model.history_length :]
        self.done = cycle
        return {
            "analysis": world.errors(analysis.state),
            BACKGROUND: only_mean(world.errors(background)),
            "seconds": seconds,
            "lead_hours": float(told / HOUR),
        }

    def _smoothed(self, increment: Tensor, cycle: int) -> State:
        """The latest state, with the share of the increment that columns new since then have in it."""
        share = new_share(self._places(cycle), self._places(cycle - 1))
        return self.history[-1].with_values(self.history[-1].values + share * increment)

    def _told(self, problem: AssimilationProblem, lead: np.timedelta64) -> np.timedelta64:
        if not self.recipe.adaptive or self.run.spread is None or lead == self.run.lead:
            return lead
        return lead_of_innovations(problem, self.run.spread)

    def _places(self, cycle: int) -> ColumnPlaces:
        drawn_for = (cycle,) if self.network == FREE else ()
        return self.bench.places(self.run.columns, NAME, format_time(self.start), self.network, *drawn_for)

    def _catch_up(self, cycle: int) -> None:
        """Get the analyses before ``cycle``: from the disk, or by making again those that it does not have."""
        if self.done == cycle - 1:
            return
        kept = self.bench.store.arrays(self._history_key)
        if kept is not None and int(kept["cycle"]) < cycle:
            self.done, layout = int(kept["cycle"]), self.bench.world.layout
            self.history = tuple(
                State(torch.from_numpy(values), layout, time)
                for values, time in zip(kept["values"], kept["valid_time"].astype("datetime64[ns]"), strict=True)
            )
        for earlier in range(self.done + 1, cycle):
            self._cycle(earlier)

    def _keep_history(self) -> None:
        values = np.stack([state.values.cpu().numpy() for state in self.history])
        times = np.array([state.valid_time.astype("datetime64[ns]").astype(np.int64) for state in self.history])
        arrays = {"values": values, "valid_time": times, "cycle": np.array(self.done)}
        self.bench.store.put_arrays(self._history_key, arrays)

    def _key(self, cycle: int) -> Key:
        return self.bench.key_of(self.recipe, *self._sequence_key, cycle)

    @property
    def _history_key(self) -> Key:
        return self.bench.key_of(self.recipe, *self._sequence_key, "history")

    @property
    def _sequence_key(self) -> Key:
        return (NAME, format_time(self.start), float(self.run.lead / HOUR), self.network, self.run.columns)


def new_share(places: ColumnPlaces, before: ColumnPlaces) -> float:
    """The share of columns that were not observed a cycle before."""
    now, then = (set(zip(p.latitude.tolist(), p.longitude.tolist(), strict=True)) for p in (places, before))
    return len(now - then) / len(now)


def lead_of_innovations(problem: AssimilationProblem, spread: Callable[[np.timedelta64], Tensor]) -> np.timedelta64:
    """The lead time of the forecasts from the truth whose errors are as large as the innovations say: 6 … 48 h.

    Args:
        problem: with nearly perfect data.
        spread: s(L) (channel,) SI.
    """
    innovations, channel = problem.innovations()[0].cpu(), problem.observations.channel
    count = len(problem.background.layout.channels)
    squares = torch.zeros(count, dtype=torch.float64).index_add_(0, channel, innovations.square())
    number = torch.bincount(channel, minlength=count)
    seen = number > 0
    if not bool(seen.any()):
        return _hours(_LEADS[0])
    mean = (squares[seen] / number[seen]).clamp_min(1e-300)
    excess = [float((mean / spread(_hours(lead))[seen].double().square()).log().mean()) for lead in _LEADS]
    return _hours(_LEADS[int(np.argmin(np.abs(excess)))])


def _hours(value: float) -> np.timedelta64:
    return np.timedelta64(round(60 * float(value)), "m")


def _free_rows(bench: Bench, run: Autoregressive, start: np.datetime64) -> Iterator[dict[str, object]]:
    """The forecast that goes on from the backgrounds of cycles 0 and 1."""
    world = bench.world
    key = (NAME, FORECAST, format_time(start), float(run.lead / HOUR), run.cycles)

    def make() -> Mapping[str, Any]:
        states: list[State] = []
        for cycle in range(run.cycles):
            time = start + cycle * world.time_step
            if cycle < world.model.history_length:
                states.append(world.forecast(time, run.lead))
            else:
                states.append(world.forecast_from(states[-world.model.history_length :], world.time_step))
        return {"errors": [world.errors(state) for state in states]}

    for cycle, errors in enumerate(bench.kept(key, make)["errors"]):
        label = {"case": format_time(start), "method": FORECAST, "network": "", "cycle": cycle, "stage": "analysis"}
        yield from score_rows(errors, world.layout.names, **label, told_hours=np.nan)


def steady_errors(table: pd.DataFrame, *, first: int, groups: Sequence[str] = ("method", "network")) -> pd.DataFrame:
    """How errors go on once cycles have settled: their mean over the cycles from ``first`` on, and their growth.

    Args:
        table: ``cycle``, ``channel``, ``rmse`` by group.
        first: cycle.
        groups: columns.

    Returns:
        By group and channel: ``mean`` RMSE and ``growth``, the mean of the last quarter of these cycles over that of
        the first quarter. Errors that build up have a growth well above 1.
    """
    late = table[table["cycle"] >= first]
    last = late["cycle"].max()
    quarter = max(1, (last - first + 1) // 4)
    names = [*groups, "channel"]
    early = late[late["cycle"] < first + quarter].groupby(names, sort=False)["rmse"].mean()
    end = late[late["cycle"] > last - quarter].groupby(names, sort=False)["rmse"].mean()
    mean = late.groupby(names, sort=False)["rmse"].mean()
    return pd.DataFrame({"mean": mean, "growth": end / early}).reset_index()
