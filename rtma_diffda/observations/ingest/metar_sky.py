"""Ceiling and cloud cover from the layers of a METAR.

Covers count the sky up to and including their layer: FEW 1–2, SCT 3–4, BKN 5–7, OVC and VV (sky hidden) 8 eighths; the
middle of each range is taken. The ceiling is the base of the lowest BKN or OVC, or the vertical visibility; where none
of them is reported the ceiling is unlimited, which is knowledge and not a missing value, but has no height either.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rtma_diffda.observations.ingest.metar_groups import CLEAR_WORDS

METRES_PER_FOOT = 0.3048
COVER = {"FEW": 1.5 / 8.0, "SCT": 3.5 / 8.0, "BKN": 6.0 / 8.0, "OVC": 1.0, "VV": 1.0}
"""Fraction of the sky."""
_CEILING = ("BKN", "OVC", "VV")


class Layer(NamedTuple):
    """A layer: cover word (``///`` where unknown) and base in metres above ground (NaN where unknown)."""

    cover: str
    base: float


class Sky(NamedTuple):
    """What the layers of a report say.

    Attributes:
        layers: as reported; empty where the sky is not reported and where it is clear.
        clear: SKC, CLR, NSC, NCD or CAVOK; empty where layers are reported.
        ceiling: m above ground; NaN where unknown or unlimited.
        unlimited: True where the sky is reported and has no ceiling.
        cover: fraction of the sky, 0 … 1; NaN where unknown.
        bound: +1 where the cover is a lower bound only: all words for a clear sky but SKC leave clouds out that are
            high (CLR of an automated station: above 12,000 ft; NSC, CAVOK: above 5,000 ft; NCD: not detected).
    """

    layers: tuple[Layer, ...] = ()
    clear: str = ""
    ceiling: float = np.nan
    unlimited: bool = False
    cover: float = np.nan
    bound: int = 0


def describe_sky(layers: Sequence[Layer], *, cavok: bool) -> Sky:
    """Ceiling and cover of layers; a clear-sky word comes as a layer, CAVOK apart because it is a visibility group."""
    words = [layer.cover for layer in layers if layer.cover in CLEAR_WORDS]
    clouds = tuple(layer for layer in layers if layer.cover not in CLEAR_WORDS)
    if not clouds:
        clear = words[0] if words else "CAVOK" if cavok else ""
        return Sky(clear=clear, unlimited=True, cover=0.0, bound=int(clear != "SKC")) if clear else Sky()
    ceiling, unlimited = _ceiling(clouds)
    return Sky(clouds, "", ceiling, unlimited, _cover(clouds))


def _ceiling(clouds: tuple[Layer, ...]) -> tuple[float, bool]:
    """Base of the lowest layer that makes a ceiling, and whether there surely is none.

    A layer of unknown cover may be the ceiling unless a known one lies below it; the same holds for a ceiling layer
    of unknown height.
    """
    bases = [layer.base for layer in clouds if layer.cover in _CEILING]
    doubtful = [layer.base for layer in clouds if layer.cover not in COVER]
    if not bases:
        return np.nan, not doubtful
    lowest = min(bases) if not np.isnan(bases).any() else np.nan
    return (np.nan if any(not base > lowest for base in doubtful) else lowest), False


def _cover(clouds: tuple[Layer, ...]) -> float:
    known = [COVER[layer.cover] for layer in clouds if layer.cover in COVER]
    if max(known, default=0.0) == 1.0:
        return 1.0
    return max(known) if len(known) == len(clouds) else np.nan
