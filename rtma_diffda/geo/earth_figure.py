"""The figure of the earth that a GRIB message states: code table 3.2, and the one bit of edition 1.

A grid must be computed on the sphere its maker used: RTMA's grids are on 6,371,200 m, HRRR's on 6,371,229 m, and mixing
the two displaces points by up to hundreds of metres.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtma_diffda.errors import InputError

_SPHERES = {0: 6367470.0, 6: 6371229.0, 8: 6371200.0}
_ELLIPSOIDS = {
    2: (6378160.0, 6356775.0),
    4: (6378137.0, 6356752.314),
    5: (6378137.0, 6356752.3142),
    9: (6377563.396, 6356256.909),
}
_MISSING = {255, 2147483647, 4294967295}
_PLAUSIBLE = (6.3e6, 6.4e6)


@dataclass(frozen=True)
class EarthFigure:
    """Semi-axes (m); equal on a sphere."""

    major: float
    minor: float

    @property
    def proj(self) -> str:
        """As PROJ parameters."""
        return f"+a={self.major!r} +b={self.minor!r}"

    @property
    def mean_radius(self) -> float:
        """(2 a + b) / 3, m: the sphere for areas on latitude–longitude grids."""
        return (2.0 * self.major + self.minor) / 3.0


def earth_figure(keys: Mapping[str, Any]) -> EarthFigure:
    """The figure stated by ecCodes' keys of a message.

    Raises:
        InputError: the code is unknown, or its radii are missing or not those of the earth.
    """
    if keys.get("edition") == 1:
        return EarthFigure(*_ELLIPSOIDS[2]) if keys.get("earthIsOblate") else EarthFigure(_SPHERES[0], _SPHERES[0])
    code = int(keys["shapeOfTheEarth"])
    if code in _SPHERES:
        return EarthFigure(_SPHERES[code], _SPHERES[code])
    if code in _ELLIPSOIDS:
        return EarthFigure(*_ELLIPSOIDS[code])
    if code == 1:
        radius = _scaled(keys, "RadiusOfSphericalEarth", 1.0)
        return EarthFigure(radius, radius)
    if code in (3, 7):  # 3 states kilometres, 7 metres
        unit = 1000.0 if code == 3 else 1.0
        return EarthFigure(_scaled(keys, "EarthMajorAxis", unit), _scaled(keys, "EarthMinorAxis", unit))
    raise InputError(f"shape of the earth {code} (GRIB code table 3.2) is not known here; known are 0 … 9")


def _scaled(keys: Mapping[str, Any], name: str, unit: float) -> float:
    factor, value = keys.get(f"scaleFactorOf{name}"), keys.get(f"scaledValueOf{name}")
    if factor is None or value is None or factor in _MISSING or value in _MISSING:
        raise InputError(f"the message says that it states its own {name}, but does not")
    length = float(value) / 10.0 ** int(factor) * unit
    if not _PLAUSIBLE[0] <= length <= _PLAUSIBLE[1]:
        raise InputError(f"{name} is {length:.0f} m; expected {_PLAUSIBLE[0]:.0f} … {_PLAUSIBLE[1]:.0f} m")
    return length
