"""From references to the fields of each member, and on to a target grid: what backgrounds and global runs share.

Order of work: winds to east–north and missing variables derived on the file's own grid; then bilinear interpolation.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.io.derived_fields import earth_relative, ingredients, with_derived
from rtma_diffda.io.gridded import load_field
from rtma_diffda.io.region_regrid import RegionRegrid
from rtma_diffda.io.source_field import FieldReference, SourceField

logger = logging.getLogger(__name__)


def references_by_member(
    references: Sequence[FieldReference], layout: Layout, what: str
) -> list[dict[str, FieldReference]]:
    """{variable: reference} of every member, or of the single forecast; the first of several is taken.

    Args:
        references: of one valid time, and terrain.
        layout: the variables wanted; those that they may be derived from, and terrain, are kept too.
        what: whose fields these are, for the log.
    """
    wanted = {"orog"}.union(*map(ingredients, layout.names))
    members: dict[int | None, dict[str, FieldReference]] = {}
    for reference in references:
        if reference.variable in wanted:
            members.setdefault(reference.member, {}).setdefault(reference.variable, reference)
    shared = members.pop(None, {})
    if not members:
        return [shared]
    logger.info("%s is an ensemble of %d members", what, len(members))
    return [{**shared, **members[number]} for number in sorted(members)]


def member_fields(chosen: Mapping[str, FieldReference], layout: Layout, what: str) -> dict[str, SourceField]:
    """The decoded fields of one member, winds turned to east and north, and missing variables derived.

    Args:
        chosen: {variable: reference}, as from ``references_by_member``.
        layout: the variables wanted.
        what: whose fields these are, for messages.

    Raises:
        InputError: variables are missing that cannot be derived either.
    """
    needed = {"orog", *layout.names}
    for name in layout.names:
        needed |= {"u10m", "v10m"} & ingredients(name)
        if name not in chosen:
            needed |= ingredients(name)
    loaded = {name: load_field(chosen[name]) for name in needed if name in chosen}
    fields = earth_relative({name: field for name, field in loaded.items() if field is not None})
    for name in layout.names:
        fields = with_derived(fields, name)
    if "wd10m" in layout.names:  # a direction is interpolated as components: 350° and 10° make 0°, not 180°
        fields = with_derived(with_derived(fields, "u10m"), "v10m")
    missing = [name for name in layout.names if name not in fields]
    if missing:
        lost = sorted(name for name, field in loaded.items() if field is None)
        found = sorted({*chosen} - {"orog", *lost}) or ["none of the variables wanted"]
        undecoded = f"; {', '.join(lost)} cannot be decoded (reasons are in the log)" if lost else ""
        raise InputError(f"{what} lacks {', '.join(missing)}; at this time it has {', '.join(found)}{undecoded}")
    return fields


def regridded(fields: Mapping[str, SourceField], layout: Layout, regrid: RegionRegrid) -> dict[str, np.ndarray]:
    """{variable: (y, x)} of the layout's variables on the target grid; a wind direction by way of its components."""
    on_grid = {name: regrid(fields[name]) for name in layout.names}
    if "wd10m" in on_grid:
        parts = {name: _replaced(fields[name], regrid) for name in ("u10m", "v10m")}
        on_grid["wd10m"] = with_derived(parts, "wd10m")["wd10m"].values
    return on_grid


def _replaced(field: SourceField, regrid: RegionRegrid) -> SourceField:
    return SourceField(field.variable, regrid(field), regrid.target, field.valid_time, source=field.source)
