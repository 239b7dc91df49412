"""Statistics and a climatology of global fields in WeatherBench 2's layout, for training and verification.

Writes, into one directory:

- `mean_by_level.nc`, `stddev_by_level.nc`, `diffs_stddev_by_level.nc`: DeepMind's format for GraphCast: one scalar per
  surface, static and forcing variable, one value per level for the others. Means over time, latitude and longitude
  without area weights, as theirs; differences are those of successive times. SciPy alone reads these files.
- `climatology.nc`: per variable and grid point, the annual mean, the cosine and sine of 2 pi times the year's progress
  (dimension `harmonic` = mean, cos, sin), and in `<name>_by_hour` the mean departure from these at each hour of the
  day. Float32 rounded to 15 significant bits and compressed.

A store may be cut to its training period with `--before`: one date per store, or `none`.

    python scripts/global_statistics.py nature_1.zarr nature_2.zarr --before none 2013-09-03 --output stats
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

BLOCK = 120  # times read at once
DAYS_PER_YEAR = 365.24219
LAYOUT = ("time", "level", "latitude", "longitude")
HARMONICS = ("mean", "cos", "sin")
# Yearly total solar irradiance at mid-year, W/m2: the 13-year cycle ERA5 repeats from 1996.
SOLAR_CYCLE = (
    1365.6121, 1365.7399, 1366.1021, 1366.3851, 1366.6836, 1366.6022, 1366.6807, 1366.2300, 1366.0480, 1365.8545,
    1365.8107, 1365.7240, 1365.6918,
)  # fmt: skip
SOLAR_CYCLE_START = 1996.5
SOLAR_SCALE = 0.9965


class StoreError(Exception):
    """A store cannot be used; says which, what was found and what was expected."""


@dataclasses.dataclass
class Moments:
    """Running count, sum and sum of squares of one variable, each of the shape that is kept (scalar or level).

    Attributes:
        shift: A typical value, subtracted first so that the sum of squares keeps its digits.
    """

    shift: np.ndarray
    count: int = 0
    total: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0

    def add(self, values: np.ndarray, kept: tuple[int, ...]) -> None:
        """Take in an array, reducing every axis that is not in `kept`."""
        axes = tuple(axis for axis in range(values.ndim) if axis not in kept)
        expanded = np.expand_dims(self.shift, axes) if kept else self.shift
        departures = values.astype(np.float64) - expanded
        self.count += int(np.prod([values.shape[axis] for axis in axes]))
        self.total = self.total + departures.sum(axis=axes)
        self.squares = self.squares + np.square(departures).sum(axis=axes)

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.shift + self.total / self.count)

    @property
    def stddev(self) -> np.ndarray:
        variance = self.squares / self.count - np.square(self.total / self.count)
        return np.sqrt(np.maximum(variance, 0))


def open_store(path: Path, before: str) -> xr.Dataset:
    """A WeatherBench 2 store up to (not including) the date `before`, or whole if that is 'none'.

    Raises:
        StoreError: If the store is absent, lacks a dimension, is too short, or its times are not evenly spaced.
    """
    if not path.exists():
        raise StoreError(f"{path}: found nothing, expected a Zarr store in WeatherBench 2's layout.")
    dataset = xr.open_zarr(path, chunks=None)
    missing = [name for name in LAYOUT if name not in dataset.dims]
    if missing:
        raise StoreError(f"{path}: dimensions found {sorted(map(str, dataset.dims))}, expected {LAYOUT}.")
    if before != "none":
        dataset = dataset.sel(time=dataset.time < np.datetime64(before))
    if dataset.sizes["time"] < 2:
        raise StoreError(f"{path}: found {dataset.sizes['time']} times before {before}, expected at least 2.")
    steps = np.unique(np.diff(dataset.time.values))
    if len(steps) != 1:
        raise StoreError(f"{path}: time steps found {steps[:4].astype('timedelta64[m]')}, expected a single one.")
    return dataset.transpose(*LAYOUT)


def check_alike(datasets: Sequence[xr.Dataset], paths: Sequence[Path]) -> None:
    """Raise StoreError unless all stores hold the same variables on the same grid and levels."""
    first = datasets[0]
    for path, dataset in zip(paths[1:], datasets[1:], strict=True):
        if set(dataset.data_vars) != set(first.data_vars):
            odd = sorted(map(str, set(dataset.data_vars) ^ set(first.data_vars)))
            raise StoreError(f"{path}: variables differ from those of {paths[0]} by {odd}; expected the same.")
        for name in LAYOUT[1:]:
            if not np.array_equal(dataset[name].values, first[name].values):
                raise StoreError(
                    f"{path}: {name} found {dataset[name].values[[0, -1]]} ({dataset.sizes[name]} values), expected "
                    f"{first[name].values[[0, -1]]} ({first.sizes[name]}) as in {paths[0]}."
                )


def year_progress(times: np.ndarray) -> np.ndarray:
    """Fraction of the year in 0..1, as GraphCast's forcings count it: from 1970 with 365.24219 days."""
    seconds = (times - np.datetime64("1970-01-01")) / np.timedelta64(1, "s")
    return (seconds / 86400 / DAYS_PER_YEAR) % 1


