"""One forecast as a CF-1.11 NetCDF file: all valid times, the initial time, and the global run that forced it.

Fields are (time, y, x), means over members where there are several; members are kept beside them. ``time`` is the valid
time, ``forecast_reference_time`` the initial time, ``forecast_period`` the lead. ``status`` is "degraded" where the
forecast is less than its model normally gives. Any reader of backgrounds reads such a file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from rtma_diffda import __version__
from rtma_diffda.errors import InputError
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io import cf
from rtma_diffda.io.atomic import explain_failures, remove_stale_temporaries, write_file
from rtma_diffda.io.cf import CfArray, FieldKind
from rtma_diffda.times import compact_time, format_time

_COMPRESSION = 4
_MEAN = FieldKind(words=", forecast")
_MEMBERS = FieldKind("_members", ", forecast ensemble", by_member=True)


@dataclass(frozen=True)
class ForecastProduct:
    """A forecast with what a reader needs to judge it.

    Attributes:
        domain: name of the region.
        states: at increasing valid times, of one layout.
        initial_time: when the forecast starts, UTC.
        static: terrain and land of the same grid.
        created: wall clock, UTC.
        provenance: how it was made: model, initial states, global run with its initial time, …
        degraded: reasons, in words, why this is less than normal; empty for a complete forecast.
    """

    domain: str
    states: Sequence[State]
    initial_time: np.datetime64
    static: StaticFields
    created: np.datetime64
    provenance: Mapping[str, str | float]
    degraded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for state in self.states:
            state.require_finite(f"the forecast for {format_time(state.valid_time)}")


def forecast_path(product: ForecastProduct, directory: Path) -> Path:
    """``rtma_diffda.<domain>.forecast.<initial time>.nc`` in ``directory``."""
    return directory / f"rtma_diffda.{product.domain}.forecast.{compact_time(product.initial_time)}.nc"


def write_forecast(product: ForecastProduct, directory: str | Path) -> Path:
    """Write the file into ``directory`` (made when absent), whole or not at all; an older one is replaced.

    Raises:
        InputError: the file system refused; an older file is untouched.
    """
    directory = Path(directory)
    with explain_failures(f"directory {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
        remove_stale_temporaries(directory)
    dataset = forecast_dataset(product)
    return write_file(forecast_path(product, directory), lambda path: _write(dataset, path))


def forecast_dataset(product: ForecastProduct) -> xr.Dataset:
    """The forecast as an undecoded CF dataset."""
    layout, members = product.states[0].layout, product.states[0].members
    times = np.array([state.valid_time for state in product.states])
    values = torch.stack([state.values for state in product.states]).detach().cpu()  # (time, member, channel, y, x)
    held = {_MEAN.array_name(name): values.mean(dim=1)[:, i] for i, name in enumerate(layout.names)}
    kinds = (_MEAN,)
    if members > 1:
        kinds = (_MEAN, _MEMBERS)
        held |= {_MEMBERS.array_name(name): values[:, :, i] for i, name in enumerate(layout.names)}
    arrays = [
        replace(cf.time_array(times), attributes={**cf.time_array(times).attributes, "long_name": "valid time"}),
        *_lead_arrays(times, product.initial_time),
        *cf.fixed_arrays(layout, product.static, members if members > 1 else 0),
        *(_of_forecast(array, held[array.name].numpy()) for array in cf.field_arrays(layout, kinds)),
        _status(product, len(times)),
    ]
    return cf.raw_dataset(arrays, _attributes(product))


def _lead_arrays(times: np.ndarray, initial_time: np.datetime64) -> list[CfArray]:
    encoding = {name: value for name, value in cf.time_array(times).attributes.items() if name in ("units", "calendar")}
    start = {"standard_name": "forecast_reference_time", "long_name": "initial time of the forecast", **encoding}
    lead = {"standard_name": "forecast_period", "long_name": "lead time of the forecast", "units": "s"}
    seconds = cf.to_seconds(times) - cf.to_seconds(initial_time)
    return [
        CfArray("forecast_reference_time", (), "<i8", start, cf.to_seconds(initial_time)),
        CfArray("forecast_period", ("time",), "<i8", lead, seconds),
    ]


def _of_forecast(array: CfArray, values: np.ndarray) -> CfArray:
    coordinates = f"{array.attributes['coordinates']} forecast_reference_time forecast_period"
    return replace(array, values=values.astype("<f4"), attributes={**array.attributes, "coordinates": coordinates})


def _status(product: ForecastProduct, count: int) -> CfArray:
    array = next(array for array in cf.slot_arrays() if array.name == "status")
    word = "degraded" if product.degraded else "complete"
    words = {**array.attributes, "long_name": "publication status of the forecast"}
    return replace(array, attributes=words, values=np.full(count, cf.STATUS_WORDS.index(word), "|i1"))


def _attributes(product: ForecastProduct) -> dict[str, str]:
    made = "; ".join(f"{key}: {value}" for key, value in product.provenance.items())
    layout = product.states[0].layout
    known = cf.global_attributes(
        product.domain, f"Forecast for {product.domain}", layout.grid, source=f"rtma_diffda {__version__}; {made}"
    )
    reasons = f" Degraded: {'; '.join(product.degraded)}." if product.degraded else ""
    dropped = ("time_domain", "time_resolution")
    return {
        **{name: value for name, value in known.items() if name not in dropped},
        "comment": f"Winds are relative to true east and north.{reasons}",
        "history": f"{format_time(product.created)} forecast made by rtma_diffda {__version__}",
        "static_source": product.static.source,
        "provenance": json.dumps(
            {"initial_time": format_time(product.initial_time), "degraded": product.degraded, **product.provenance},
            ensure_ascii=False,
        ),
    }


def _write(dataset: xr.Dataset, path: Path) -> None:
    encoding = {name: {} if "_FillValue" in a.attrs else {"_FillValue": None} for name, a in dataset.variables.items()}
    for array in dataset.data_vars.values():
        if "x" in array.dims and "time" in array.dims:
            chunks = cf.chunk_lengths(array.dims, array.shape)
            encoding[array.name] |= {"zlib": True, "complevel": _COMPRESSION, "shuffle": True, "chunksizes": chunks}
    try:
        dataset.to_netcdf(path, engine="netcdf4", encoding=encoding)
    except RuntimeError as error:  # what the netCDF library raises when the disk fills while it flushes
        raise InputError(f"cannot write {path}: the netCDF library reports '{error}'; is the disk full?") from error
