"""Backgrounds: the fields of a file that are valid at one time, as a state on a region's grid.

Order of work: winds to east–north and missing variables derived on the file's own grid; bilinear interpolation; then,
where the file holds its model's terrain and the region's is known, temperature, dew point and pressure are taken to
the region's terrain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.height import LAPSE_RATES, at_height
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.derived_fields import RECIPES
from rtma_diffda.io.gridded import find_fields
from rtma_diffda.io.member_fields import member_fields, references_by_member, regridded
from rtma_diffda.io.region_regrid import RegionRegrid
from rtma_diffda.io.source_field import FieldReference, SourceField
from rtma_diffda.times import format_time

_TERRAIN_NAMES = {*LAPSE_RATES, "sp"}
_LISTED_TIMES = 8


@dataclass(frozen=True)
class Background:
    """A background and where it comes from.

    Attributes:
        state: on the region's grid; one member, or those of an ensemble.
        provenance: file, run, interpolation and corrections, in words; stands in the metadata of products.
        initial_time: start of the forecast; None where the file does not say.
        terrain_adjusted: variables taken from the source's to the region's terrain; empty where either is unknown.
    """

    state: State
    provenance: str
    initial_time: np.datetime64 | None = None
    terrain_adjusted: tuple[str, ...] = ()


def load_background(
    path: str | Path,
    *,
    layout: Layout,
    static: StaticFields,
    valid_time: np.datetime64,
    region: str = "of the analysis",
) -> Background:
    """Read a background for one analysis time.

    Args:
        path: GRIB, NetCDF or Zarr.
        layout: grid and variables wanted.
        static: terrain of the region.
        valid_time: UTC.
        region: its name, for messages.

    Raises:
        InputError: no such file, no fields at that time, variables missing that cannot be derived either, or the file
            does not cover the region.
    """
    path = Path(path)
    references = _at_time(find_fields(path), valid_time, path)
    return BackgroundReader(layout, static, region).read(references, valid_time=valid_time, source=str(path))


@dataclass(frozen=True)
class BackgroundReader:
    """From references to a background on one region's grid.

    Attributes:
        layout: grid and variables wanted.
        static: terrain of the region.
        region: its name, for messages.
    """

    layout: Layout
    static: StaticFields
    region: str

    def read(self, references: Sequence[FieldReference], *, valid_time: np.datetime64, source: str) -> Background:
        """The background made of these fields.

        Args:
            references: valid at the time, those to be preferred first; and terrain.
            valid_time: UTC.
            source: where they stand, for messages and the provenance.

        Raises:
            InputError: variables are missing that cannot be derived either, or have no value somewhere in the region.
        """
        layout, what = self.layout, f"background {source}"
        members = [member_fields(chosen, layout, what) for chosen in references_by_member(references, layout, what)]
        ascent = _ascent(members[0].get("orog"), self.static, self.regrid)
        values = np.stack([_on_region(fields, layout, self.regrid, ascent) for fields in members]).astype(np.float32)
        _require_covered(values, layout, what, self.region)
        state = State(torch.from_numpy(values), layout, valid_time.astype("datetime64[ns]"))
        adjusted = tuple(name for name in layout.names if name in _TERRAIN_NAMES and ascent is not None)
        used = [members[0][name] for name in layout.names]
        return Background(state, _provenance(source, used, adjusted), used[0].initial_time, adjusted)

    @cached_property
    def regrid(self) -> RegionRegrid:
        """To the region's grid; weights are made once for each grid of the sources."""
        return RegionRegrid(self.layout.grid)


def _at_time(references: Sequence[FieldReference], valid_time: np.datetime64, path: Path) -> list[FieldReference]:
    """References valid at the time, the latest run first, and terrain of any time."""
    chosen = [r for r in references if r.valid_time == valid_time]
    if not chosen:
        times = sorted({r.valid_time for r in references if r.valid_time is not None})
        raise InputError(
            f"background {path} has no fields valid at {format_time(valid_time)}; it has {listed_times(times)}"
        )
    oldest = np.datetime64(0, "s")
    chosen.sort(key=lambda r: oldest if r.initial_time is None else r.initial_time, reverse=True)
    return chosen + [r for r in references if r.variable == "orog" and r.valid_time != valid_time]


def listed_times(times: Sequence[np.datetime64]) -> str:
    """Some times, increasing, in words: each where they are few, else their number and the first and last."""
    if not times:
        return "no times at all"
    if len(times) <= _LISTED_TIMES:
        return ", ".join(map(format_time, times))
    return f"{len(times)} times from {format_time(times[0])} to {format_time(times[-1])}"


@dataclass(frozen=True)
class _Ascent:
    """From the source's terrain to the region's: the former (m) and the rise from it (m), (y, x)."""

    height: np.ndarray
    rise: np.ndarray


def _ascent(orography: SourceField | None, static: StaticFields, regrid: RegionRegrid) -> _Ascent | None:
    """None where either terrain is unknown."""
    if orography is None or static.orography is None:
        return None
    height = regrid(orography)
    return _Ascent(height, static.orography - height)


def _on_region(
    fields: Mapping[str, SourceField], layout: Layout, regrid: RegionRegrid, ascent: _Ascent | None
) -> np.ndarray:
    """Values (channel, y, x) of one member."""
    on_grid = regridded(fields, layout, regrid)
    if ascent is not None:
        on_grid = {n: at_height(v, n, height=ascent.height, rise=ascent.rise) for n, v in on_grid.items()}
        if {"t2m", "d2m"} <= set(on_grid):  # upward, temperature falls faster than dew point: saturation is the end
            on_grid["d2m"] = np.minimum(on_grid["d2m"], on_grid["t2m"])
        on_grid |= _moisture_of(on_grid)
    return np.stack([on_grid[name] for name in layout.names])


def _moisture_of(on_grid: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Specific and relative humidity that agree with the adjusted temperatures and pressure, where all are there."""
    recipes = {name: RECIPES[name][0] for name in ("q2m", "r2m") if name in on_grid}
    return {
        name: recipe(*(on_grid[part] for part in needed))
        for name, (needed, recipe) in recipes.items()
        if set(needed) <= set(on_grid)
    }


def _require_covered(values: np.ndarray, layout: Layout, what: str, region: str) -> None:
    for name, field in zip(layout.names, np.moveaxis(values, 1, 0), strict=True):
        share = float(np.isfinite(field).mean())
        if share < 1.0:
            percent = min(100.0 * share, 99.99)  # 99.999 % must not read as 100
            raise InputError(
                f"{what} covers only {percent:.2f} % of region {region} with {name}: "
                f"{int((~np.isfinite(field)).sum())} of {field.size} points have no value"
            )


def _provenance(source: str, used: Sequence[SourceField], adjusted: Sequence[str]) -> str:
    start = used[0].initial_time
    run = "" if start is None else f" of the run of {format_time(start)}"
    derived = "; ".join(field.source.split(" of ")[0] for field in used if " derived from " in field.source)
    terrain = f"terrain-adjusted: {', '.join(adjusted)}" if adjusted else "no terrain adjustment"
    return "; ".join(part for part in (f"{source}{run}, bilinear", derived, terrain) if part)