def day_progress(times: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Local solar fraction of the day in 0..1, (time, longitude)."""
    seconds = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "s")
    return (seconds[:, None] / 86400 + longitude[None] / 360) % 1


def solar_irradiance(times: np.ndarray) -> np.ndarray:
    """Total solar irradiance in W/m2 at each time, linear between mid-year values.

    Raises:
        StoreError: For times before the tabulated cycle.
    """
    years = times.astype("datetime64[Y]")
    length = (years + 1).astype("datetime64[D]") - years.astype("datetime64[D]")
    fraction = years.astype(int) + 1970 + (times - years) / length
    if fraction.min() < SOLAR_CYCLE_START:
        raise StoreError(f"Solar irradiance is tabulated from {SOLAR_CYCLE_START}; found the time {times.min()}.")
    nodes = np.arange(len(SOLAR_CYCLE)) + SOLAR_CYCLE_START
    return SOLAR_SCALE * np.interp(fraction, nodes, SOLAR_CYCLE, period=len(SOLAR_CYCLE))


def sun_geometry(times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sine of declination, hour angle at Greenwich (radians) and distance (AU), by ERA5's series.

    Symbols follow IFS documentation and GraphCast's `solar_radiation.py`: theta years since J2000.
    """
    days = (times - np.datetime64("2000-01-01T12:00")) / np.timedelta64(1, "s") / 86400
    theta = days / 365.25
    rel = 1.7535 + 6.283076 * theta
    rem = 6.240041 + 6.283020 * theta
    rlls = 4.8951 + 6.283076 * theta
    longitude = 4.8952 + 6.283320 * theta - 0.0075 * np.sin(rel) - 0.0326 * np.cos(rel)
    longitude = longitude - 0.0003 * np.sin(2 * rel) + 0.0002 * np.cos(2 * rel)
    equation_of_time = 591.8 * np.sin(2 * rlls) - 459.4 * np.sin(rem) + 39.5 * np.sin(rem) * np.cos(2 * rlls)
    equation_of_time = equation_of_time - 12.7 * np.sin(4 * rlls) - 4.8 * np.sin(2 * rem)
    distance = 1.0001 - 0.0163 * np.sin(rel) + 0.0037 * np.cos(rel)
    hour_angle = 2 * np.pi * (days % 1 + equation_of_time / 86400)
    return np.sin(0.409093) * np.sin(longitude), hour_angle, distance


def incident_solar_radiation(times: np.ndarray, latitude: np.ndarray, longitude: np.ndarray, bins: int = 20):
    """Radiation at the top of the atmosphere over the hour that ends at each time, J/m2, (time, lat, lon).

    GraphCast integrates 360 bins; with 20 the statistics agree to four digits.
    """
    offsets = np.linspace(-3600, 0, bins + 1)
    weights = np.full(bins + 1, 3600 / bins)
    weights[[0, -1]] /= 2
    phi, lam = np.deg2rad(latitude)[:, None], np.deg2rad(longitude)[None]
    total = np.zeros((len(times), len(latitude), len(longitude)))
    for offset, weight in zip(offsets, weights, strict=True):
        instants = times + np.timedelta64(round(offset * 1000), "ms")
        sine, hour_angle, distance = (value[:, None, None] for value in sun_geometry(instants))
        elevation = np.cos(phi) * np.sqrt(1 - sine**2) * np.cos(hour_angle + lam) + np.sin(phi) * sine
        flux = solar_irradiance(instants)[:, None, None] / distance**2
        total += weight * flux * np.maximum(elevation, 0)
    return total


def forcings(block: xr.Dataset) -> dict[str, np.ndarray]:
    """GraphCast's five forcing variables at the times of `block`; leading axis time."""
    times, longitude = block.time.values, block.longitude.values
    year = 2 * np.pi * year_progress(times)
    day = 2 * np.pi * day_progress(times, longitude)
    return {
        "toa_incident_solar_radiation": incident_solar_radiation(times, block.latitude.values, longitude),
        "year_progress_sin": np.sin(year),
        "year_progress_cos": np.cos(year),
        "day_progress_sin": np.sin(day),
        "day_progress_cos": np.cos(day),
    }


def blocks(dataset: xr.Dataset) -> Iterator[xr.Dataset]:
    """The dataset in memory, `BLOCK` times after another, each beginning with the last time of the one before."""
    count = dataset.sizes["time"]
    for start in range(0, count, BLOCK):
        yield dataset.isel(time=slice(max(start - 1, 0), start + BLOCK)).load()


def statistics(datasets: Sequence[xr.Dataset]) -> dict[str, xr.Dataset]:
    """Mean, standard deviation, and standard deviation of differences, keyed by file stem."""
    values: dict[str, Moments] = {}
    differences: dict[str, Moments] = {}
    for name, field in datasets[0].data_vars.items():
        if "time" not in field.dims:
            values[str(name)], differences[str(name)] = Moments(field.values.mean()), Moments(np.zeros(()))
            values[str(name)].add(field.values, ())
            differences[str(name)].add(np.zeros_like(field.values), ())
    for dataset in datasets:
        for index, block in enumerate(blocks(dataset)):
            _accumulate(block, values, differences, overlap=min(index, 1))
    level = datasets[0].level.values.astype(np.int32)
    return {
        "mean_by_level": _labelled({name: moments.mean for name, moments in values.items()}, level),
        "stddev_by_level": _labelled({name: moments.stddev for name, moments in values.items()}, level),
        "diffs_stddev_by_level": _labelled({name: moments.stddev for name, moments in differences.items()}, level),
    }


def _accumulate(block: xr.Dataset, values: dict, differences: dict, *, overlap: int) -> None:
    """Add what varies in one block to the running moments; its first `overlap` times were counted before."""
    arrays = {str(name): (field.values, field.dims) for name, field in block.data_vars.items() if "time" in field.dims}
    arrays |= {name: (array, ("time",)) for name, array in forcings(block).items()}
    for name, (array, dims) in arrays.items():
        if not np.isfinite(array).all():
            raise StoreError(f"{name} holds values that are not finite between {block.time.values[[0, -1]]}.")
        kept = (dims.index("level"),) if "level" in dims else ()
        if name not in values:
            others = tuple(axis for axis in range(array.ndim) if axis not in kept)
            values[name] = Moments(array.mean(axis=others, dtype=np.float64))
            differences[name] = Moments(np.zeros_like(values[name].shift))
        values[name].add(array[overlap:], kept)
        differences[name].add(np.diff(array.astype(np.float64), axis=0), kept)


def _labelled(arrays: dict[str, np.ndarray], level: np.ndarray) -> xr.Dataset:
    data = {name: (("level",) * array.ndim, np.asarray(array, np.float32)) for name, array in arrays.items()}
    return xr.Dataset(data, {"level": level})


def harmonic_design(times: np.ndarray) -> np.ndarray:
    """Columns 1, cos and sin of 2 pi times the year's progress, (time, 3)."""
    angle = 2 * np.pi * year_progress(times)
    return np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1)


