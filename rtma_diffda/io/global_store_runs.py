"""``GlobalStoreRuns``: forecasts of the globe in stores of WeatherBench 2's layout: a ``BoundarySource``.

``time`` is the initial time, ``prediction_timedelta`` the lead. Such stores are what ``io.weatherbench_forecast``
writes (its missing steps are left out), and WeatherBench 2's own (HRES, GraphCast, Pangu-Weather …).
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.boundary import Boundary, BoundaryNeed
from rtma_diffda.fields.boundary_runs import Availability, GlobalRun, latest_boundary
from rtma_diffda.fields.global_layout import global_grid, global_layout
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.global_runs import GlobalRunFiles
from rtma_diffda.io.global_to_boundary import GlobalToBoundary
from rtma_diffda.io.weatherbench import all_keys, read_channels, static_of
from rtma_diffda.io.weatherbench_forecast import STEPS_FILE
from rtma_diffda.io.weatherbench_layout import open_dataset

_LEAD = "prediction_timedelta"
_USED = (
    "10m_u_component_of_wind",
    "10m_v_component_of_wind",
    "2m_temperature",
    "mean_sea_level_pressure",
    "specific_humidity",
)


def forecast_stores(path: str | Path) -> tuple[Path, ...]:
    """The forecast stores that a path, a directory of stores or a pattern names, sorted; none where it names others."""
    path = Path(path)
    if path.exists():
        found = [path, *sorted(path.glob("*.zarr"))]
    else:
        fixed = Path(path.anchor) if path.anchor else Path()
        found = sorted(fixed.glob(str(path.relative_to(fixed) if path.anchor else path)))
    return tuple(one for one in found if (one / _LEAD).is_dir())


@dataclass(frozen=True, kw_only=True)
class GlobalStoreRuns:
    """Attributes:
    path: of a store, a directory of stores, or a pattern; looked at anew with each request.
    layout: the boundary grid, and the variables wanted.
    latency: how long after its initial time a run arrives.
    source: name of the global model, for messages and products; the path where empty.
    """

    path: str | Path
    layout: Layout
    latency: np.timedelta64
    source: str = ""

    def __post_init__(self) -> None:
        if self.latency < np.timedelta64(0, "s"):
            raise UsageError(f"the latency of global runs must not be negative; found {self.latency}")

    @property
    def name(self) -> str:
        """What the source is called."""
        return self.source or str(self.path)

    def bracketing(
        self, need: BoundaryNeed, *, available_at: np.datetime64, before: np.datetime64 | None = None
    ) -> Boundary:
        """As in ``BoundarySource``.

        Raises:
            InputError: there is no run, none is old enough, or none has the times and variables needed.
        """
        availability = Availability(available_at, available_at if before is None else before, self.latency)
        return latest_boundary(self.runs(), need, availability=availability, source=self.name)

    def runs(self) -> tuple[GlobalRun, ...]:
        """The runs of all stores.

        Raises:
            InputError: there is no store, or one cannot be read.
        """
        stores = forecast_stores(self.path)
        if not stores:
            raise InputError(f"{self.path} names no store of forecasts in WeatherBench 2's layout")
        return tuple(run for store in stores for run in self._runs_of(store))

    def _runs_of(self, store: Path) -> list[GlobalRun]:
        dataset = open_dataset(store)
        starts = np.atleast_1d(dataset["time"].values).astype("datetime64[ns]")
        leads = dataset[_LEAD].values.astype("timedelta64[ns]")[: _steps_done(store)]
        load = _Loader(dataset, self.layout, str(store), self.name)
        return [GlobalRun(start, start + leads, partial(load, i)) for i, start in enumerate(starts) if len(leads)]


@dataclass(frozen=True)
class AnyGlobalRuns:
    """Global runs of one kind or another at one path; which, is looked at anew with each request.

    Attributes:
        stores: the runs if stores of forecasts are there.
        files: the runs if not.
    """

    stores: GlobalStoreRuns
    files: GlobalRunFiles

    def bracketing(
        self, need: BoundaryNeed, *, available_at: np.datetime64, before: np.datetime64 | None = None
    ) -> Boundary:
        """As in ``BoundarySource``."""
        source = self.stores if forecast_stores(self.stores.path) else self.files
        return source.bracketing(need, available_at=available_at, before=before)


def global_runs_at(path: str | Path, *, layout: Layout, latency: np.timedelta64, source: str = "") -> AnyGlobalRuns:
    """The global runs at a path: stores of forecasts, or files of any kind that is read; see these two."""
    settings = {"path": path, "layout": layout, "latency": latency, "source": source}
    return AnyGlobalRuns(GlobalStoreRuns(**settings), GlobalRunFiles(**settings))


@dataclass(frozen=True, eq=False)
class _Loader:
    """Reads the states of the runs of one store."""

    dataset: xr.Dataset
    layout: Layout
    path: str
    source: str

    def __call__(self, run: int, times: np.ndarray) -> tuple[tuple[State, ...], StaticFields | None]:
        grid = global_grid(self.dataset["latitude"].values, self.dataset["longitude"].values)
        known = self.dataset[[name for name in _USED if name in self.dataset]]
        keys = all_keys(known, None, self.path)
        convert = GlobalToBoundary(self.layout, static_of(self.dataset, grid, self.source), self.source)
        start = np.atleast_1d(self.dataset["time"].values)[run].astype("datetime64[ns]")
        leads = self.dataset[_LEAD].values.astype("timedelta64[ns]")
        steps = np.searchsorted(leads, times - start)
        chosen = known.isel(time=run) if "time" in known.dims else known
        values = read_channels(chosen.isel({_LEAD: steps}), keys, self.path)
        layout = global_layout(keys, grid)
        states = (State(one[None], layout, time) for one, time in zip(values, times, strict=True))
        return tuple(map(convert, states)), convert.static


def _steps_done(store: Path) -> int | None:
    """How many leads a store of this package has so far; None of other stores: all."""
    try:
        return int(json.loads((store / STEPS_FILE).read_text(encoding="utf-8"))["steps_done"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{store / STEPS_FILE} is damaged: {error}") from error
