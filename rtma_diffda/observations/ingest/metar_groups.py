"""What the words of a METAR body are: each is sorted by kind, and written so that MetPy's grammar takes it.

MetPy reads a report from left to right and gives up at the first word it does not know, with everything behind. Here
every word is judged by itself, so a strange one costs itself only. A word that is damaged in a way that leaves one
reading only (``Q998``, ``30KM``, ``NSCM01/M01``, ``11/2SM``) is mended and counted; anything else is held back and
counted.
"""

import re
from functools import lru_cache
from typing import NamedTuple

KNOT = 1852.0 / 3600.0
"""Metres per second."""
CLEAR_WORDS = ("SKC", "CLR", "NSC", "NCD")


class Group(NamedTuple):
    """One group of a body.

    Attributes:
        kind: wind, visibility, sky, temperature, altimeter; or auto, corrected, end (of the body), ignored, unread.
        text: as MetPy's grammar takes it.
        scale: what MetPy's number is multiplied by: wind → m/s (the text says KT whatever the report says), visibility
            → m; 1 elsewhere.
        bound: −1, 0, +1: the truth is below, at, above the value.
        repair: what was mended, in words; empty when nothing was.
        cover_known: False for a layer whose height only is given (///015); its text then names a cover that it may
            not have, because MetPy takes the first two slashes for missing weather.
    """

    kind: str
    text: str = ""
    scale: float = 1.0
    bound: int = 0
    repair: str = ""
    cover_known: bool = True


IGNORED, UNREAD = Group("ignored"), Group("unread")

WORDS = re.compile(
    r"[MP]?\d \d/\d{1,2} ?SM(?!\S)|(?:\d/)?\d{1,2} [SK]M(?!\S)"
    r"|Q \d{4}(?!\S)|Q\d \d{3}(?!\S)|Q\d\d \d\d(?!\S)|Q\d{3} \d(?!\S)|\S+",
    re.ASCII,
)
"""Words of a body; groups that were written with a blank inside count as one."""

_SKY = r"(?:FEW|SCT|BKN|OVC|VV)(?:\d{3}|///)?(?:CB|TCU|CU|AC|CI|///)?|///\d{3}(?:CB|TCU|///)?|SKC|CLR|NSC|NCD"
_TEMPERATURE = r"(?:M?\d\d|//|XX|MM)/(?:M?\d\d|//|XX|MM)?"
_ALTIMETER = r"[AQ]\d{4}"
_WIND = re.compile(
    r"(?P<direction>\d{3}|VRB|VAR|///)(?P<p>P?)(?P<speed>\d{2,3})"
    r"(?:G(?P<gust_p>P?)(?P<gust>\d{2,3}|//)?)?(?P<unit>KTS?|MPS|KMH|KPH)(?P<tail>\([A-Z]*\)|[./,]+)?",
    re.ASCII,
)
_METRES = re.compile(r"(\d{4})(?:NDV|///|[NSEW]{1,2})?", re.ASCII)  # a sector's only where it is the only one
_KILOMETRES = re.compile(r"(\d{1,2}) ?KM", re.ASCII)
_MILES = re.compile(r"(?P<bound>[MP]?)(?:(?P<whole>\d{1,2})|(?P<mixed>\d) ?(?P<top>\d)/(?P<bottom>\d{1,2})"
                    r"|(?P<fraction>\d/\d{1,2})) ?SM", re.ASCII)  # fmt: skip
