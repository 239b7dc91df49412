"""Unit spellings of the files we read, and their conversion to SI: at the border, by the stated unit, never by name."""

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.variables import Variable

STANDARD_GRAVITY = 9.80665
"""m s-2: geopotential over this is geopotential height."""

_KELVIN = {"k": (1.0, 0.0), "kelvin": (1.0, 0.0), "degk": (1.0, 0.0), "degreek": (1.0, 0.0), "kelvins": (1.0, 0.0)}
_KELVIN |= dict.fromkeys(("c", "degc", "°c", "celsius", "degreecelsius", "degreescelsius", "degreec"), (1.0, 273.15))
_KELVIN |= dict.fromkeys(("f", "degf", "°f", "fahrenheit", "degreefahrenheit", "degreef"), (5 / 9, 273.15 - 160 / 9))
_PASCAL = dict.fromkeys(("pa", "pascal", "pascals"), (1.0, 0.0))
_PASCAL |= dict.fromkeys(("hpa", "mb", "mbar", "millibar", "millibars", "hectopascal"), (100.0, 0.0))
_PASCAL |= {"kpa": (1000.0, 0.0)} | dict.fromkeys(("inhg", "inchhg", "inch_hg"), (3386.389, 0.0))
_SPEED = dict.fromkeys(("ms-1", "m/s", "meterpersecond", "meterspersecond", "mpersec"), (1.0, 0.0))
_SPEED |= dict.fromkeys(("kt", "kts", "kn", "knot", "knots"), (1852.0 / 3600.0, 0.0))
_SPEED |= dict.fromkeys(("kmh-1", "km/h", "kmhr-1"), (1.0 / 3.6, 0.0)) | dict.fromkeys(("mph", "mih-1"), (0.44704, 0.0))
_FRACTION = dict.fromkeys(("1", "", "(0-1)", "fraction", "proportion", "dimensionless", "none", "0-1"), (1.0, 0.0))
_FRACTION |= dict.fromkeys(("%", "percent", "per_cent"), (0.01, 0.0)) | dict.fromkeys(("okta", "oktas"), (0.125, 0.0))
_RATIO = dict.fromkeys(("kgkg-1", "kg/kg"), (1.0, 0.0)) | dict.fromkeys(("gkg-1", "g/kg", "0.001"), (0.001, 0.0))
_METRE = dict.fromkeys(("m", "meter", "meters", "metre", "metres", "gpm"), (1.0, 0.0))
_METRE |= {"km": (1000.0, 0.0)} | dict.fromkeys(("ft", "foot", "feet"), (0.3048, 0.0))
_METRE |= dict.fromkeys(("mi", "mile", "miles", "statute_mile", "sm"), (1609.344, 0.0))
_METRE |= dict.fromkeys(("m2s-2", "m2/s2", "jkg-1", "j/kg"), (1.0 / STANDARD_GRAVITY, 0.0))
_DEGREE = dict.fromkeys(("degree", "degrees", "deg", "°", "degreetrue", "degreestrue", "degreen"), (1.0, 0.0))
_WATER = dict.fromkeys(("kgm-2", "kg/m2", "mm"), (1.0, 0.0)) | {"m": (1000.0, 0.0)}

_FROM = {
    "K": _KELVIN,
    "Pa": _PASCAL,
    "m s-1": _SPEED,
    "1": _FRACTION | _RATIO,
    "m": _METRE,
    "degree": _DEGREE,
    "kg m-2": _WATER,
}


def to_si(values: np.ndarray, unit: str | None, variable: Variable) -> np.ndarray:
    """Values in the variable's SI unit.

    Args:
        values: any shape, in ``unit``; NaN where missing.
        unit: as written in the file; None where the file says nothing, which only a dimensionless quantity may.
        variable: what they are.

    Raises:
        InputError: the unit is absent or unknown for this variable, or the values cannot be in it: not half of them
            lie within the variable's valid range.
    """
    spelling = _normalised(unit or "")
    factors = _FROM[variable.unit].get(spelling)
    if factors is None:
        raise InputError(f"{variable.name} has the unit '{unit}', which cannot be turned into {variable.unit}")
    scale, offset = factors
    converted = values if (scale, offset) == (1.0, 0.0) else values * scale + offset
    _require_plausible(converted, unit, variable)
    return converted


def _normalised(unit: str) -> str:
    text = str(unit).strip().lower().replace("**", "").replace("^", "").replace("·", " ").replace(".s", " s")
    return "".join(text.replace("_", "").split())


def _require_plausible(values: np.ndarray, unit: str | None, variable: Variable) -> None:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return
    lowest, highest = variable.valid_range
    slack = 1e-3 * (highest - lowest)  # packing rounds fractions to slightly below 0 or above 1
    inside = (finite >= lowest - slack) & (finite <= highest + slack)
    if 2 * int(inside.sum()) < finite.size:
        raise InputError(
            f"{variable.name} stated in '{unit}' is {finite.min():.6g} … {finite.max():.6g} {variable.unit}, mostly "
            f"outside {lowest:g} … {highest:g}: the unit or the quantity is another"
        )
