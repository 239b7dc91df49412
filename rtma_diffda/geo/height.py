"""Near-surface quantities at another height: what terrain corrections use, from grid to station and from grid to grid.

For a rise δz (m, positive upward): temperature and dew point change by Γ δz with the fixed rates below; surface
pressure by the factor (1 − 0.0065 δz / 288.15)^5.2559, the standard atmosphere's ratio.
"""

import numpy as np
from numpy.typing import ArrayLike

LAPSE_RATES = {"t2m": -0.0065, "d2m": -0.0018}
"""K per metre: the standard atmosphere's for temperature; for dew point the fall of a well-mixed layer."""


def pressure_ratio(rise: ArrayLike) -> np.ndarray:
    """Surface pressure ``rise`` metres higher, over that here."""
    return (1.0 - 0.0065 * np.asarray(rise, float) / 288.15) ** 5.2559
