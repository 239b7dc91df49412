"""Dew point from the other measures of humidity that files give, and back.

Saturation vapour pressure over water: e_s(T) = 611.2 Pa · exp(17.67 (T − 273.15) / (T − 29.65)), Bolton (1980),
Monthly Weather Review 108, 1046–1053, equation 10; exact to 0.1 % between −30 and 35 °C. Its inverse is equation 11.
Specific humidity q and vapour pressure e: e = q p / (ε + (1 − ε) q), with ε = 0.622.
"""

import numpy as np
from numpy.typing import ArrayLike

_EPSILON = 0.622
_LEAST_VAPOUR = 0.01  # Pa: keeps the logarithm finite where a model's humidity is zero or packed to below it


def saturation_vapour_pressure(temperature: ArrayLike) -> np.ndarray:
    """e_s (Pa) over water at ``temperature`` (K)."""
    temperature = np.asarray(temperature, float)
    return 611.2 * np.exp(17.67 * (temperature - 273.15) / (temperature - 29.65))


def dew_point(vapour_pressure: ArrayLike) -> np.ndarray:
    """Dew point (K) at vapour pressure e (Pa): the inverse of ``saturation_vapour_pressure``."""
    logarithm = np.log(np.maximum(vapour_pressure, _LEAST_VAPOUR) / 611.2)
    return 273.15 + 243.5 * logarithm / (17.67 - logarithm)


def dew_point_from_specific_humidity(specific_humidity: ArrayLike, pressure: ArrayLike) -> np.ndarray:
    """Dew point (K) from q (1) and pressure (Pa)."""
    q = np.asarray(specific_humidity, float)
    return dew_point(q * np.asarray(pressure, float) / (_EPSILON + (1.0 - _EPSILON) * q))


def dew_point_from_relative_humidity(relative_humidity: ArrayLike, temperature: ArrayLike) -> np.ndarray:
    """Dew point (K) from relative humidity over water (1) and temperature (K)."""
    return dew_point(np.asarray(relative_humidity, float) * saturation_vapour_pressure(temperature))


def specific_humidity(dew_point_temperature: ArrayLike, pressure: ArrayLike) -> np.ndarray:
    """q (1) from dew point (K) and pressure (Pa)."""
    e = saturation_vapour_pressure(dew_point_temperature)
    return _EPSILON * e / (np.asarray(pressure, float) - (1.0 - _EPSILON) * e)


def relative_humidity(dew_point_temperature: ArrayLike, temperature: ArrayLike) -> np.ndarray:
    """Relative humidity over water (1) from dew point and temperature (K)."""
    return saturation_vapour_pressure(dew_point_temperature) / saturation_vapour_pressure(temperature)
