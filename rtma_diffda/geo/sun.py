"""Where the sun stands: cos z = sin φ sin δ + cos φ cos δ cos h, with δ = −23.44° cos(2π (d + 10) / 365.25).

φ is the latitude, d the days since the beginning of the year, h = 15° (hours of UTC − 12) + longitude the hour angle of
the mean sun. The equation of time (up to 16 minutes) and refraction are left out.
"""

import numpy as np
from numpy.typing import ArrayLike


def declination_of(time: np.ndarray) -> np.ndarray:
    """The sun's declination (radians) at times (n,) datetime64."""
    day = (time - time.astype("datetime64[Y]")) / np.timedelta64(1, "D")
    return np.deg2rad(-23.44) * np.cos(2.0 * np.pi * (day + 10.0) / 365.25)


def sun_height(time: np.ndarray, latitude: ArrayLike, longitude: ArrayLike) -> np.ndarray:
    """Cosine of the sun's zenith angle, 0 at night: (n, *places) at times (n,) and places in degrees."""
    hours = (time - time.astype("datetime64[D]")) / np.timedelta64(1, "h")
    latitude, longitude = np.deg2rad(np.asarray(latitude, float)), np.asarray(longitude, float)
    over_places = (slice(None), *(None,) * latitude.ndim)
    angle = np.deg2rad(15.0 * (hours[over_places] - 12.0) + longitude)
    declination = declination_of(time)[over_places]
    height = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(angle)
    return np.maximum(height, 0.0)