_LAYER = re.compile(r"(?P<cover>FEW|SCT|BKN|OVC|VV|///)(?P<base>\d{3}|///)?(?:CB|TCU|CU|AC|CI|///)?", re.ASCII)
_TEMPERATURE_GROUP = re.compile(r"(M?\d\d|//|XX|MM)/(M?\d\d|//|XX|MM)?", re.ASCII)
_LOOSE_TEMPERATURE = re.compile(r"(M|-)?(\d{1,2})/(?:(M|-)?(\d{1,2})|M{1,2}|/{1,2}|X{1,2})?", re.ASCII)
_ALTIMETER_GROUP = re.compile(r"(?:QNH|(?P<letter>[AQ])) ?(?P<digits>\d{4})(?:INS|HPA)?[.,]?", re.ASCII)
_BROKEN_ALTIMETER = re.compile(r"Q(\d{1,3}) (\d{1,3})|Q([89]\d\d)|QNH(\d{3})(?:HPA)?", re.ASCII)
_GLUED = re.compile(rf"(?:(?:{_SKY})|{_TEMPERATURE}|{_ALTIMETER}){{2,6}}", re.ASCII)
_GLUED_PART = re.compile(rf"{_TEMPERATURE}|{_ALTIMETER}|{_SKY}", re.ASCII)
_WEATHER = "(?:MI|BC|PR|DR|BL|SH|TS|FZ|DZ|RA|SN|SG|PL|PE|GR|GS|UP|BR|FG|FU|VA|DU|SA|HZ|PO|SQ|FC|SS|DS|IC|PY|JP)"
_UNUSED = re.compile(
    rf"[-+]?(?:VC|RE)?{_WEATHER}+|NSW|\d{{3}}V\d{{3}}|R\d\d[LRC]?\d*/\S*|R/+|RE/+|M{{1,2}}"
    r"|/+(?:KT|MPS|SM|CB|TCU)?|[AQ]/{2,4}|\d{3}//KT|(?:BLU|WHT|GRN|YLO|AMB|RED|BLACK)\S*|RF\d\S*|W[M/\d]\S*/[SH]\S*"
    r"|WS|ALL|RWY|RWY\d\d[LRC]?|R\d\d[LRC]?|RTD|\d{6}Z|METAR|SPECI|\$|QFE\S*|\d{3}[./]\d",
    re.ASCII,
)
"""Words that say nothing about our variables: weather, variable sector, runway visual range, sea,
colour state, wind shear, and slashes for what is missing."""
_END = re.compile(r"RMKS?\S*|NOSIG|TEMPO|BECMG|INTER|TREND|PROB\d\d|FM\d{4}|TL\d{4}|AT\d{4}|FCST", re.ASCII)
_UNITS = {"KT": KNOT, "KTS": KNOT, "MPS": 1.0, "KMH": 1.0 / 3.6, "KPH": 1.0 / 3.6}


@lru_cache(maxsize=65536)
def groups_of(word: str) -> tuple[Group, ...]:
    """The groups that a word of a body holds: one, more when words were glued, ``UNREAD`` when it makes no sense."""
    if word in ("AUTO", "COR") or (len(word) == 3 and word.startswith("CC") and word[2].isalpha()):
        return (Group("auto") if word == "AUTO" else Group("corrected", word),)
    if _END.fullmatch(word):
        return (Group("end", word),)
    group = _visibility(word) or _sky(word) or _temperature(word) or _altimeter(word) or _wind(word)
    if group is not None:
        return (group,)
    if _UNUSED.fullmatch(word):
        return (IGNORED,)
    return _glued(word) or (_cover_alone(word) or UNREAD,)


def _wind(word: str) -> Group | None:
    match = _WIND.fullmatch(word)
    if match is None:
        return None
    # a direction that is missing does not make the speed missing, as it would in MetPy
    direction = "VRB" if match["direction"] in ("///", "VAR") else match["direction"]
    gust = f"G{match['gust']}" if match["gust"] and match["gust"] != "//" else ""
    unit = match["unit"]
    repair = "wind group mended" if match["tail"] or unit in ("KTS", "KPH") or (not gust and "G" in word) else ""
    return Group("wind", f"{direction}{match['speed']}{gust}KT", _UNITS[unit], 1 if match["p"] else 0, repair)


