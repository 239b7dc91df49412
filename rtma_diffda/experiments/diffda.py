"""``run_diffda``: the experiments of DiffDA again, on a made-up miniature of the globe or on real analyses.

Results are kept as they are made: the same command goes on where it stopped. Reference: L. Huang, L. Gianinazzi, Y. Yu,
P. D. Dueben, T. Hoefler (2024), DiffDA: a Diffusion Model for Weather-scale Data Assimilation, arXiv 2401.05932.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.diffda_ablations import ablation_recipes, ablations_page
from rtma_diffda.experiments.diffda_autoregressive import Autoregressive, run_autoregressive
from rtma_diffda.experiments.diffda_bench import Bench, ObservingPlan, Recipe
from rtma_diffda.experiments.diffda_forecast_pages import AHEAD, cycles_page, lead_time_page
from rtma_diffda.experiments.diffda_lead_time import LeadTime, run_lead_time
from rtma_diffda.experiments.diffda_locations import locations_of
from rtma_diffda.experiments.diffda_methods import recipes, residual_spread
from rtma_diffda.experiments.diffda_parts import DiffdaParts, load_parts
from rtma_diffda.experiments.diffda_report import Report
from rtma_diffda.experiments.diffda_settings import (
    ABLATIONS,
    AUTOREGRESSIVE,
    EVERY,
    EXPERIMENTS,
    LEAD_TIME,
    REAL_LOCATIONS,
    SINGLE_STEP,
    DiffdaSettings,
)
from rtma_diffda.experiments.diffda_single_step import SingleStep, drawn_case, hours, run_single_step
from rtma_diffda.experiments.diffda_step_pages import locations_page, single_step_page
from rtma_diffda.experiments.diffda_store import ResultStore, fingerprint
from rtma_diffda.experiments.global_world import HOUR
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.io.atomic import explain_failures

_LEAD = hours((48,))[0]
_LEADS = hours((6, 12, 18, 24))
_LATER = hours((48, 60, 72, 84, 96))
_AHEAD = hours((AHEAD,))[0]


def run_diffda(settings: DiffdaSettings) -> RunSummary:
    """Run one experiment, or go on with it, and write its page.

    Raises:
        UsageError: wrong settings.
        InputError: a file is missing or does not fit, or the output cannot be written.
    """
    with explain_failures(f"output directory {settings.directory}"):
        settings.directory.mkdir(parents=True, exist_ok=True)
    parts = load_parts(settings.files, Path(settings.output) / "forecasts", device=settings.device)
    return _RUNS[settings.exercise](settings, parts)


def run_all(values: Mapping[str, Any]) -> RunSummary:
    """Every experiment in turn with the same settings.

    Args:
        values: a composed configuration of ``reproduce``.
    """
    found = [run_diffda(DiffdaSettings.from_mapping({**values, "exercise": name})) for name in EXPERIMENTS]
    files = {f"{name.removeprefix('diffda_')} {what}": path for name, one in zip(EXPERIMENTS, found, strict=True)
             for what, path in one.files.items()}  # fmt: skip
    return RunSummary("\n\n\n".join(one.text for one in found), files)


def run_named(values: Mapping[str, Any]) -> RunSummary:
    """The experiment, or all of them, that a composed configuration names."""
    return run_all(values) if values["exercise"] == EVERY else run_diffda(DiffdaSettings.from_mapping(values))


def _single_step(settings: DiffdaSettings, parts: DiffdaParts) -> RunSummary:
    counts = settings.chosen_columns(_points(parts))
    drawn = settings.single_count(None, _points(parts))
    bench = _bench(settings, parts, _chosen(settings, parts, drawn if settings.full else None))
    step = SingleStep(_times(settings, parts, after=0), counts, _LEAD, _LEADS, drawn)
    rows = run_single_step(bench, step)
    report = Report(
        settings,
        bench,
        "DiffDA: single-step assimilation",
        f"Analyses of {len(step.times)} cases from 48-h forecasts and {counts[0]:,} … {counts[-1]:,} columns observed "
        "in full, without noise, by methods side by side on the same cases.",
        _cases(step.times),
    )
    single_step_page(report, rows, drawn_case(bench, step))
    return report.finish()


def _lead_time(settings: DiffdaSettings, parts: DiffdaParts) -> RunSummary:
    chosen, counts = settings.lead_time, settings.forecast_columns(_points(parts))
    bench = _bench(settings, parts, _chosen(replace(settings, methods=chosen.methods), parts))
    earlier_analysis = _LEAD + parts.world.time_step  # its background begins a step before the later one's
    before = float(max(_LATER[-1] - _AHEAD, earlier_analysis) / HOUR)
    times = _times(replace(settings, cases=chosen.cases), parts, before=before, after=AHEAD)
    rows = run_lead_time(bench, LeadTime(times, counts, _LEAD, _AHEAD, _LATER, chosen.network))
    report = Report(
        settings,
        bench,
        "DiffDA: lead time lost by forecasts from analyses",
        f"Analyses at two consecutive times, of {chosen.network} columns, begin a forecast of {AHEAD:g} h, in "
        f"{len(times)} cases; the forecast from the truth with the same error is older by the lead time lost.",
        _cases(times),
    )
    lead_time_page(report, rows)
    return report.finish()


def _autoregressive(settings: DiffdaSettings, parts: DiffdaParts) -> RunSummary:
    cycle = settings.cycle
    count = settings.cycle_count(_points(parts))
    bench = _bench(settings, parts, _chosen(replace(settings, methods=cycle.methods), parts))
    step_hours = float(parts.world.time_step / HOUR)
    starts = _times(replace(settings, cases=cycle.starts), parts, after=step_hours * (cycle.cycles - 1))
    run = Autoregressive(starts, cycle.cycles, count, cycle.networks, _LEAD, residual_spread(parts))
    report = Report(
        settings,
        bench,
        "DiffDA: autoregressive assimilation",
        f"Every {step_hours:g} h {count:,} columns are assimilated; the two latest analyses begin the forecast that is "
        f"corrected next. {cycle.cycles} cycles, the first two from 48-h forecasts, from {len(starts)} starts.",
        _cases(starts),
    )
    cycles_page(report, run_autoregressive(bench, run), step_hours=step_hours, lead_hours=float(_LEAD / HOUR))
    return report.finish()


def _real_locations(settings: DiffdaSettings, parts: DiffdaParts) -> RunSummary:
    places, source = locations_of(settings, parts.world)
    bench = _bench(settings, parts, _chosen(settings, parts), ObservingPlan(settings.draw, locations=places))
    step = SingleStep(_times(settings, parts, after=0), (0, len(places)), _LEAD, (), 0)
    rows = run_single_step(bench, step)
    report = Report(
        settings,
        bench,
        "DiffDA: columns at the locations of stations",
        f"{len(places):,} columns are observed at {source}, and as many at places drawn over the globe, in "
        f"{len(step.times)} cases.",
        _cases(step.times),
    )
    locations_page(report, rows, drawn_case(bench, step), count=len(places), source=source)
    return report.finish()


def _ablations(settings: DiffdaSettings, parts: DiffdaParts) -> RunSummary:
    count = settings.single_count(settings.ablation.columns, _points(parts))
    bench = _bench(settings, parts, ablation_recipes(parts, settings.ablation, settings.repaint))
    step = SingleStep(_times(replace(settings, cases=settings.ablation.cases), parts, after=0), (count,), _LEAD)
    rows = run_single_step(bench, step)
    repaint = settings.repaint
    report = Report(
        settings,
        bench,
        "DiffDA: ablations of the recipe",
        f"{len(step.times)} cases with {count:,} columns; one thing of the recipe changed at a time. The sampler is "
        f"shortened: {repaint.levels} noise levels, {repaint.passes} passes over jumps of {repaint.jump} (published: "
        "300, 10, 10).",
        _cases(step.times),
    )
    ablations_page(report, rows)
    return report.finish()


_RUNS: Mapping[str, Callable[[DiffdaSettings, DiffdaParts], RunSummary]] = {
    SINGLE_STEP: _single_step,
    LEAD_TIME: _lead_time,
    AUTOREGRESSIVE: _autoregressive,
    REAL_LOCATIONS: _real_locations,
    ABLATIONS: _ablations,
}


def _chosen(settings: DiffdaSettings, parts: DiffdaParts, full_columns: int | None = None) -> tuple[Recipe, ...]:
    if not settings.methods:
        raise UsageError("methods is empty; give one or a list")
    return recipes(
        settings.methods, parts, members=settings.members, repaint=settings.repaint, full_columns=full_columns
    )


def _bench(
    settings: DiffdaSettings, parts: DiffdaParts, methods: tuple[Recipe, ...], plan: ObservingPlan | None = None
) -> Bench:
    plan = plan or ObservingPlan(settings.draw)
    places = None if plan.locations is None else (plan.locations.latitude.tolist(), plan.locations.longitude.tolist())
    identity = fingerprint(parts.world.store.identity, plan.draw, plan.error_share, places, settings.seed)
    store = ResultStore(settings.directory, identity)
    return Bench(parts.world, methods, plan, store, settings.seed, settings.progress)


def _times(settings: DiffdaSettings, parts: DiffdaParts, *, before: float = 48.0, after: float) -> np.ndarray:
    """Cases, with all the truth that they need, within the period of the settings."""
    long, later = hours((before, after))
    return parts.world.spread_times(
        settings.cases, before=parts.world.reach(long), after=later, within=settings.limits()
    )


def _points(parts: DiffdaParts) -> int:
    return parts.world.layout.grid.ny * parts.world.layout.grid.nx


def _cases(times: np.ndarray) -> str:
    first, last = (np.datetime_as_string(time, unit="D") for time in (times[0], times[-1]))
    return f"{len(times)} cases from {first} to {last}"
