"""``run_global_forecast``: GraphCast from two analyses in a store of WeatherBench 2's layout, days ahead, to a store.

States are written as they are made; a run that was interrupted goes on where it stopped. Where the store of the
analyses reaches, the forecast is compared with them, and with persistence.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.progress import arriving
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import require_between
from rtma_diffda.fields.global_layout import keys_of
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.graphcast import GraphCastForecast
from rtma_diffda.forecast.graphcast_checkpoint import load_graphcast
from rtma_diffda.io.weatherbench import GlobalArchive, open_archive
from rtma_diffda.io.weatherbench_forecast import GlobalForecastDesign, GlobalForecastStore
from rtma_diffda.resources import resource_directory
from rtma_diffda.times import compact_time, format_time
from rtma_diffda.variables import to_display, variable
from rtma_diffda.verification.display import aligned_text
from rtma_diffda.verification.global_errors import AREA, MEAN, cell_weights, mean_squared_errors

GRAPHCAST = "graphcast"
"""Name of the model, as ``forecast`` knows it."""

_SHOWN = ("z500", "t850", "t2m", "u10m", "msl", "q700")
_TOLD_STEPS = 12


@dataclass(frozen=True)
class GlobalForecastSettings:
    """Names and meanings as in ``conf/forecast.yaml``.

    Attributes:
        initial: store with the analyses; None: the packaged sample.
        time: initial time; None: the earliest that the store has.
        checkpoint: directory or published ``.npz``; None: the packaged one.
        statistics: directory of statistics for a published file.
        steps: of six hours.
        device: ``cpu``, ``cuda`` …; ``auto``: an accelerator where there is one.
        output: directory for the store.
        progress: whether a progress bar is wanted.
    """

    initial: str | None = None
    time: np.datetime64 | None = None
    checkpoint: str | None = None
    statistics: str | None = None
    steps: int = 40
    device: str = "auto"
    output: str = "outputs/forecast"
    progress: bool = True

    def __post_init__(self) -> None:
        require_between("steps", self.steps, 1, 400)


def packaged_graphcast() -> Path:
    """The forecast model in the package."""
    return resource_directory("checkpoints") / "graphcast_forecast"


def packaged_sample() -> Path:
    """The store of true states in the package.

    Raises:
        InputError: there is none.
    """
    stores = sorted((resource_directory("samples") / "global").glob("*.zarr"))
    if not stores:
        raise InputError("the installation has no sample of global states; give initial=STORE")
    return stores[0]


def run_global_forecast(settings: GlobalForecastSettings) -> RunSummary:
    """Make, or go on with, one forecast.

    Returns:
        A text for the terminal, and the store.

    Raises:
        UsageError, InputError: wrong settings, input missing or rejected, or another forecast where the store would be.
    """
    archive = open_archive(settings.initial or packaged_sample())
    model = load_graphcast(
        settings.checkpoint or packaged_graphcast(),
        static=archive.static,
        statistics=settings.statistics,
        device=chosen_device(settings.device),
    )
    archive = archive.selected(keys_of(model.layout))
    time = first_time(archive, model) if settings.time is None else settings.time
    store = GlobalForecastStore(_path(settings, time), _design(settings, archive, model, time))
    begun = store.done
    history = _history(archive, store, model, time)
    rest = range(begun, settings.steps)
    for _ in arriving(rest, len(rest), "forecast", shown=settings.progress):
        state, diagnostics = model.step_with_diagnostics(history)
        store.append(state.values if diagnostics is None else torch.cat([state.values, diagnostics.values], dim=1))
        history = (history[-1], state)
    return RunSummary(_text(archive, store, begun), {"forecast": store.path})


def chosen_device(name: str) -> torch.device:
    """The device of that name; of ``auto`` an accelerator where there is one.

    Raises:
        UsageError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device '{name}' cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def first_time(archive: GlobalArchive, model: GraphCastForecast) -> np.datetime64:
    """The earliest initial time for which the archive has a history.

    Raises:
        InputError: there is none.
    """
    times = archive.valid_times
    whole = np.isin(times - model.time_step, times)
    if not whole.any():
        raise InputError(f"{archive.path} has no two states {model.time_step} apart to begin with")
    return times[whole][0]


