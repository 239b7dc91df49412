"""From a file of bulletins to the texts of its reports; every piece of text ends up in a report or in the account.

A bulletin is ``SOH number / TTAAii CCCC ddhhmm [BBB] / METAR or SPECI / reports ended by '=' / ETX``. Collected files
mix such bulletins with one report a line, with continuation lines (indented or not), with several reports run together,
and with text that is no report. Boundaries are set, in this order, at control characters and headings, at lines that
open a report, at every ``=``, and at every ``CCCC ddhhmmZ`` inside what is left.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple


class ReportText(NamedTuple):
    """One report, not yet decoded.

    Attributes:
        station: identifier of four characters; three in NIL reports of some Canadian stations.
        time: ``ddhhmm``; empty in a NIL report without a time.
        report_type: METAR or SPECI, from the report, else from its bulletin, else METAR.
        corrected: COR stands before the station, or the bulletin is a correction (BBB = CCx, or COR after its type).
        body: what follows the time, words separated by one blank.
        text: the whole report.
    """

    station: str
    time: str
    report_type: str
    corrected: bool
    body: str
    text: str

    @property
    def is_nil(self) -> bool:
        """True for a station that says it has no report."""
        return self.body in ("NIL", "RMK NIL", "AUTO NIL")


@dataclass(frozen=True)
class Bulletins:
    """The content of a file: found = len(reports) + repeats + len(other).

    Attributes:
        reports: texts that differ, in the order of the file.
        repeats: texts that repeat one of them to the letter.
        other: (reason, text) of pieces that are no report.
    """

    reports: tuple[ReportText, ...]
    repeats: int
    other: tuple[tuple[str, str], ...]


_CONTROL = dict.fromkeys((*range(32), 127), " ") | {10: "\n", 13: "\n", 1: "=", 3: "="}
_CONTROL_TABLE = bytes.maketrans(
    bytes([*_CONTROL, *range(128, 256)]), "".join(_CONTROL.values()).encode() + b" " * 33 + b"?" * 95
)
"""Line ends stay, SOH and ETX end a report, other control characters and the hard blank are blanks, bytes above 127
are no METAR and become '?'."""

_HEADING = re.compile(
    r"^(?:\d{3,5} )?(?P<tt>[A-Z]{2})[A-Z]{2}\d{0,2} [A-Z]{4} \d{6}(?: (?P<bbb>[A-Z]{3}))? *$"
    r"|^(?P<kind>METAR|SPECI)(?P<cor> COR)?(?: \d{6}Z?)? *$"
    r"|^(?P<date>\d{4}/\d\d/\d\d \d\d:\d\d) *$",
    re.MULTILINE,
)
"""Of a bulletin; of its kind; and the date that the NWS cycle files put before each report."""
_OPENING_LINE = re.compile(
    r"\n(?= {0,3}(?:(?:METAR|SPECI)\b|\S{1,8} (?=\S*\d)\S{3,8}Z\b|(?!RMK)[A-Z][A-Z0-9]{2,3} (?:RMK )?NIL\b))"
)
_WORDS = r"(?P<words>(?:(?:METAR|SPECI|TTF|COR|AUTO) )*)"
_STATION = r"(?P<station>(?!NEXT|LAST|FROM|TILL|UNTL)(?=[A-Z0-9]{0,3}[A-Z])[A-Z0-9]{4})"
_FIRST_HEAD = re.compile(rf"{_WORDS}{_STATION}(?P<late> (?:COR|AUTO|CC[A-Z]))? (?P<time>\d{{6}})Z?(?= |$)")
_LATER_HEAD = re.compile(rf"(?<= ){_WORDS}{_STATION}(?P<late> (?:COR|AUTO|CC[A-Z]))? (?P<time>\d{{6}})Z(?= |$)")
_TIMELESS_NIL = re.compile(rf"{_WORDS}(?P<station>(?!RMK)[A-Z][A-Z0-9]{{2,3}}) (?:RMK )?NIL")
_BULLETIN_WORDS = re.compile(
    r"(?:\d{3,5} ?)?(?:[A-Z]{4}\d{1,2} [A-Z]{4} \d{6}(?: [A-Z]{3})? ?)?(?:[A-Z]{3}[A-Z0-9]{2,3} ?)?(?:(?:NNNN|NIL) ?)?"
    r"(?:(?:METAR|SPECI|TTF|COR|AUTO|\d{6}Z?) ?)*"
)
_FORECAST = re.compile(r"(?:(?:AMD|COR) )?\d{4}/\d{4}\b")
"""The period of a TAF, behind what looks like the head of a report."""
_MARK = "\x02"


def split_bulletins(content: str | bytes) -> Bulletins:
    """Split the content of a file into reports; never raises, whatever the bytes are."""
    reports: dict[ReportText, None] = {}
    other: list[tuple[str, str]] = []
    repeats = 0
    seen: dict[tuple[str, str, bool], int] = {}
    report_type, corrected = "METAR", False
    for piece in _pieces(content):
        if piece.startswith(_MARK):
            report_type, corrected = _context(piece, report_type, corrected)
            continue
        key = (piece, report_type, corrected)
        if key in seen:  # most of a collected hour arrives more than once; look at each text once
            repeats += seen[key]
            continue
        found, strange = _split_piece(piece, report_type=report_type, corrected=corrected)
        fresh = [report for report in found if report not in reports]
        repeats += len(found) - len(fresh)
        reports |= dict.fromkeys(fresh)
        other += strange
        if not strange:
            seen[key] = len(found)
    return Bulletins(tuple(reports), repeats, tuple(other))


def _pieces(content: str | bytes) -> list[str]:
    """Text between boundaries, white space collapsed, empty pieces and bulletin numbers left out."""
    raw = content.encode("ascii", "replace") if isinstance(content, str) else bytes(content)
    text = raw.replace(b"\r\n", b"\n").translate(_CONTROL_TABLE).decode("ascii").upper()
    has_ends = "=" in text
    text = _HEADING.sub(_mark_heading, text)
    # where nothing else ends a report, a line does, unless the next one is indented
    text = _OPENING_LINE.sub("\n=", text) if has_ends else re.sub(r"\n(?! {3})", "\n=", text)
    pieces = " ".join(text.split()).replace(" =", "=").replace("= ", "=").split("=")
    return [piece for piece in pieces if piece and not piece.isdigit()]


def _mark_heading(heading: re.Match[str]) -> str:
    if heading["date"]:
        return "="
    if heading["kind"]:
        return f"={_MARK}{heading['kind']}{heading['cor'] or ''}="
    kind = "SPECI" if heading["tt"] == "SP" else "METAR"
    return f"={_MARK}{kind}{' COR' if (heading['bbb'] or '').startswith('CC') else ''} NEW="


def _context(mark: str, report_type: str, corrected: bool) -> tuple[str, bool]:
    """Type and correction that hold from a heading on; the line METAR under a correction's heading leaves it one."""
    words = mark.removeprefix(_MARK).split()
    return words[0], "COR" in words or (corrected and "NEW" not in words)


