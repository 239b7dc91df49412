"""pyproj and ecCodes bring a PROJ library each: in whatever order a user imports, ours must come out working.

Each case runs in a process of its own, because the damage is done at import and shows at exit.
"""

import subprocess
import sys

import pytest

CASES = {
    "eccodes after the package": "import rtma_diffda, eccodes; from pyproj import CRS; CRS.from_epsg(3857)",
    "eccodes after pyproj": "import pyproj; pyproj.CRS.from_epsg(4326); import eccodes, rtma_diffda",
    "cfgrib after the package": "import rtma_diffda, cfgrib; from pyproj import CRS; CRS.from_epsg(3857)",
    "decoding, then a projection": (
        "from rtma_diffda.io.eccodes_library import load_eccodes; library = load_eccodes('GRIB files'); "
        "handle = library.codes_grib_new_from_samples('GRIB2'); library.codes_get_values(handle); "
        "from rtma_diffda.geo.grid import transformer; "
        "x, y = transformer('+proj=lcc +lat_1=25 +lat_0=25 +lon_0=265 +R=6371200').transform(265, 25); "
        "assert abs(x) + abs(y) < 1e-6"
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_order_works_and_the_process_ends_well(case):
    pytest.importorskip("eccodes")
    done = subprocess.run([sys.executable, "-c", CASES[case]], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_alone_loads_neither_eccodes_nor_cfgrib():
    code = "import sys, rtma_diffda.io.gridded, rtma_diffda.io.bufr; print({'eccodes', 'cfgrib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "set()"
