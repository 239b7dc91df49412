"""GraphCast's statistics in files: ``mean_by_level.nc``, ``stddev_by_level.nc`` and ``diffs_stddev_by_level.nc``.

Each variable is one number, or one a ``level`` (hPa). The published files are in ``gs://dm_graphcast/graphcast/stats/``.
"""

from pathlib import Path

import numpy as np
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_layout import Key
from rtma_diffda.fields.global_statistics import GlobalStatistics

FILES = {
    "mean": "mean_by_level.nc",
    "std": "stddev_by_level.nc",
    "change_std": "diffs_stddev_by_level.nc",
}
"""File of each kind of statistics."""


def read_global_statistics(directory: str | Path) -> GlobalStatistics:
    """The statistics in a directory.

    Raises:
        InputError: a file is missing or cannot be read, or a deviation is not positive.
    """
    directory = Path(directory)
    missing = [name for name in FILES.values() if not (directory / name).is_file()]
    if missing:
        raise InputError(
            f"statistics in {directory} lack {', '.join(missing)}; those of the published models are public in "
            "gs://dm_graphcast/graphcast/stats/"
        )
    return GlobalStatistics(**{kind: _numbers(directory / name) for kind, name in FILES.items()})


def write_global_statistics(directory: str | Path, statistics: GlobalStatistics) -> None:
    """Write the three files, in the published layout (float64; NaN where a level has no number).

    Raises:
        InputError: the file system refused.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for kind, name in FILES.items():
            _dataset(getattr(statistics, kind)).to_netcdf(directory / name, engine="scipy")
    except OSError as error:
        raise InputError(f"statistics cannot be written to {directory}: {error.strerror}") from error


def _numbers(path: Path) -> dict[Key, float]:
    try:
        with xr.open_dataset(path, decode_times=False, decode_timedelta=False) as dataset:
            dataset.load()
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read as NetCDF: {type(error).__name__}: {error}") from error
    numbers: dict[Key, float] = {}
    for name, array in dataset.data_vars.items():
        if array.dims == ("level",):
            pairs = zip(array["level"].values, array.values, strict=True)
            numbers |= {(str(name), float(level)): float(value) for level, value in pairs if np.isfinite(value)}
        elif array.size == 1:
            numbers[str(name), None] = float(array.values.reshape(()))
        else:
            raise InputError(f"{path}: {name} has dimensions {array.dims}; expected none, or level")
    return numbers


def _dataset(numbers: dict[Key, float]) -> xr.Dataset:
    levels = sorted({level for _, level in numbers if level is not None})
    single = {name: ((), value) for (name, level), value in numbers.items() if level is None}
    names = sorted({name for name, level in numbers if level is not None})
    by_level = {name: ("level", [numbers.get((name, level), np.nan) for level in levels]) for name in names}
    return xr.Dataset(single | by_level, {"level": np.array(levels)} if levels else {})
