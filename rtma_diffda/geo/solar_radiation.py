"""Solar radiation at the top of the atmosphere, accumulated as in ERA5: J m⁻² over the hour that ends at a time.

    ∫ S(t) r(t)⁻² max(0, cos φ cos δ cos h + sin φ sin δ) dt,        h = 2π ((t mod 1) + E / 86400) + λ,

by the trapezoidal rule over 360 parts of the hour, with t in days since J2000.0, S the sun's yearly irradiance, r its
distance (AU), δ its declination, E the equation of time (s), φ and λ latitude and longitude. The series for r, δ and E
are those of ECMWF's forecast model (``sucst``, ``fctast.h``), as in GraphCast's published ``solar_radiation.py``. That
code computes in float32, where t has steps of 42 s; here everything is float64.
"""

import numpy as np
from numpy.typing import ArrayLike

_J2000 = np.datetime64("2000-01-01T12:00", "ns")
_DAY_SECONDS, _HOUR_SECONDS, _PARTS = 86400.0, 3600.0, 360
_BLOCK = 2_000_000
"""Numbers in one piece of the integrand, which would else take gigabytes on a fine grid."""

_BEFORE_1996 = (
    1365.7765, 1365.7676, 1365.6284, 1365.6564, 1365.7773, 1366.3109, 1366.6681, 1366.6328, 1366.3828, 1366.2767,
    1365.9199, 1365.7484, 1365.6963, 1365.6976, 1365.7341, 1365.9178, 1366.1143, 1366.1644, 1366.2476, 1366.2426,
    1365.9580, 1366.0525, 1365.7991, 1365.7271, 1365.5345, 1365.6453, 1365.8331, 1366.2747, 1366.6348, 1366.6482,
    1366.6951, 1366.2859, 1366.1992, 1365.8103, 1365.6416, 1365.6379, 1365.7899, 1366.0826, 1366.6479, 1366.5533,
    1366.4457, 1366.3021, 1366.0286, 1365.7971, 1365.6996,
)  # fmt: skip
_CYCLE = (
    1365.6121, 1365.7399, 1366.1021, 1366.3851, 1366.6836, 1366.6022, 1366.6807, 1366.2300, 1366.0480, 1365.8545,
    1365.8107, 1365.7240, 1365.6918,
)  # fmt: skip
_SCALE = 0.9965
"""ERA5's table stands above newer measurements of the sun by this factor."""

IRRADIANCE_YEARS = np.arange(1951.5, 2035.0)
IRRADIANCE = _SCALE * np.array(_BEFORE_1996 + 3 * _CYCLE)
"""W m⁻² at the middle of each year, 1951 to 2034: the sun of ERA5 (``era5_tsi_data`` of the published code)."""


def irradiance(times: np.ndarray) -> np.ndarray:
    """(n,) W m⁻² at one astronomical unit at times (n,), linear between mid-years; beyond 1951–2034 the last value."""
    year = times.astype("datetime64[Y]")
    length = (year + 1).astype("datetime64[ns]") - year.astype("datetime64[ns]")
    fraction = (times - year.astype("datetime64[ns]")) / length
    return np.interp(year.astype(np.int64) + 1970 + fraction, IRRADIANCE_YEARS, IRRADIANCE)


def hourly_radiation(times: ArrayLike, latitudes: ArrayLike, longitudes: ArrayLike) -> np.ndarray:
    """Radiation (J m⁻²) over the hour ending at each time: (time, y, x), float64.

    Args:
        times: (time,) datetime64, UTC.
        latitudes: (y,) degrees.
        longitudes: (x,) degrees.
    """
    times = np.atleast_1d(np.asarray(times)).astype("datetime64[ns]")
    latitudes, longitudes = np.deg2rad(np.asarray(latitudes, float)), np.deg2rad(np.asarray(longitudes, float))
    days = (times - _J2000) / np.timedelta64(1, "D")
    totals = [_integral(day, latitudes, longitudes) for day in days]
    return irradiance(times)[:, None, None] * np.stack(totals)


def _integral(day: float, latitudes: np.ndarray, longitudes: np.ndarray) -> np.ndarray:
    """(y, x) seconds of overhead sun at one astronomical unit in the hour ending ``day`` days after J2000."""
    t = day - np.linspace(_HOUR_SECONDS / _DAY_SECONDS, 0.0, _PARTS + 1)
    weights = np.full(_PARTS + 1, _HOUR_SECONDS / _PARTS)
    weights[[0, -1]] /= 2.0
    sin_declination, seconds, distance = _orbit(t)
    hour_angle = 2.0 * np.pi * (t % 1.0 + seconds / _DAY_SECONDS)
    from_east = np.sqrt(1.0 - sin_declination**2)[:, None] * np.cos(hour_angle[:, None] + longitudes)  # (part, x)
    rows = max(1, _BLOCK // from_east.size)
    blocks = []
    for start in range(0, len(latitudes), rows):
        latitude = latitudes[start : start + rows, None, None]
        height = np.cos(latitude) * from_east + np.sin(latitude) * sin_declination[:, None]  # (y, part, x)
        blocks.append(np.einsum("p,ypx->yx", weights / distance**2, np.maximum(height, 0.0)))
    return np.concatenate(blocks)


def _orbit(t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sine of the declination, equation of time (s) and distance (AU) of the sun, t days after J2000."""
    theta = t / 365.25
    rel, rem, rlls = 1.7535 + 6.283076 * theta, 6.240041 + 6.283020 * theta, 4.8951 + 6.283076 * theta
    ecliptic_longitude = (
        4.8952
        + 6.283320 * theta
        - 0.0075 * np.sin(rel)
        - 0.0326 * np.cos(rel)
        - 0.0003 * np.sin(2 * rel)
        + 0.0002 * np.cos(2 * rel)
    )
    equation_of_time = (
        591.8 * np.sin(2 * rlls)
        - 459.4 * np.sin(rem)
        + 39.5 * np.sin(rem) * np.cos(2 * rlls)
        - 12.7 * np.sin(4 * rlls)
        - 4.8 * np.sin(2 * rem)
    )
    distance = 1.0001 - 0.0163 * np.sin(rel) + 0.0037 * np.cos(rel)
    return np.sin(0.409093) * np.sin(ecliptic_longitude), equation_of_time, distance
