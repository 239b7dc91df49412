"""Moist air: saturation, dew point, humidity and cloud of the slab, as functions of temperature in K.

Saturation pressure over water e_s(T) = 611.2 Pa exp(17.67 (T − 273.15) / (T − 29.65)) (Bolton 1980); specific humidity
q = ε e / p; air pressure of the moisture formulas is that of the standard atmosphere at the height in question.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

LAPSE = 0.0065
"""K/m: fall of the slab's temperature with height."""
GRAVITY, GAS_CONSTANT = 9.80665, 287.05
MOISTURE_SCALE = 2600.0
"""m: height over which specific humidity falls to 1/e."""
HIGHEST_SEEN = 3650.0
"""Metres: automatic stations see no cloud above 12,000 ft."""
_EPSILON = 0.622


def saturation_humidity(temperature: Tensor, pressure: Tensor | float) -> Tensor:
    """Specific humidity (kg/kg) of saturated air; pressure in Pa."""
    return _EPSILON * _saturation_pressure(temperature) / pressure


def dew_point(humidity: Tensor, pressure: Tensor) -> Tensor:
    """Dew point (K) of air of specific ``humidity`` (kg/kg, positive) at ``pressure`` (Pa)."""
    ratio = torch.log(humidity.clamp(min=1e-5) * pressure / (_EPSILON * 611.2))
    return 273.15 + 243.5 * ratio / (17.67 - ratio)


def standard_pressure(height: Tensor) -> Tensor:
    """Pressure (Pa) of the standard atmosphere at ``height`` (m)."""
    return 101325.0 * (1.0 - LAPSE * height / 288.15) ** (GRAVITY / (GAS_CONSTANT * LAPSE))


def below_temperature(dew_point: Tensor, temperature: Tensor) -> Tensor:
    """``dew_point`` where it is well below ``temperature`` (both K, same shape), bent smoothly to stay below it."""
    return temperature - softplus(temperature - dew_point, beta=2.0)


def hydrostatic_ratio(height: Tensor, temperature: Tensor) -> Tensor:
    """p(z) / p_msl = (1 − Γ z / T)^(g / (R Γ)) at ``height`` z (m), with ``temperature`` T (K) at sea level."""
    return (1.0 - LAPSE * height / temperature) ** (GRAVITY / (GAS_CONSTANT * LAPSE))


def cloud_base(temperature: Tensor, dew_point: Tensor) -> Tensor:
    """Lifting condensation level (m above ground) from temperatures in K, 125 m/K apart, within 30 … 3650 m."""
    return torch.clamp(125.0 * (temperature - dew_point), 30.0, HIGHEST_SEEN)


def _saturation_pressure(temperature: Tensor) -> Tensor:
    celsius = temperature - 273.15
    return 611.2 * torch.exp(17.67 * celsius / (celsius + 243.5))
