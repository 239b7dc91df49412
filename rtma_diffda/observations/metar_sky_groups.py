"""Visibility, weather and sky groups of METAR text, as an automatic American station reports them (FMH-1)."""

import bisect
import math

STATUTE_MILE = 1609.344
FOOT = 0.3048

_REPORTABLE = {
    0.25: "1/4", 0.5: "1/2", 0.75: "3/4", 1.0: "1", 1.25: "1 1/4", 1.5: "1 1/2", 1.75: "1 3/4", 2.0: "2", 2.5: "2 1/2",
    3.0: "3", 4.0: "4", 5.0: "5", 6.0: "6", 7.0: "7", 8.0: "8", 9.0: "9", 10.0: "10",
}  # fmt: skip
"""Visibilities (statute miles) of automatic stations; 10 stands for 10 and more, and less than 1/4 is M1/4."""
_MILES = sorted(_REPORTABLE)
_FOG_BELOW, _OBSCURED_BELOW = 0.625, 7.0  # miles
_MIST_DEPRESSION = 2.2  # K; drier air is hazy
_DEEP_FOG = (0.5, 150.0)  # miles and metres below which the sky cannot be seen
_LAYER_GAP = 60.0  # m between two layers that are told apart


def visibility_groups(visibility: float, temperature: float, dew_point: float) -> list[str]:
    """``10SM``, ``1 3/4SM`` or ``M1/4SM`` from m, and what obscures: FG, FZFG, BR or HZ by temperatures in K."""
    if math.isnan(visibility):
        return []
    miles = visibility / STATUTE_MILE
    if miles < _MILES[0]:
        return ["M1/4SM", _obscuration(0.0, temperature, dew_point)]
    reported = _reportable(miles)
    weather = [_obscuration(reported, temperature, dew_point)] if reported < _OBSCURED_BELOW else []
    return [f"{_REPORTABLE[reported]}SM", *weather]


def sky_groups(cover: float, base: float, ceiling: float, visibility: float) -> list[str]:
    """Cloud layers, lowest first; ``CLR`` for none.

    Args:
        cover: of the whole sky, 0 … 1.
        base: of the lowest clouds (m above ground).
        ceiling: height of the layer that covers more than half (m above ground); NaN for none.
        visibility: m; in dense fog the ceiling becomes a vertical visibility.
    """
    if math.isnan(cover):
        return []
    eighths = min(8, max(0, math.floor(8.0 * cover + 0.5)))
    if math.isnan(ceiling):
        return _layer(eighths, base)
    eighths = max(eighths, 5)
    if eighths == 8 and visibility < _DEEP_FOG[0] * STATUTE_MILE and ceiling < _DEEP_FOG[1]:
        return [f"VV{_hundreds_of_feet(ceiling):03d}"]
    below = eighths < 8 and base < ceiling - _LAYER_GAP
    return [*(_layer(eighths // 2, base) if below else []), *_layer(eighths, ceiling)]


def _layer(eighths: int, height: float) -> list[str]:
    if eighths == 0:
        return ["CLR"]
    amount = "FEW" if eighths <= 2 else "SCT" if eighths <= 4 else "BKN" if eighths <= 7 else "OVC"
    return [] if math.isnan(height) else [f"{amount}{_hundreds_of_feet(height):03d}"]


def _hundreds_of_feet(height: float) -> int:
    """Code figure of a height in m: steps of 100 ft to 5,000 ft, of 500 ft to 10,000 ft, of 1,000 ft above."""
    feet = height / FOOT
    increment = 100 if feet <= 5000 else 500 if feet <= 10000 else 1000
    return math.floor(feet / increment + 0.5) * increment // 100


def _reportable(miles: float) -> float:
    """The nearest reportable value; the lower one half way between two."""
    place = bisect.bisect_left(_MILES, miles)
    if place == len(_MILES):
        return _MILES[-1]
    lower, upper = _MILES[max(place - 1, 0)], _MILES[place]
    return lower if miles - lower <= upper - miles else upper


def _obscuration(miles: float, temperature: float, dew_point: float) -> str:
    if miles < _FOG_BELOW:
        return "FZFG" if temperature < 273.15 else "FG"
    return "HZ" if temperature - dew_point > _MIST_DEPRESSION else "BR"
