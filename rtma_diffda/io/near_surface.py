"""Near-surface fields from a state of the globe, for models of limited areas, which want what GraphCast does not have.

Surface pressure follows from mean sea level pressure by the hydrostatic equation with the standard lapse rate
γ = 6.5 K/km from the 2 m temperature down to sea level, z being the terrain's height,

    p_s = p_msl (1 − γ z / (T_2m + γ z))^(g / R γ),        g / R γ = 5.2559;

2 m dew point from the specific humidity at p_s, linear in ln p between the levels, below the lowest of them its own,
and at most the temperature. Other fields of humidity and wind follow as they do from files (``io.derived_fields``).
"""

from collections.abc import Sequence

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.fields.state import State
from rtma_diffda.io.derived_fields import with_derived
from rtma_diffda.io.moisture import dew_point_from_specific_humidity
from rtma_diffda.io.source_field import SourceField
from rtma_diffda.times import format_time

_LAPSE_RATE, _EXPONENT = 0.0065, 5.2559
_GIVEN = ("t2m", "u10m", "v10m", "msl")


def surface_pressure(sea_level_pressure: np.ndarray, temperature: np.ndarray, height: np.ndarray) -> np.ndarray:
    """p_s (Pa) from p_msl (Pa), the 2 m temperature (K) and the terrain's height (m)."""
    warming = _LAPSE_RATE * height
    return sea_level_pressure * (1.0 - warming / (temperature + warming)) ** _EXPONENT


def at_pressure(values: np.ndarray, levels: Sequence[float], pressure: np.ndarray) -> np.ndarray:
    """Values (y, x) at ``pressure`` (y, x), linear in ln p; beyond the levels those of the nearest.

    Args:
        values: (level, y, x).
        levels: pressures, ascending, at least one, in the unit of ``pressure``.
        pressure: where.
    """
    if len(levels) == 1:
        return values[0]
    axis, wanted = np.log(np.asarray(levels, float)), np.log(pressure)
    below = np.clip(np.searchsorted(axis, wanted, side="right") - 1, 0, len(levels) - 2)
    share = np.clip((wanted - axis[below]) / (axis[below + 1] - axis[below]), 0.0, 1.0)
    lower, upper = (np.take_along_axis(values, (below + k)[None], axis=0)[0] for k in (0, 1))
    return lower + share * (upper - lower)


def near_surface(
    state: State, names: Sequence[str], orography: np.ndarray | None, source: str
) -> list[dict[str, SourceField]]:
    """The near-surface fields of each member, by short name; at least those wanted.

    Args:
        state: of the globe.
        names: of the variables wanted.
        orography: (y, x) terrain height (m) on its grid; None where not known, and then there is no surface pressure.
        source: whose state it is, for messages.

    Raises:
        InputError: variables are missing that do not follow from those there are.
    """
    members = []
    for values in state.values.double().cpu().numpy():
        by_name = dict(zip(state.layout.names, values, strict=True))
        found = {name: by_name[name] for name in _GIVEN if name in by_name}
        if orography is not None and {"msl", "t2m"} <= set(found):
            found["sp"] = surface_pressure(found["msl"], found["t2m"], orography)
            humidity = _surface_humidity(state, values, found["sp"])
            if humidity is not None:
                found["d2m"] = np.minimum(dew_point_from_specific_humidity(humidity, found["sp"]), found["t2m"])
        fields = {
            name: SourceField(name, v, state.layout.grid, state.valid_time, source=source) for name, v in found.items()
        }
        for name in names:
            fields = with_derived(fields, name)
        members.append(fields)
    missing = [name for name in names if name not in members[0]]
    if missing:
        raise InputError(
            f"{source} at {format_time(state.valid_time)} lacks {', '.join(missing)}, and what they follow from; it "
            f"has {', '.join(state.layout.names)}{'' if orography is not None else ', without terrain'}"
        )
    return members


def _surface_humidity(state: State, values: np.ndarray, pressure: np.ndarray) -> np.ndarray | None:
    rows = sorted((c.level, i) for i, c in enumerate(state.layout.channels) if c.name == "q" and c.level is not None)
    if not rows:
        return None
    return at_pressure(values[[i for _, i in rows]], [100.0 * level for level, _ in rows], pressure)