def _split_piece(piece: str, *, report_type: str, corrected: bool) -> tuple[list[ReportText], list[tuple[str, str]]]:
    """Reports in a piece of text, and what stands in it outside of them."""
    first = _FIRST_HEAD.match(piece) or _LATER_HEAD.search(piece)
    if first is None:
        return _without_time(piece, report_type=report_type, corrected=corrected)
    before = piece[: first.start()].strip()
    if before.endswith("TAF") or "TAF " in before or _FORECAST.match(piece, first.end() + 1):
        return [], [("a forecast (TAF)", piece)]
    heads = [first]
    if piece.find("Z ", first.end()) >= 0 or piece.endswith("Z"):
        heads += _LATER_HEAD.finditer(piece, first.end())
    ends = [head.start() for head in heads[1:]] + [len(piece)]
    reports = [
        _report(head, piece[head.start() : end].strip(), report_type=report_type, corrected=corrected)
        for head, end in zip(heads, ends, strict=True)
    ]
    strange = [] if _BULLETIN_WORDS.fullmatch(before) else [("no station and time", before)]
    return reports, strange


def _report(head: re.Match[str], text: str, *, report_type: str, corrected: bool) -> ReportText:
    words, late = head["words"], head["late"] or ""
    body = text[head.end() - head.start() :].strip()
    if words:
        report_type = "SPECI" if "SPECI" in words else "METAR" if "METAR" in words else report_type
        corrected = corrected or "COR" in words
    if "AUTO" in words or late:
        body = f"AUTO {body}" if "AUTO" in words else f"{late.strip()} {body}"
    return ReportText(head["station"], head["time"], report_type, corrected, body, text)


def _without_time(piece: str, *, report_type: str, corrected: bool) -> tuple[list[ReportText], list[tuple[str, str]]]:
    nil = _TIMELESS_NIL.fullmatch(piece)
    if nil:
        return [ReportText(nil["station"], "", report_type, corrected, "NIL", piece)], []
    if _BULLETIN_WORDS.fullmatch(piece):
        return [], []
    return [], [("not METAR code but SA" if " SA " in piece[:12] else "no station and time", piece)]