def _visibility(word: str) -> Group | None:
    if word == "CAVOK":
        return Group("visibility", "CAVOK", 1.0, 1)
    if match := _METRES.fullmatch(word):
        return _metric(match[1])
    if match := _KILOMETRES.fullmatch(word):
        return Group("visibility", f"{int(match[1]):04d}", 1000.0, 1 if int(match[1]) == 10 else 0, "visibility in KM")
    match = _MILES.fullmatch(word)
    return _miles(match) if match else None


def _metric(digits: str) -> Group:
    """9999 stands for 10 km or more, 0000 for less than 50 m (WMO 306, FM 15)."""
    if digits == "9999":
        return Group("visibility", "1000", 10.0, 1)
    return Group("visibility", "0050", 1.0, -1) if digits == "0000" else Group("visibility", digits)


def _miles(match: re.Match[str]) -> Group | None:
    bound = {"": 0, "M": -1, "P": 1}[match["bound"]]
    repair = "visibility bound (M or P) kept" if bound else ""
    text = match["whole"] or match["fraction"]
    if text is None:
        glued = " " not in match[0]
        top, bottom = int(match["top"]), int(match["bottom"])
        # 11/2SM can only be one and a half, as reportable fractions are below one; 11/16SM could be both
        if top >= bottom or (glued and 10 * int(match["mixed"]) + top < bottom):
            return None
        text = f"{match['mixed']} {match['top']}/{match['bottom']}"
        repair = repair or ("visibility written without its blank" if glued else "")
    return Group("visibility", f"{text}SM", 1.0, bound, repair)


def _sky(word: str) -> Group | None:
    if word in CLEAR_WORDS:
        return Group("sky", word)
    match = _LAYER.fullmatch(word)
    if match is None:
        return None
    base = match["base"] or "///"
    # a cloud type alone (//////CB) or slashes alone say neither how much nor how high
    if match["cover"] == "///":
        return IGNORED if base == "///" else Group("sky", f"FEW{base}", cover_known=False)
    return Group("sky", match["cover"] + base)


def _cover_alone(word: str) -> Group | None:
    """A layer whose height is garbled keeps its cover: FEW0252, OVC25."""
    match = re.match(r"(FEW|SCT|BKN|OVC|VV)\d", word, re.ASCII)
    return Group("sky", f"{match[1]}///", repair="cloud height not readable") if match else None


def _temperature(word: str) -> Group | None:
    match = _TEMPERATURE_GROUP.fullmatch(word)
    if match:
        air, dew_point = (part if part and part[-1].isdigit() else "" for part in match.groups())
        return Group("temperature", f"{air}/{dew_point}") if air or dew_point else IGNORED
    match = _LOOSE_TEMPERATURE.fullmatch(word)
    if match is None or (len(match[2]) < 2 and not (match[1] or match[3])):  # 1/4 is a visibility that lost its SM
        return None
    air = f"{'M' if match[1] else ''}{int(match[2]):02d}"
    dew_point = f"{'M' if match[3] else ''}{int(match[4]):02d}" if match[4] else ""
    return Group("temperature", f"{air}/{dew_point}", repair="temperature group mended")


def _altimeter(word: str) -> Group | None:
    if match := _ALTIMETER_GROUP.fullmatch(word):
        repair = "" if len(word) == 5 else "altimeter group mended"
        # QNH2992INS and QNH1013 are military spellings
        letter = match["letter"] or ("A" if int(match["digits"]) > 1100 else "Q")
        return Group("altimeter", f"{letter}{match['digits']}", repair=repair)
    match = _BROKEN_ALTIMETER.fullmatch(word)
    digits = "".join(part for part in match.groups() if part) if match else ""
    if not 850 <= int(digits or 0) <= 1100:
        return None
    return Group("altimeter", f"Q{int(digits):04d}", repair="altimeter group mended")


def _glued(word: str) -> tuple[Group, ...]:
    if len(word) < 8 or not _GLUED.fullmatch(word):
        return ()
    parts = _GLUED_PART.findall(word)
    if "".join(parts) != word:
        return ()
    groups = [group for part in parts for group in groups_of(part)]
    return tuple(group._replace(repair="groups without a blank between parted") for group in groups)