def climatology(datasets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Annual harmonics by least squares, then mean departures by hour of the day."""
    times = np.concatenate([dataset.time.values for dataset in datasets])
    design = harmonic_design(times)
    hours = (times - times.astype("datetime64[D]")) // np.timedelta64(1, "h")
    distinct = np.unique(hours)
    solver = np.linalg.pinv(design)
    by_hour = np.stack([(hours == hour) / (hours == hour).sum() for hour in distinct])
    # The mean residual at an hour is (its mean) - (its mean design row) @ coefficients: one pass over the data serves.
    rows = np.concatenate([solver, by_hour])
    data = {}
    for name, field in datasets[0].data_vars.items():
        if "time" not in field.dims:
            continue
        projected = _projected(rows, [dataset[name] for dataset in datasets])
        coefficients, means = projected[: len(HARMONICS)], projected[len(HARMONICS) :]
        departures = means - np.tensordot(by_hour @ design, coefficients, axes=1)
        dims = field.dims[1:]
        data[name] = ("harmonic", *dims), coefficients.astype(np.float32), field.attrs
        data[f"{name}_by_hour"] = ("hour", *dims), departures.astype(np.float32), field.attrs
    coords = {name: datasets[0][name].values for name in LAYOUT[1:]}
    return xr.Dataset(data, coords | {"hour": distinct.astype(np.int32), "harmonic": list(HARMONICS)})


def _projected(rows: np.ndarray, fields: Sequence[xr.DataArray]) -> np.ndarray:
    """`rows` (k, all times) times the fields joined along time, read in blocks: (k, ...)."""
    result: np.ndarray | float = 0.0
    offset = 0
    for field in fields:
        for start in range(0, field.sizes["time"], BLOCK):
            values = field.isel(time=slice(start, start + BLOCK)).values.astype(np.float64)
            result = result + np.tensordot(rows[:, offset : offset + len(values)], values, axes=1)
            offset += len(values)
    return np.asarray(result)


def packing(dataset: xr.Dataset) -> dict[str, dict]:
    """netCDF encoding: float32 rounded to 15 bits (relative error 2e-5) and compressed."""
    rounded = {"zlib": True, "complevel": 5, "shuffle": True, "quantize_mode": "BitRound", "significant_digits": 15}
    return dict.fromkeys(dataset.data_vars, rounded)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path, help="Zarr stores in WeatherBench 2's layout")
    parser.add_argument("--before", nargs="+", default=None, help="first date not used, one per store, or 'none'")
    parser.add_argument("--output", type=Path, required=True, help="directory to write to")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> None:
    """Open, check, compute, write."""
    limits = arguments.before or ["none"] * len(arguments.stores)
    if len(limits) != len(arguments.stores):
        raise StoreError(f"--before: found {len(limits)} dates, expected {len(arguments.stores)} stores.")
    datasets = [open_store(path, before) for path, before in zip(arguments.stores, limits, strict=True)]
    check_alike(datasets, arguments.stores)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for stem, dataset in statistics(datasets).items():
        dataset.to_netcdf(arguments.output / f"{stem}.nc", engine="scipy")
    means = climatology(datasets)
    means.to_netcdf(arguments.output / "climatology.nc", engine="netcdf4", encoding=packing(means))
    for path, dataset in zip(arguments.stores, datasets, strict=True):
        print(f"{path}: {dataset.sizes['time']} times, {dataset.time.values[0]} to {dataset.time.values[-1]}")
    print(f"Statistics and climatology are in {arguments.output}.")


if __name__ == "__main__":
    try:
        run(parse_arguments())
    except StoreError as error:
        sys.exit(str(error))