def _design(
    settings: GlobalForecastSettings, archive: GlobalArchive, model: GraphCastForecast, time: np.datetime64
) -> GlobalForecastDesign:
    checkpoint = Path(settings.checkpoint or packaged_graphcast())
    network = model.network
    layout = Layout(model.layout.grid, (*network.layout.channels, *network.diagnostic_layout.channels))
    made = {
        "model": GRAPHCAST,
        "checkpoint": f"{checkpoint.name} {_digest(checkpoint)}",
        "statistics": settings.statistics or "of the checkpoint",
        "analyses": archive.path,
        "bfloat16": str(network.bfloat16),
    }
    return GlobalForecastDesign(layout, time, model.time_step, settings.steps, archive.static, made)


def _digest(checkpoint: Path) -> str:
    """First digits of the SHA-256 of a published file, or of a directory's manifest, which has those of its files."""
    file = checkpoint / "manifest.json" if checkpoint.is_dir() else checkpoint
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:12]


def _history(
    archive: GlobalArchive, store: GlobalForecastStore, model: GraphCastForecast, time: np.datetime64
) -> tuple[State, State]:
    """The two states before the next step: analyses, or what the store has."""
    channels = len(model.layout.channels)

    def state(step: int) -> State:
        valid = time + step * model.time_step
        if step < 1:
            return archive.state(valid)
        return State(store.values(step)[:, :channels], model.layout, valid.astype("datetime64[ns]"))

    return state(store.done - 1), state(store.done)


def _path(settings: GlobalForecastSettings, time: np.datetime64) -> Path:
    return Path(settings.output) / f"rtma_diffda.global.forecast.{compact_time(time)}.zarr"


def _text(archive: GlobalArchive, store: GlobalForecastStore, begun: int) -> str:
    design = store.design
    resumed = f"; steps 1 … {begun} were there" if begun else ""
    head = (
        f"{GRAPHCAST} from {format_time(design.initial_time)}, {store.done} steps of "
        f"{design.time_step / np.timedelta64(1, 'h'):g} h on {' × '.join(map(str, design.layout.grid.shape))} points"
        f"{resumed}"
    )
    return f"{head}\n\n{_scores(archive, store)}\n\nforecast: {store.path}"


def _scores(archive: GlobalArchive, store: GlobalForecastStore) -> str:
    """RMSE of forecast and persistence at some leads, where the archive has the truth."""
    design = store.design
    known = [k for k, lead in enumerate(design.leads, 1) if design.initial_time + lead in archive.valid_times]
    names = [name for name in _SHOWN if name in archive.layout.names] or list(archive.layout.names[:6])
    if not known:
        return f"{archive.path} has no later states to compare with"
    few = sorted({known[i] for i in np.linspace(0, len(known) - 1, _TOLD_STEPS).round().astype(int)})
    start = archive.state(design.initial_time).values
    rows = []
    for step in few:
        truth = archive.state(design.initial_time + design.leads[step - 1])
        forecast, persistence = (
            _rmse(values, truth, names) for values in (store.values(step)[:, : start.shape[1]], start)
        )
        pairs = (f"{one:.3g} / {other:.3g}" for one, other in zip(forecast, persistence, strict=True))
        rows.append([f"{design.leads[step - 1] / np.timedelta64(1, 'h'):g}", *pairs])
    units = [f"{name} ({_unit(archive.layout, name)})" for name in names]
    table = aligned_text(["lead (h)", *units], rows, text_columns=0)
    return f"RMSE over the globe, of the forecast / of persistence:\n{table}"


def _rmse(values: Tensor, truth: State, names: Sequence[str]) -> list[float]:
    """By channel, area-weighted, in display units."""
    weights = {AREA: cell_weights(truth.layout.grid)[AREA]}
    squares = mean_squared_errors(truth.with_values(values), truth, weights)[MEAN][AREA]
    found = []
    for name in names:
        channel = truth.layout.channels[truth.layout.index(name)]
        scale = to_display(channel.name, 1.0)[0] - to_display(channel.name, 0.0)[0]
        found.append(scale * squares[truth.layout.index(name)] ** 0.5)
    return found


def _unit(layout: Layout, name: str) -> str:
    channel = layout.channels[layout.index(name)]
    display = variable(channel.name).display
    unit = display[0] if display else variable(channel.name).unit
    return "K" if unit == "°C" else unit
