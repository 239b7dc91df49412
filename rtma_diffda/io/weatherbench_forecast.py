"""``GlobalForecastStore``: one forecast of the globe as a Zarr store in WeatherBench 2's layout, written step by step.

``time`` is the initial time (one), ``prediction_timedelta`` the lead; fields are (time, prediction_timedelta, [level,]
latitude, longitude). The store is made whole, with no data, and appears at once; each step's data are written, then the
number of steps that are there, in ``steps.json`` beside them. So a forecast that was interrupted goes on where it
stopped, and a reader knows how far it has come. Steps that are not there are NaN.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import torch
import xarray as xr
import zarr
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_layout import keys_of
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io import atomic
from rtma_diffda.io.weatherbench import GRAVITY
from rtma_diffda.times import format_time

STEPS_FILE = "steps.json"


@dataclass(frozen=True)
class GlobalForecastDesign:
    """What a store holds.

    Attributes:
        layout: channels and grid.
        initial_time: when the forecast starts.
        time_step: between its states.
        steps: how many there will be.
        static: terrain and land.
        provenance: how it is made, in words; a store of another provenance is not gone on with.
    """

    layout: Layout
    initial_time: np.datetime64
    time_step: np.timedelta64
    steps: int
    static: StaticFields = field(repr=False)
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def leads(self) -> np.ndarray:
        """(step,) timedelta64[ns]."""
        return (np.arange(1, self.steps + 1) * self.time_step).astype("timedelta64[ns]")

    def facts(self) -> dict[str, Any]:
        """What must agree where a forecast is gone on with."""
        return {
            "initial_time": format_time(self.initial_time),
            "step_hours": float(self.time_step / np.timedelta64(1, "h")),
            "steps": self.steps,
            "channels": list(self.layout.names),
            "grid": self.layout.grid.key,
            **self.provenance,
        }


class GlobalForecastStore:
    """A store, opened to be written to; made where it is not there.

    Args:
        path: of the store.
        design: of the forecast.

    Raises:
        InputError: another forecast, or something else, is there; or the file system refused.
    """

    def __init__(self, path: str | Path, design: GlobalForecastDesign) -> None:
        self.path, self.design = Path(path), design
        if self.path.exists():
            self._require_same()
        else:
            _make(self.path, design)
        self._group = zarr.open_group(self.path, mode="r+", zarr_format=2)
        self._places = _places(design.layout)
        self.done = self._whole_steps()

    def append(self, values: Tensor) -> None:
        """Write the next step.

        Args:
            values: (1, channel, y, x) or (channel, y, x), SI.

        Raises:
            InputError: there are values that are not finite, or the file system refused.
        """
        time = self.design.initial_time + self.design.leads[self.done]
        values = values.detach().cpu().float().reshape(1, *self.design.layout.shape)
        State(values, self.design.layout, time).require_finite(f"the forecast for {format_time(time)}")
        with atomic.explain_failures(f"forecast {self.path}"):
            for name, places in self._places.items():
                chunk = values[0, list(places.values())].numpy()
                self._group[name][0, self.done] = chunk[0] if None in places else chunk
        self.done += 1
        _tell(self.path, self.design, self.done)

    def values(self, step: int) -> Tensor:
        """The state after ``step`` steps (1, 2, …) as it was written: (1, channel, y, x) float32."""
        found = torch.empty((1, *self.design.layout.shape))
        for name, places in self._places.items():
            read = torch.from_numpy(np.asarray(self._group[name][0, step - 1]))
            found[0, list(places.values())] = read if None not in places else read[None]
        return found

    def _whole_steps(self) -> int:
        """Steps that are there, the last of them whole."""
        done = int(_told(self.path)["steps_done"])
        while done and not self._is_whole(done):
            done -= 1
        return done

    def _is_whole(self, step: int) -> bool:
        try:
            return bool(torch.isfinite(self.values(step)).all())
        except (OSError, ValueError, RuntimeError):  # a chunk that was cut short
            return False

    def _require_same(self) -> None:
        told = _told(self.path).get("forecast", {})
        wanted = self.design.facts()
        differing = [name for name in wanted if told.get(name) != wanted[name]]
        if differing:
            name = differing[0]
            raise InputError(
                f"{self.path} holds another forecast ({', '.join(differing)} differ: {name} is "
                f"{str(told.get(name))[:80]} there, wanted {str(wanted[name])[:80]}); choose another output"
            )


def _places(layout: Layout) -> dict[str, dict[float | None, int]]:
    """{variable: {level: channel}}, levels ascending."""
    places: dict[str, dict[float | None, int]] = {}
    for i, (name, level) in enumerate(keys_of(layout)):
        places.setdefault(name, {})[level] = i
    if len({tuple(found) for found in places.values() if None not in found}) > 1:
        raise InputError("a forecast store has the same levels, in the same order, for all upper-air variables")
    return places


def _make(path: Path, design: GlobalForecastDesign) -> None:
    with atomic.explain_failures(f"directory {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.remove_stale_temporaries(path.parent)
    temporary = atomic.temporary_beside(path)
    try:
        with atomic.explain_failures(f"forecast {path}"):
            dataset = _empty(design)
            fill = {name: {"_FillValue": np.float32(np.nan)} for name in _places(design.layout)}
            dataset.to_zarr(temporary, compute=False, zarr_format=2, consolidated=True, encoding=fill)
            _tell(temporary, design, 0)
        atomic.publish_directory(temporary, path)
    finally:
        atomic.remove(temporary)


def _empty(design: GlobalForecastDesign) -> xr.Dataset:
    """The dataset, its fields lazy and never computed."""
    places, grid = _places(design.layout), design.layout.grid
    single = ("time", "prediction_timedelta", "latitude", "longitude")
    data = {}
    for name, found in places.items():
        levels = () if None in found else (len(found),)
        shape = (1, design.steps, *levels, *grid.shape)
        dims = (*single[:2], *(("level",) if levels else ()), *single[2:])
        blank = dask.array.full(shape, np.nan, dtype=np.float32, chunks=(1, 1, *shape[2:]))
        channel = design.layout.channels[next(iter(found.values()))]
        data[name] = (dims, blank, {"units": channel.variable.unit, "long_name": channel.variable.long_name})
    for name, values in (
        ("geopotential_at_surface", design.static.orography),
        ("land_sea_mask", design.static.land_fraction),
    ):
        if values is not None:
            scale = GRAVITY if name == "geopotential_at_surface" else 1.0
            data[name] = (single[2:], (scale * values).astype(np.float32), {})
    levels = next((list(found) for found in places.values() if None not in found), [])
    coords = {
        "time": np.atleast_1d(design.initial_time).astype("datetime64[ns]"),
        "prediction_timedelta": design.leads,
        "latitude": grid.latitudes,
        "longitude": grid.longitudes,
    } | ({"level": np.array(levels)} if levels else {})
    return xr.Dataset(data, coords, {"source": json.dumps(dict(design.provenance))})


def _tell(path: Path, design: GlobalForecastDesign, done: int) -> None:
    """Say how many steps are there: the last thing that a step writes."""
    told = {"steps_done": done, "steps": design.steps, "forecast": design.facts()}
    atomic.write_bytes(path / STEPS_FILE, json.dumps(told, indent=1).encode())


def _told(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / STEPS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is there, and is no forecast of this package: {error}; choose another output"
        ) from error
