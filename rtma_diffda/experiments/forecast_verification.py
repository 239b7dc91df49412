"""Forecasts of simulated runs against their truth: is the limited-area model worth it, and does its boundary matter?

Every test run is forecast from several hours of its day. The models: the limited-area model; persistence; the global
state, linear in time and taken to the region; and the global change added to the initial state. Beside them the same
network with its boundary in a random order of times (``shuffled_boundary``) and with none (``no_boundary``). The
initial state is the truth, and, in settings of their own, the twin: an imperfect first guess as an office would have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.data_set import DataSetDesign, run_generator
from rtma_diffda.experiments.forecast_models import (
    FORECASTS,
    GLOBAL_CHANGE,
    GLOBAL_STATE,
    LIMITED_AREA,
    PERSISTENCE,
    ForecastSetting,
    packaged_forecast,
)
from rtma_diffda.experiments.progress import progress
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import require_between
from rtma_diffda.experiments.simulate import SimulateSettings, make_runs
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.forecast_checkpoint import load_forecast
from rtma_diffda.forecast.limited_area import LimitedAreaForecast
from rtma_diffda.forecast.steps import forecast_states
from rtma_diffda.interfaces import ForecastModel
from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.io.simulation_store import SimulatedRun, read_run
from rtma_diffda.io.tables import write_table
from rtma_diffda.verification.comparison import comparison_table, mean_ratio_table
from rtma_diffda.verification.display import aligned_text
from rtma_diffda.verification.forecast_scores import (
    GRID,
    ForecastLabel,
    forecast_rows,
    response_by_distance,
    seam_table,
)
from rtma_diffda.verification.paired import significance_table
from rtma_diffda.verification.reports.canvas import save_png
from rtma_diffda.verification.reports.forecast_figures import forecast_maps, rmse_by_lead_figure

SHUFFLED, ALONE = "shuffled_boundary", "no_boundary"
_FROM_TWIN = " from the twin"
_DISTURBANCE = 3.0  # K, of the boundary's temperature
_MAP_LEAD = 3


@dataclass(frozen=True)
class ForecastVerification:
    """Names and meanings as in ``conf/forecast.yaml``."""

    leads: tuple[int, ...] = (1, 2, 3, 6)
    start_hours: tuple[int, ...] = (4, 10, 16)
    rim: int = 4
    twin: bool = True
    runs: int | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.leads or min(self.leads) < 1 or list(self.leads) != sorted(set(self.leads)):
            raise UsageError(f"verification.leads are {self.leads}; they must be some, increasing, from 1 on")
        if not self.start_hours or min(self.start_hours) < 1:
            raise UsageError(f"verification.start_hours are {self.start_hours}; a forecast begins with two states")
        require_between("verification.rim", self.rim, 1, 1000)


@dataclass(frozen=True)
class _RunModels:
    """What one run is forecast with.

    Attributes:
        run: from the data set.
        models: by name.
        boundary: all global states of the run.
        shuffled: the same in a random order of times.
    """

    run: SimulatedRun
    models: Mapping[str, ForecastModel]
    boundary: Boundary
    shuffled: Boundary

    def forecasts(self, history: Sequence[State], steps: int) -> dict[str, tuple[State, ...]]:
        """States after 1 … ``steps`` steps by name of the model, of its variants too."""
        found = {
            name: forecast_states(model, history, self.boundary, steps=steps) for name, model in self.models.items()
        }
        network = self.models[LIMITED_AREA]
        found[SHUFFLED] = forecast_states(network, history, self.shuffled, steps=steps)
        found[ALONE] = forecast_states(network, history, None, steps=steps)
        return found


def verify_forecasts(
    data: DataSetDesign,
    settings: ForecastVerification,
    *,
    seed: int,
    checkpoint: str | None,
    output: Path,
    progress_shown: bool = True,
) -> RunSummary:
    """Score forecasts of the test runs; runs that are not there are made.

    Args:
        data: the data set.
        settings: how.
        seed: of the data set; other than that of the training.
        checkpoint: of the limited-area model; None: the packaged one.
        output: directory for tables and pictures.
        progress_shown: a bar on stderr.

    Returns:
        The tables in words, and where the files are.
    """
    made = SimulateSettings(data, splits=("test",), seed=seed, metar=False, report=False, progress=progress_shown)
    make_runs(made)
    numbers = data.numbers("test")[: settings.runs]
    rows: list[dict[str, object]] = []
    responses: list[pd.DataFrame] = []
    files: dict[str, Path] = {}
    networks: dict[str, LimitedAreaForecast] = {}
    for number in progress(numbers, "forecasts of test runs", shown=progress_shown):
        run = read_run(data.run_path(seed, "test", number))
        networks = networks or _networks(run, settings, checkpoint)
        models = _models(run, networks, run_generator(seed, "test", number, "judge"))
        rows += _scored(models, settings)
        responses += _responses(models, settings)
        if not files:
            files["maps"] = _draw_maps(models, settings, output)
    return _report(pd.DataFrame(rows), pd.concat(responses, ignore_index=True), output, files)


def _networks(
    run: SimulatedRun, settings: ForecastVerification, checkpoint: str | None
) -> dict[str, LimitedAreaForecast]:
    """The limited-area model and those to compare it with, by name, on the place of a run."""
    paths = {LIMITED_AREA: Path(checkpoint) if checkpoint else packaged_forecast()}
    paths |= {name: Path(path) for name, path in settings.others.items()}
    names = run.layout.names
    return {
        name: load_forecast(path, run.static, variables=names, without_boundary=True) for name, path in paths.items()
    }


def _models(run: SimulatedRun, networks: Mapping[str, LimitedAreaForecast], generator: torch.Generator) -> _RunModels:
    boundary = run.boundary()
    setting = ForecastSetting(run.layout, run.static, run.times[1] - run.times[0], run.large_scale_static)
    models: dict[str, ForecastModel] = {name: replace(network, static=run.static) for name, network in networks.items()}
    models |= {name: FORECASTS[name](setting) for name in (PERSISTENCE, GLOBAL_STATE, GLOBAL_CHANGE)}
    order = torch.randperm(len(run.large_scale), generator=generator)
    return _RunModels(run, models, boundary, _reordered(boundary, order.tolist()))


def _reordered(boundary: Boundary, order: Sequence[int]) -> Boundary:
    """The same times with the states of others."""
    states = tuple(
        replace(boundary.states[j], valid_time=state.valid_time)
        for state, j in zip(boundary.states, order, strict=True)
    )
    return replace(boundary, states=states)


def _starts(run: SimulatedRun, settings: ForecastVerification) -> list[int]:
    """Positions in the run of initial states whose forecasts, and the boundary after them, lie in the run."""
    hours = (run.times - run.times[0]) / np.timedelta64(1, "h")
    last = hours[-1] - settings.leads[-1] - 1
    return [int(np.flatnonzero(hours == hour)[0]) for hour in settings.start_hours if hour <= last]


def _scored(models: _RunModels, settings: ForecastVerification) -> Iterator[dict[str, object]]:
    run = models.run
    for start in _starts(run, settings):
        initial = {"": run.truth} | ({_FROM_TWIN: run.background} if settings.twin else {})
        for words, series in initial.items():
            history = [series.state(start - 1), series.state(start)]
            for name, states in models.forecasts(history, settings.leads[-1]).items():
                for lead in settings.leads:
                    label = ForecastLabel(f"{lead} h{words}", name, run.name)
                    truth = run.truth.state(start + lead)
                    yield from forecast_rows(states[lead - 1], truth, label, rim=settings.rim)


def _responses(models: _RunModels, settings: ForecastVerification) -> Iterator[pd.DataFrame]:
    """How the temperature answers, by distance from the rim, to a boundary that is warmer outside the region."""
    run, network = models.run, models.models[LIMITED_AREA]
    start = _starts(run, settings)[0]
    history = [run.truth.state(start - 1), run.truth.state(start)]
    warmer = _warmed(models.boundary, run, after=history[-1].valid_time)
    pair = [forecast_states(network, history, b, steps=settings.leads[-1]) for b in (models.boundary, warmer)]
    for lead in settings.leads:
        change = (pair[1][lead - 1].values - pair[0][lead - 1].values)[:, run.layout.index("t2m")]
        found = response_by_distance(change.double().numpy(), width=settings.rim)
        yield found.assign(lead=lead, run=run.name)


def _warmed(boundary: Boundary, run: SimulatedRun, *, after: np.datetime64) -> Boundary:
    """The boundary with temperatures 3 K higher at the points outside the region, later than a time.

    A disturbance that had been there before would be no change, and changes are what the network is told.
    """
    outer, grid = boundary.states[0].layout.grid, run.layout.grid
    x, y = np.meshgrid(outer.x, outer.y)
    outside = (x < grid.x[0]) | (x > grid.x[-1]) | (y < grid.y[0]) | (y > grid.y[-1])
    warmth = _DISTURBANCE * torch.from_numpy(outside)

    def warmer(state: State) -> State:
        if state.valid_time <= after:
            return state
        values = state.values.clone()
        values[:, state.layout.index("t2m")] += warmth.to(values)
        return state.with_values(values)

    return replace(boundary, states=tuple(map(warmer, boundary.states)))


def _draw_maps(models: _RunModels, settings: ForecastVerification, output: Path) -> Path:
    run = models.run
    start = _starts(run, settings)[min(2, len(_starts(run, settings)) - 1)]
    lead = min(_MAP_LEAD, settings.leads[-1])
    history = [run.truth.state(start - 1), run.truth.state(start)]
    states = forecast_states(models.models[LIMITED_AREA], history, models.boundary, steps=lead)
    figure = forecast_maps(run.truth.state(start + lead), states[-1], run.static, rim=settings.rim)
    output.mkdir(parents=True, exist_ok=True)
    return save_png(figure, output / f"maps_{lead}h.png")


def _report(rows: pd.DataFrame, responses: pd.DataFrame, output: Path, files: dict[str, Path]) -> RunSummary:
    scores = comparison_table(rows, reference=PERSISTENCE)
    ratios = pd.concat(
        [
            mean_ratio_table(rows[rows["place"] == GRID], reference=reference).assign(reference=reference)
            for reference in (PERSISTENCE, GLOBAL_STATE, GLOBAL_CHANGE, LIMITED_AREA)
        ],
        ignore_index=True,
    )
    tested = significance_table(rows[rows["place"] == GRID], reference=LIMITED_AREA)
    seams = seam_table(rows, reference=PERSISTENCE)
    response = responses.pivot_table(index="first", columns="lead", values="rms")
    tables = {
        "scores": scores,
        "ratios": ratios,
        "significance": tested,
        "seams": seams,
        "responses": responses,
        "cases": rows,
    }
    for name, table in tables.items():
        files[name] = write_table(output / f"{name}.parquet", table)
    lead = scores["setting"].str.extract(r"^(\d+) h$")[0].astype(float)
    by_lead = scores[(scores["place"] == GRID) & lead.notna()].assign(lead=lead)
    files["RMSE by lead"] = save_png(rmse_by_lead_figure(by_lead), output / "rmse_by_lead.png")
    text = "\n\n".join(
        [
            "RMSE (SI) on the grid, mean ratio to persistence:\n" + _rmse_text(scores, ratios),
            "RMSE of the limited-area forecast over that of the others, mean over variables (95 % over runs):\n"
            + _ratio_text(ratios),
            "The others against the limited-area forecast, over all variables (sign flips over runs, Holm):\n"
            + _tested_text(tested),
            "Rim against interior (1: as much worse at the rim as the weather changes more there):\n"
            + _seam_text(seams),
            f"Change of t2m (K) by a boundary {_DISTURBANCE:g} K warmer outside the region, by distance from the rim:\n"
            + response.round(3).to_string(),
        ]
    )
    files["report"] = write_bytes(output / "report.txt", text.encode())
    return RunSummary(text + "\n\n" + "\n".join(f"{what}: {where}" for what, where in files.items()), files)


def _rmse_text(scores: pd.DataFrame, ratios: pd.DataFrame) -> str:
    grid = scores[scores["place"] == GRID]
    variables = list(grid["variable"].unique())
    to_persistence = ratios[ratios["reference"] == PERSISTENCE].set_index(["setting", "method"])["rmse_ratio"]
    lines = []
    for key, group in grid.groupby(["setting", "method"], sort=False):
        rmse = group.set_index("variable")["rmse"]
        lines.append([*key, *(f"{rmse[name]:.3g}" for name in variables), f"{to_persistence[key]:.3f}"])
    return aligned_text(["lead", "forecast", *variables, "ratio"], lines)


def _ratio_text(ratios: pd.DataFrame) -> str:
    own = ratios[(ratios["method"] == LIMITED_AREA) & (ratios["reference"] != LIMITED_AREA)]
    rows = [
        [r.setting, r.reference, f"{r.rmse_ratio:.3f}", f"{r.rmse_ratio_low:.3f} … {r.rmse_ratio_high:.3f}"]
        for r in own.itertuples()
    ]
    others = ratios[(ratios["reference"] == LIMITED_AREA) & ratios["method"].isin([SHUFFLED, ALONE])]
    rows += [
        [r.setting, f"{r.method} / {LIMITED_AREA}", f"{r.rmse_ratio:.3f}",
         f"{r.rmse_ratio_low:.3f} … {r.rmse_ratio_high:.3f}"]
        for r in others.itertuples()
    ]  # fmt: skip
    return aligned_text(["lead", "against", "ratio", "interval"], rows)


def _tested_text(tested: pd.DataFrame) -> str:
    together = tested[tested["variable"] == "all"]
    rows = [
        [r.setting, r.method, f"{r.better_runs}/{r.runs}", f"{r.p_holm:.2g}", r.verdict] for r in together.itertuples()
    ]
    return aligned_text(["lead", "forecast", "better in runs", "p", "verdict"], rows)


def _seam_text(seams: pd.DataFrame) -> str:
    rows = [
        [r.setting, r.method, f"{r.rim_over_interior:.3f}", f"{r.seam:.3f}", f"{r.seam_low:.3f} … {r.seam_high:.3f}"]
        for r in seams.itertuples()
    ]
    return aligned_text(["lead", "forecast", "rim / interior", "seam", "interval"], rows)
