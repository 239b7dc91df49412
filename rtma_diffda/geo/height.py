"""Near-surface quantities at another height: what terrain corrections use, from grid to station and from grid to grid.

For a rise δz (m, positive upward) from height z: temperature and dew point change by Γ δz with the fixed rates below;
surface pressure by the standard atmosphere's ratio ((T₀ − γ (z + δz)) / (T₀ − γ z))^5.2559 with T₀ = 288.15 K and
γ = 6.5 K/km.
"""

import numpy as np
from numpy.typing import ArrayLike

LAPSE_RATES = {"t2m": -0.0065, "d2m": -0.0018}
"""K per metre: the standard atmosphere's for temperature; for dew point the fall of a well-mixed layer."""


def pressure_ratio(height: ArrayLike, rise: ArrayLike) -> np.ndarray:
    """Surface pressure ``rise`` metres above a place at ``height`` (m above sea level), over that at the place."""
    here = 288.15 - 0.0065 * np.asarray(height, float)
    return (1.0 - 0.0065 * np.asarray(rise, float) / here) ** 5.2559


def at_height(values: np.ndarray, name: str, *, height: ArrayLike, rise: ArrayLike) -> np.ndarray:
    """Values of the variable ``name`` taken ``rise`` metres up from ``height`` (m); other variables stay."""
    if name == "sp":
        return values * pressure_ratio(height, rise)
    return values + LAPSE_RATES.get(name, 0.0) * np.asarray(rise)
