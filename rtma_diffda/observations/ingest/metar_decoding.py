"""The numbers in METAR groups, decoded by MetPy: each distinct group of a file once.

An hour of the world's reports has 9,000 different bodies but only some hundred different groups of each kind. So the
groups are handed to MetPy's parser on *carriers*: reports of a station ``ZZZZ`` that hold the i-th wind, the i-th
visibility, the i-th layer, the i-th temperature and the i-th altimeter setting. That takes a tenth of the parses, and
a group that MetPy refuses spoils one carrier, whose groups are then decoded singly, and never a real report.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from metpy.io.metar import parse_metar

from rtma_diffda.observations.ingest.metar_groups import Group

KINDS = ("wind", "visibility", "sky", "temperature", "altimeter")
"""In the order of the code."""

# Every group text fits MetPy's grammar by construction; what is caught here is what no test has thought of.
_REFUSALS = (SyntaxError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError)
_FIELDS = {
    "wind": ("wind_direction", "wind_speed", "wind_gust"),
    "visibility": ("visibility",),
    "sky": ("skyc1", "skylev1"),
    "temperature": ("temperature", "dewpoint"),
    "altimeter": ("altimeter",),
}


@dataclass(frozen=True)
class DecodedGroups:
    """MetPy's numbers by group text; NaN where a group says "missing".

    Attributes:
        wind: direction (degrees; NaN for VRB), speed and gust in the unit that the report has.
        visibility: metres, or what ``Group.scale`` makes metres.
        sky: cover word and base in feet above ground.
        temperature: temperature and dew point, °C.
        altimeter: inches of mercury.
        refused: group texts that MetPy's parser did not take.
    """

    wind: Mapping[str, tuple[float, float, float]]
    visibility: Mapping[str, tuple[float]]
    sky: Mapping[str, tuple[str, float]]
    temperature: Mapping[str, tuple[float, float]]
    altimeter: Mapping[str, tuple[float]]
    refused: frozenset[str]


def decode_groups(groups: Iterable[Group]) -> DecodedGroups:
    """Decode every distinct text among groups of the five ``KINDS`` through ``metpy.io.metar.parse_metar``."""
    texts: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
    for group in groups:
        texts[group.kind][group.text] = None
    values: dict[str, dict[str, tuple]] = {kind: {} for kind in KINDS}
    refused: set[str] = set()
    for row in zip_longest(*texts.values(), fillvalue=""):
        carrier = {kind: text for kind, text in zip(KINDS, row, strict=True) if text}
        parsed = _parse(carrier)
        for kind, text in carrier.items():
            single = parsed or _parse({kind: text})
            refused |= set() if single else {text}
            values[kind][text] = single[kind] if single else _missing(kind)
    return DecodedGroups(**values, refused=frozenset(refused))


def column(values: Mapping[str, Sequence], texts: Sequence[str], item: int) -> np.ndarray:
    """One number (n,) of the groups ``texts`` (n,): item 0, 1, … of what was decoded; NaN where the text is empty."""
    return np.fromiter((values[text][item] if text else math.nan for text in texts), np.float64, len(texts))


def _parse(carrier: Mapping[str, str]) -> dict[str, tuple] | None:
    """MetPy's values of the groups on one carrier; None when it refuses them. An empty station table: no look-up."""
    try:
        metar = parse_metar("ZZZZ 010000Z " + " ".join(carrier.values()), 2000, 1, station_metadata={})
    except _REFUSALS:
        return None
    values = {kind: tuple(getattr(metar, name) for name in _FIELDS[kind]) for kind in carrier}
    return None if any(_lost(kind, carrier[kind], value) for kind, value in values.items()) else values


def _lost(kind: str, text: str, value: tuple) -> bool:
    """True when digits went in and nothing came out: the parser stopped before this group."""
    if kind == "sky":
        return value[0] != text[: len(value[0])] if isinstance(value[0], str) else True
    return any(letter.isdigit() for letter in text) and all(math.isnan(number) for number in value)


def _missing(kind: str) -> tuple:
    return tuple(math.nan for _ in _FIELDS[kind])
