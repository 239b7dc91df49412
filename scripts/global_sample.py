"""A small truth sample: some times of a store in WeatherBench 2's layout, rounded so that they compress well.

    x → q round(x / q),    q the power of two next below ``--quantum`` times the standard deviation of 6-h changes

Rounding errors are then uniform, at most half of q, far below what any experiment resolves. The sample is a Zarr store
in the same layout, in chunks of all times, with the climatology file beside it.

    python scripts/global_sample.py --store nature_2.zarr --statistics stats --begin 2013-10-23 --times 85 --output DIR
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import xarray as xr
from numcodecs import Blosc

STATIC = ("geopotential_at_surface", "land_sea_mask")


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, type=Path, help="Zarr store in WeatherBench 2's layout")
    parser.add_argument("--statistics", required=True, type=Path, help="directory with diffs_stddev_by_level.nc")
    parser.add_argument("--begin", required=True, help="first valid time")
    parser.add_argument("--times", type=int, default=85, help="number of times, six hours apart")
    parser.add_argument("--quantum", type=float, default=1 / 64, help="rounding, over the deviation of 6-h changes")
    parser.add_argument("--output", required=True, type=Path, help="directory of the sample; it must not exist")
    return parser.parse_args()


def rounded(values: xr.DataArray, change_std: xr.DataArray, quantum: float) -> xr.DataArray:
    """Values on multiples of a power of two."""
    step = 2.0 ** np.floor(np.log2(quantum * change_std))
    return (np.round(values.astype(np.float64) / step) * step).astype(np.float32).transpose(*values.dims)


def sample(store: xr.Dataset, change_std: xr.Dataset, options: argparse.Namespace) -> xr.Dataset:
    """The times asked for, rounded.

    Raises:
        SystemExit: the store does not have them all.
    """
    wanted = np.datetime64(options.begin, "ns") + np.arange(options.times) * np.timedelta64(6, "h")
    missing = np.setdiff1d(wanted, store.time.values)
    if len(missing):
        sys.exit(f"{options.store} lacks {len(missing)} of {len(wanted)} times, the first is {missing[0]}")
    chosen = store.sel(time=wanted).load()
    moving = {
        name: rounded(values, change_std[name].load().sel(level=values.level), options.quantum)
        if "level" in values.dims
        else rounded(values, change_std[name].load(), options.quantum)
        for name, values in chosen.data_vars.items()
        if name not in STATIC
    }
    return chosen.assign(moving)


def main() -> None:
    """Write the sample and say how large it is."""
    options = arguments()
    if options.output.exists():
        sys.exit(f"{options.output} exists already; move it away first")
    changes = xr.open_dataset(options.statistics / "diffs_stddev_by_level.nc", engine="scipy")
    with xr.open_zarr(options.store) as store, changes as change_std:
        chosen = sample(store, change_std, options)
    compressor = Blosc(cname="zstd", clevel=9, shuffle=Blosc.BITSHUFFLE)
    shapes = {name: values.shape for name, values in chosen.data_vars.items()}
    encoding = {name: {"compressors": (compressor,), "chunks": shape} for name, shape in shapes.items()}
    for values in (*chosen.data_vars.values(), *chosen.coords.values()):
        values.encoding = {}
    chosen.to_zarr(options.output / "truth.zarr", mode="w", zarr_format=2, consolidated=True, encoding=encoding)
    shutil.copy(options.statistics / "climatology.nc", options.output / "climatology.nc")
    size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file())
    sys.stdout.write(f"{options.output}: {options.times} times from {options.begin}, {size / 2**20:.2f} MiB\n")


if __name__ == "__main__":
    main()
