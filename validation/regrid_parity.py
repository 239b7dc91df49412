"""Our regridding weights and fields against ESMF's.

Claim: bilinear and nearest-point regridding agree with xESMF 0.9 on ESMF 8.9: weights to 1e-9, fields to 1e-9 of their
range, the same destinations unmapped, nearest points the same.
Source: every CASE.nc in a directory of the format of ../shared/fixtures/regrid/README.md, with its weight files.
Expected and tolerance: printed beside each figure. Last measured (2026-11, the two public cases): weights 2e-13, fields
7e-14 of their range, nearest exact.

    python validation/regrid_parity.py ../shared/fixtures/regrid

Exits 0 only if every figure of the methods that are built lies within its limit.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from rtma_diffda.errors import RtmaDiffdaError
from rtma_diffda.geo.curvilinear import CurvilinearGrid
from rtma_diffda.geo.grid import Grid, LatLonGrid
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.geo.regrid.weight_file import read_weights
from rtma_diffda.geo.regrid.weights import METHODS, RegridWeights, regrid_weights

WEIGHT_LIMIT = {"bilinear": 1e-9, "nearest_s2d": 0.0}
FIELD_LIMIT = {"bilinear": 1e-9, "nearest_s2d": 0.0}
SKIP_MISSING_THRESHOLD = 0.5
ESMF_METHODS = ("bilinear", "nearest_s2d", "conservative", "conservative_normed", "patch")


@dataclass(frozen=True)
class Figure:
    """One line of the table; ``ok`` is None for a method that is not built."""

    case: str
    method: str
    quantity: str
    count: int
    difference: float
    limit: float
    ok: bool | None


def source_grid(case: xr.Dataset) -> Grid:
    """The source grid, in the file's own order of rows and columns."""
    latitude, longitude = case["src_lat"].to_numpy().astype(float), case["src_lon"].to_numpy().astype(float)
    periodic = bool(case.attrs.get("periodic", 0))
    if latitude.ndim == 1:
        if (np.diff(latitude) > 0).all() and (np.diff(longitude) > 0).all() and np.ptp(longitude) < 360.0:
            return LatLonGrid(latitude, longitude, periodic)
        latitude, longitude = np.meshgrid(latitude, longitude, indexing="ij")
    return CurvilinearGrid(latitude, longitude, periodic)


def target_grid(case: xr.Dataset) -> Grid:
    """The destination positions, (y, x)."""
    latitude, longitude = case["dst_lat"].to_numpy().astype(float), case["dst_lon"].to_numpy().astype(float)
    if latitude.ndim == 1:
        latitude, longitude = np.meshgrid(latitude, longitude, indexing="ij")
    return CurvilinearGrid(latitude, longitude)


def weight_figures(name: str, ours: RegridWeights, path: Path) -> Iterator[Figure]:
    """Largest difference of the weights as sparse matrices, and destinations that only one side maps."""
    theirs = read_weights(path, source_shape=ours.source_shape, target_shape=ours.target_shape, method=ours.method)
    difference = abs(ours.matrix() - theirs.matrix())
    largest = float(difference.max()) if difference.nnz else 0.0
    limit = WEIGHT_LIMIT[ours.method]
    yield Figure(name, ours.method, "weights", theirs.row.size, largest, limit, largest <= limit)
    disagreeing = int((ours.mapped() != theirs.mapped()).sum())
    yield Figure(name, ours.method, "unmapped set", ours.mapped().size, disagreeing, 0.0, disagreeing == 0)


def field_figures(name: str, case: xr.Dataset, regridder: Regridder) -> Iterator[Figure]:
    """Largest difference of every regridded field of the case, and places where only one side is missing."""
    method = regridder.weights.method
    longer = [f"out_{other}_" for other in ESMF_METHODS if other.startswith(method) and other != method]
    for variable in case.data_vars:
        if not variable.startswith(f"out_{method}_") or any(variable.startswith(prefix) for prefix in longer):
            continue
        field = variable.removeprefix(f"out_{method}_")
        source = case[f"in_{field.removesuffix('_skipna')}"].to_numpy().astype(float)
        ours = regridder(source, skip_missing=field.endswith("_skipna"), missing_threshold=SKIP_MISSING_THRESHOLD)
        scale = float(np.nanmax(source) - np.nanmin(source)) or 1.0
        blank = Figure(name, method, field, ours.size, 0.0, FIELD_LIMIT[method] * scale, None)
        yield from _compared(blank, ours, case[variable].to_numpy())


def _compared(blank: Figure, ours: np.ndarray, theirs: np.ndarray) -> Iterator[Figure]:
    both = np.isfinite(ours) & np.isfinite(theirs)
    largest = float(np.abs(ours - theirs)[both].max()) if both.any() else 0.0
    yield replace(blank, count=int(both.sum()), difference=largest, ok=largest <= blank.limit)
    disagreeing = int((np.isnan(ours) != np.isnan(theirs)).sum())
    quantity = f"{blank.quantity}: missing set"
    yield replace(blank, quantity=quantity, difference=disagreeing, limit=0.0, ok=disagreeing == 0)


def case_figures(path: Path) -> Iterator[Figure]:
    """All figures of one case."""
    with xr.open_dataset(path, engine="netcdf4") as case:
        case.load()
    source, target = source_grid(case), target_grid(case)
    for method in ESMF_METHODS:
        weight_file = path.with_name(f"{path.stem}.{method}.weights.nc")
        has_fields = any(variable.startswith(f"out_{method}_") for variable in case.data_vars)
        if not has_fields and not weight_file.is_file():
            continue
        if method not in METHODS:
            yield Figure(path.stem, method, "not built yet", 0, np.nan, np.nan, None)
            continue
        ours = regrid_weights(source, target, method=method, engine="embedded")
        if weight_file.is_file():
            yield from weight_figures(path.stem, ours, weight_file)
        yield from field_figures(path.stem, case, Regridder(ours))


def safe_case_figures(path: Path) -> list[Figure]:
    """As ``case_figures``; a case that cannot be read or regridded is a failed figure, not the end of the run."""
    try:
        return list(case_figures(path))
    except (RtmaDiffdaError, KeyError, OSError, ValueError) as error:
        return [Figure(path.stem, "-", f"{type(error).__name__}: {error}", 0, np.nan, np.nan, False)]


def print_table(figures: list[Figure]) -> None:
    """One line a figure."""
    print(f"{'case':28s} {'method':20s} {'quantity':28s} {'n':>8s} {'difference':>11s} {'limit':>9s}  ok")
    for figure in figures:
        verdict = {True: "yes", False: "NO", None: "-"}[figure.ok]
        print(
            f"{figure.case:28s} {figure.method:20s} {figure.quantity:28s} {figure.count:8d} {figure.difference:11.2e} "
            f"{figure.limit:9.1e}  {verdict}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Print the table and a summary line; 0 when every figure is within its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="directory with CASE.nc and CASE.METHOD.weights.nc")
    directory = parser.parse_args(arguments).directory
    cases = sorted(path for path in directory.glob("*.nc") if not path.name.endswith(".weights.nc"))
    figures = [figure for path in cases for figure in safe_case_figures(path)]
    print_table(figures)
    judged = [figure for figure in figures if figure.ok is not None]
    good = sum(figure.ok for figure in judged)
    passed = bool(judged) and good == len(judged)
    print(
        f"regrid parity: {good} of {len(judged)} figures within limits in {len(cases)} cases of {directory}, "
        f"{len(figures) - len(judged)} not built yet: {'passed' if passed else 'FAILED'}"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
