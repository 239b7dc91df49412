"""``run_forecast``: one forecast of a region, from files of its initial states and of a global run, to a file.

With ``verify`` forecasts of simulated runs are scored instead (``forecast_verification``); ``model=graphcast`` is a
forecast of the globe (``global_forecast``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from rtma_diffda import __version__
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.forecast_models import (
    FORECASTS,
    LIMITED_AREA,
    NEEDS_BOUNDARY,
    ForecastSetting,
    packaged_forecast,
)
from rtma_diffda.experiments.forecast_verification import ForecastVerification, verify_forecasts
from rtma_diffda.experiments.global_forcing import forcing, forcing_in_words
from rtma_diffda.experiments.global_forecast import GRAPHCAST, GlobalForecastSettings, run_global_forecast
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.experiments.settings import as_time, require_between, settings_from
from rtma_diffda.fields.boundary import Boundary, surrounding
from rtma_diffda.fields.layout import Layout
from rtma_diffda.forecast.boundary_state import NO_BOUNDARY
from rtma_diffda.forecast.forecast_checkpoint import network_of, place_for
from rtma_diffda.forecast.limited_area import LimitedAreaForecast
from rtma_diffda.forecast.steps import forecast_states
from rtma_diffda.geo.region import Region, load_region
from rtma_diffda.interfaces import ForecastModel
from rtma_diffda.io.background import Background, load_background
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.io.forecast_file import ForecastProduct, write_forecast
from rtma_diffda.io.static_fields import load_static_fields
from rtma_diffda.times import format_time
from rtma_diffda.verification.display import aligned_text, display_field


@dataclass(frozen=True)
class ForecastSettings:
    """Names and meanings as in ``conf/forecast.yaml``."""

    model: str = LIMITED_AREA
    region: str | None = None
    time: np.datetime64 | None = None
    initial: str | None = None
    global_runs: str | None = None
    global_model: str = ""
    latency_hours: float = 0.0
    steps: int = 3
    checkpoint: str | None = None
    statistics: str | None = None
    device: str = "auto"
    without_boundary: bool = False
    verify: bool = False
    verification: ForecastVerification = field(default_factory=ForecastVerification)
    data: DataSetDesign = field(default_factory=DataSetDesign)
    seed: int = 1
    output: str = "outputs/forecast"
    progress: bool = True

    def __post_init__(self) -> None:
        if self.model not in (*FORECASTS, GRAPHCAST):
            raise UsageError(f"model is '{self.model}'; it may be {', '.join((*FORECASTS, GRAPHCAST))}")
        require_between("steps", self.steps, 1, 240)
        require_between("latency_hours", self.latency_hours, 0.0, 240.0)
        require_between("seed", self.seed, 0, 2**31 - 1)
        missing = [name for name in ("region", "time", "initial") if getattr(self, name) is None]
        if missing and not (self.verify or self.model == GRAPHCAST):
            raise UsageError(
                f"not given: {', '.join(missing)}; a forecast needs them (say for example {missing[0]}=…), and "
                "verify=true scores forecasts of simulated runs instead"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "ForecastSettings":
        """Settings from a composed configuration."""
        unused = ("experiment", "observing")  # experiments that other verbs share observe their runs
        given = {key: value for key, value in values.items() if key not in unused}
        if given.get("time") is not None:
            given["time"] = as_time(given["time"])
        return settings_from(cls, given)

    def of_the_globe(self) -> GlobalForecastSettings:
        """What a forecast of the globe needs of them.

        Raises:
            UsageError: settings that such a forecast does not know.
        """
        strange = [name for name in ("region", "global_runs") if getattr(self, name)]
        if strange or self.verify:
            raise UsageError(f"model={GRAPHCAST} forecasts the globe; it takes no {', '.join([*strange, 'verify'])}")
        names = ("initial", "time", "checkpoint", "statistics", "steps", "device", "output", "progress")
        return GlobalForecastSettings(**{name: getattr(self, name) for name in names})


def run_forecast(settings: ForecastSettings) -> RunSummary:
    """Make one forecast and store it, or score forecasts of simulated runs.

    Returns:
        A text for the terminal, the files, and what is less than normal.

    Raises:
        UsageError, InputError: wrong settings, input missing or rejected, or no boundary; nothing is stored then.
    """
    if settings.model == GRAPHCAST:
        return run_global_forecast(settings.of_the_globe())
    if settings.verify:
        return verify_forecasts(
            settings.data,
            settings.verification,
            seed=settings.seed,
            checkpoint=settings.checkpoint,
            output=Path(settings.output) / settings.data.name / f"seed_{settings.seed}",
            progress_shown=settings.progress,
        )
    made = _made(settings)
    product = _product(settings, made)
    path = write_forecast(product, settings.output)
    return RunSummary(_text(settings, made, path), {"forecast": path}, product.degraded)


@dataclass(frozen=True)
class _Made:
    """A forecast with what it was made from."""

    region: Region
    setting: ForecastSetting
    backgrounds: tuple[Background, ...]
    boundary: Boundary | None
    states: tuple
    degraded: tuple[str, ...]


def _made(settings: ForecastSettings) -> _Made:
    region = load_region(settings.region)
    static, layout = load_static_fields(region), Layout.of(region.grid, region.variables)
    boundary = _boundary(settings, layout)
    degraded: tuple[str, ...] = ()
    if boundary is None and settings.model in NEEDS_BOUNDARY:
        if not (settings.without_boundary and settings.model == LIMITED_AREA):
            raise InputError(
                f"{NO_BOUNDARY}: give global_runs=PATH; without_boundary=true makes a degraded forecast without them"
            )
        degraded = ("made without boundary states",)
    setting = ForecastSetting.of_boundary(
        boundary,
        layout=layout,
        static=static,
        time_step=np.timedelta64(1, "h"),
        checkpoint=settings.checkpoint,
        without_boundary=settings.without_boundary,
    )
    model = FORECASTS[settings.model](setting)
    backgrounds = tuple(
        load_background(settings.initial, layout=layout, static=static, valid_time=time, region=region.name)
        for time in _initial_times(settings, model)
    )
    states = forecast_states(model, [b.state for b in backgrounds], boundary, steps=settings.steps)
    return _Made(region, setting, backgrounds, boundary, states, degraded)


def _initial_times(settings: ForecastSettings, model: ForecastModel) -> list[np.datetime64]:
    return [settings.time - model.time_step * k for k in reversed(range(model.history_length))]


def _boundary(settings: ForecastSettings, layout: Layout) -> Boundary | None:
    """The global run, on the boundary grid that the model knows; None where none is given.

    Raises:
        InputError: no run serves, with the reason.
    """
    if settings.global_runs is None:
        return None
    network, trained = network_of(
        read_checkpoint(Path(settings.checkpoint) if settings.checkpoint else packaged_forecast())
    )
    if settings.model == LIMITED_AREA:
        need = LimitedAreaForecast.needed_by(network.encoding, settings.time, settings.steps)
    else:
        need = surrounding(settings.time + np.timedelta64(1, "h") * np.array([0, settings.steps]))
    place = place_for(layout.grid, trained)
    return forcing(settings, Layout.of(place.boundary_grid, layout.names), need)


def _product(settings: ForecastSettings, made: _Made) -> ForecastProduct:
    return ForecastProduct(
        domain=made.region.name,
        states=made.states,
        initial_time=settings.time,
        static=made.setting.static,
        created=np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s"),
        provenance={
            "software": f"rtma_diffda {__version__}",
            "model": settings.model,
            "initial_states": "; ".join(b.provenance for b in made.backgrounds),
            **forcing_in_words(made.boundary),
        },
        degraded=made.degraded,
    )


def _text(settings: ForecastSettings, made: _Made, path: Path) -> str:
    forced = "no global run" if made.boundary is None else made.boundary.name
    names = made.setting.layout.names
    header = ["valid time", *(f"{name} ({display_field(name, np.zeros(1))[1]})" for name in names)]
    rows = []
    for state in made.states:
        means = (float(display_field(n, state.channel(n).double().mean().numpy()[None])[0][0]) for n in names)
        rows.append([format_time(state.valid_time), *(f"{mean:.2f}" for mean in means)])
    return (
        f"{made.region.title}: {settings.model} from {format_time(settings.time)}, forced by {forced}\n\n"
        f"means over the region:\n{aligned_text(header, rows, text_columns=1)}\n\nforecast: {path}"
    )
