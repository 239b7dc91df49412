"""The body of a METAR as groups: which wind, visibility, layers, temperatures and altimeter setting it gives.

Of each kind the first group counts, of layers the first unbroken row: what may follow (a trend, words in plain
language) is about something else. Two groups of the remarks are read here, because MetPy leaves them: temperature and
dew point in tenths (``T01110078``: 1 is minus) and the sea-level pressure (``SLP162``: its last three digits in tenths
of a hectopascal).
"""

import re
from typing import NamedTuple

from rtma_diffda.observations.ingest.metar_groups import UNREAD, WORDS, Group, groups_of

_RANK = {"wind": 0, "visibility": 1, "sky": 2, "temperature": 3, "altimeter": 4}
_TENTHS = re.compile(r" T([01]\d{3})([01]\d{3})?(?= |$)", re.ASCII)
_SEA_LEVEL = re.compile(r" SLP(\d{3})(?= |$)", re.ASCII)

_LIMIT = 200
"""Words looked at in a body; real ones have fewer than 40."""


class Body(NamedTuple):
    """What a body says, as groups.

    Attributes:
        wind, visibility, temperature, altimeter: the group; None where there is none.
        sky: layers from the ground up, or one word for a clear sky.
        tenths: temperature and dew point as four digits each; empty where absent.
        sea_level: three digits; empty where absent.
        auto: AUTO is said.
        correction: 0 none; 1 for COR or CCA, 2 for CCB, …
        unread: words that were held back.
        repairs: what was mended, in words.
    """

    wind: Group | None
    visibility: Group | None
    sky: tuple[Group, ...]
    temperature: Group | None
    altimeter: Group | None
    tenths: tuple[str, str]
    sea_level: str
    auto: bool
    correction: int
    unread: tuple[str, ...]
    repairs: frozenset[str]


def read_body(body: str) -> Body:
    """Sort the words of a body (everything after the time) into groups."""
    found, unread, disorder = _collect(WORDS.findall(body)[:_LIMIT])
    wind, visibility, temperature, altimeter = (
        found.get(kind, (None,))[0] for kind in ("wind", "visibility", "temperature", "altimeter")
    )
    sky = tuple(found.get("sky", ()))
    used = [group for group in (wind, visibility, temperature, altimeter, *sky) if group is not None]
    repairs = {group.repair for group in used if group.repair}
    repairs |= disorder
    if unread:
        repairs.add("words held back that are no known group")
    corrections = [1 if group.text == "COR" else ord(group.text[2]) - 64 for group in found.get("corrected", ())]
    tenths, sea_level = _TENTHS.search(body), _SEA_LEVEL.search(body)
    return Body(
        wind, visibility, sky, temperature, altimeter,
        tenths=(tenths[1], tenths[2] or "") if tenths else ("", ""),
        sea_level=sea_level[1] if sea_level else "",
        auto="auto" in found,
        correction=max(corrections, default=0),
        unread=tuple(unread),
        repairs=frozenset(repairs),
    )  # fmt: skip


def _collect(words: list[str]) -> tuple[dict[str, list[Group]], list[str], set[str]]:
    """Groups by kind, words held back, and what was wrong with the order of the groups."""
    found: dict[str, list[Group]] = {}
    unread: list[str] = []
    disorder: set[str] = set()
    last, rank = "", 0
    for word in words:
        groups = groups_of(word)
        if groups[0].kind == "end" or _opens_trend(groups[0].kind, found):
            break
        for group in groups:
            kind = group.kind
            if kind not in _RANK:
                found.setdefault(kind, []).append(group)
                unread += [word] if group is UNREAD else []
            elif kind not in found or (kind == last == "sky"):
                found.setdefault(kind, []).append(group)
                disorder |= {"groups in another order than the code's"} if _RANK[kind] < rank else set()
                last, rank = kind, max(rank, _RANK[kind])
            else:
                disorder.add("second group of a kind left out")
    return found, unread, disorder


def _opens_trend(kind: str, found: dict[str, list[Group]]) -> bool:
    """Military stations write a trend without BECMG: it opens with a second wind, or a second visibility at the end."""
    return kind in found and (kind == "wind" or (kind == "visibility" and "altimeter" in found))
