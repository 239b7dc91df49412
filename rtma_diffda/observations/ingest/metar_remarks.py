"""What the remarks of a METAR add: temperatures in tenths and the sea-level pressure, both checked before use.

``T01110078`` is 11.1 °C and 7.8 °C (a leading 1 is minus), where the body has whole degrees. ``SLP162`` is 1016.2 or
916.2 hPa: the group has no hundreds, and the one nearer the altimeter setting is meant.
"""

from collections.abc import Sequence

import numpy as np

TENTHS_LIMIT = 1.5
"""K between the T group and the body's whole degrees above which the T group is not believed: rounding explains 0.5,
truncation (some automated stations) and a body made a minute earlier the rest."""
SEA_LEVEL_LIMIT = (20.0, 0.015)
"""hPa, and hPa per metre of station height, between sea-level pressure and altimeter setting above which an SLP group
is not believed. The two differ by the departure of the air below the station from the standard atmosphere: 40 K
make 0.018 hPa per metre. Smaller contradictions are left to quality control, for the altimeter may be the wrong one."""
UNKNOWN_HEIGHT_LIMIT = 40.0
"""hPa, for stations whose height is not known."""


def refine_temperatures(whole: np.ndarray, tenths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Whole degrees (n,) replaced by tenths (four digits or empty, n) where given and credible; and where that is so.

    Tenths are also taken where the body has no temperature.
    """
    fine = np.fromiter(
        ((-1.0 if digits[0] == "1" else 1.0) * int(digits[1:]) / 10.0 if digits else np.nan for digits in tenths),
        np.float64,
        len(tenths),
    )
    used = np.isfinite(fine) & ~(np.abs(fine - whole) > TENTHS_LIMIT)
    return np.where(used, fine + 0.0, whole), used


def sea_level_pressures(groups: Sequence[str], altimeter: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Sea-level pressure (n,) in hPa of SLP groups (three digits or empty, n); NaN where absent or not credible.

    Of 900 + ppp/10 and 1000 + ppp/10 the nearer to the altimeter setting (n, hPa) counts; without one, to 1000 hPa.
    """
    last = np.fromiter((int(digits) / 10.0 if digits else np.nan for digits in groups), np.float64, len(groups))
    near = np.where(np.isfinite(altimeter), altimeter, 1000.0)
    pressure = np.where(np.abs(900.0 + last - near) < np.abs(1000.0 + last - near), 900.0 + last, 1000.0 + last)
    offset, slope = SEA_LEVEL_LIMIT
    limit = np.where(np.isfinite(elevation), offset + slope * np.maximum(elevation, 0.0), UNKNOWN_HEIGHT_LIMIT)
    return np.where(np.abs(pressure - altimeter) > limit, np.nan, pressure)
