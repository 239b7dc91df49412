"""METAR and SPECI text, decoded by MetPy and repaired around what MetPy leaves out.

``split_bulletins`` finds the reports, ``read_body`` their groups, ``decode_groups`` has MetPy decode each distinct
group, and this module puts the reports together: one row a report, in a wide table. ``metar_table`` makes the
observation table of it. Nothing in a file stops the rest of it, and found = read + duplicates + rejected, always.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from metpy.calc import altimeter_to_station_pressure
from metpy.units import units

from rtma_diffda.observations.ingest.bulletins import Bulletins, ReportText, split_bulletins
from rtma_diffda.observations.ingest.metar_bodies import Body, read_body
from rtma_diffda.observations.ingest.metar_decoding import DecodedGroups, column, decode_groups
from rtma_diffda.observations.ingest.metar_groups import KNOT, Group
from rtma_diffda.observations.ingest.metar_remarks import refine_temperatures, sea_level_pressures
from rtma_diffda.observations.ingest.metar_sky import METRES_PER_FOOT as FOOT
from rtma_diffda.observations.ingest.metar_sky import Layer, Sky, describe_sky
from rtma_diffda.observations.ingest.metar_times import resolve_times
from rtma_diffda.observations.ingest.result import REJECTED_COLUMNS
from rtma_diffda.observations.ingest.stations import StationTable

logger = logging.getLogger(__name__)

HECTOPASCAL_PER_INCH = 33.86389
"""Of mercury at 0 °C."""
AMERICAN = ("K", "P", "TI", "TJ")
"""How identifiers of the USA and its territories begin."""

_VALUES = (
    "wind_speed", "gust", "visibility", "temperature_c", "dew_point_c", "station_pressure", "slp", "ceiling",
    "total_cloud",
)  # fmt: skip

_EXPECTED = ("wind_speed", "visibility", "temperature_c", "dew_point_c", "altimeter", "slp", "total_cloud")
"""What a full report has whatever the weather: no gust and no ceiling does not make it less full."""


@dataclass(frozen=True)
class DecodedMetars:
    """The reports of a file and the account of their reading; reports_found = len(reports) + nil + duplicates +
    len(rejected).

    Attributes:
        reports: one row a report: station, latitude, longitude (degrees), elevation (m), valid_time, report_type
            (METAR or SPECI), auto, corrected, wind_direction (degrees; NaN for VRB), wind_variable, wind_speed and
            gust (m/s), wind_speed_kt and gust_kt (knots), wind_bound, visibility (m) and visibility_bound, sky_layers
            (of ``Layer``), sky_clear (word), ceiling (m), ceiling_unlimited, total_cloud (0 … 1) and cloud_bound,
            temperature_c, dew_point_c, altimeter (inches of mercury), slp (hPa), station_pressure (Pa; from the
            altimeter setting and the height), unread (words held back), text.
        rejected: one row a report that gave nothing (``result.REJECTED_COLUMNS``).
        repaired: {what was repaired, in words: in how many reports}.
        duplicates: repeats, and reports that a correction or a fuller text of the same time replaced.
        nil: reports that say NIL.
        reports_found: all that looked like a report.
        source: where the text came from.
    """

    reports: pd.DataFrame
    rejected: pd.DataFrame
    repaired: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    nil: int = 0
    reports_found: int = 0
    source: str = ""


def decode_metar(
    content: str | bytes, *, stations: StationTable, reference_time: np.datetime64, source: str = ""
) -> DecodedMetars:
    """Decode text with METAR and SPECI reports; whatever the text is, this returns.

    Args:
        content: bulletins, or one report a line.
        stations: where stations are; a report of a station that it does not know keeps NaN for its position.
        reference_time: gives month and year: each report gets the time nearest to this.
        source: file name for the account.
    """
    bulletins = split_bulletins(content)
    texts = [report for report in bulletins.reports if not report.is_nil]
    bodies = _read_bodies(texts)
    decoded = decode_groups(_groups(bodies))
    frame = _assemble(texts, bodies, decoded)
    frame = _locate(frame.assign(valid_time=resolve_times([text.time for text in texts], reference_time)), stations)
    frame = _with_remarks(frame, bodies)
    rejected = frame["valid_time"].isna().to_numpy() | ~np.isfinite(frame[list(_VALUES)].to_numpy()).any(axis=1)
    kept = _preferred(frame, rejected)
    reports = frame[kept].reset_index(drop=True)
    nils = {(report.station, report.time) for report in bulletins.reports if report.is_nil}
    account = _rejected(bulletins, frame[rejected], source)
    found = len(bulletins.reports) + bulletins.repeats + len(bulletins.other)
    if len(account):
        logger.info("%s: %d of %d pieces of text were rejected", source or "METAR text", len(account), found)
    return DecodedMetars(
        reports=reports,
        rejected=account,
        repaired=_repairs(reports, reference_time),
        duplicates=found - len(reports) - len(nils) - len(account),
        nil=len(nils),
        reports_found=found,
        source=source,
    )


def _read_bodies(texts: Sequence[ReportText]) -> list[Body]:
    """Bodies of reports; the same words (from another bulletin, with or without METAR before them) are read once."""
    distinct = {text.body: None for text in texts}
    bodies = {body: read_body(body) for body in distinct}
    return [bodies[text.body] for text in texts]


def _groups(bodies: Sequence[Body]) -> set[Group]:
    groups = {group for body in bodies for group in body.sky}
    for kind in ("wind", "visibility", "temperature", "altimeter"):
        groups |= {getattr(body, kind) for body in bodies}
    return groups - {None}


def _assemble(texts: Sequence[ReportText], bodies: Sequence[Body], decoded: DecodedGroups) -> pd.DataFrame:
    """What the reports' bodies say: one row a report."""
    words = pd.DataFrame(
        {
            "station": [text.station for text in texts],
            "report_type": [text.report_type for text in texts],
            "auto": np.fromiter((body.auto for body in bodies), bool, len(bodies)),
            "correction": np.fromiter(
                (max(body.correction, int(text.corrected)) for text, body in zip(texts, bodies, strict=True)),
                np.int64,
                len(bodies),
            ),
            "unread": pd.Series([body.unread for body in bodies], dtype=object),
            "repairs": pd.Series([body.repairs for body in bodies], dtype=object),
            "text": [text.text for text in texts],
        }
    )
    numbers = _winds(bodies, decoded) | _visibilities(texts, bodies, decoded) | _thermodynamics(bodies, decoded)
    return words.assign(corrected=words["correction"] > 0, **numbers, **_skies(bodies, decoded))


def _winds(bodies: Sequence[Body], decoded: DecodedGroups) -> dict[str, np.ndarray]:
    groups = [body.wind for body in bodies]
    texts = [group.text if group else "" for group in groups]
    scale = np.fromiter((group.scale if group else np.nan for group in groups), np.float64, len(groups))
    speed, gust = (column(decoded.wind, texts, item) * scale for item in (1, 2))
    return {
        "wind_direction": column(decoded.wind, texts, 0),
        "wind_variable": np.fromiter((text.startswith("VRB") for text in texts), bool, len(texts)),
        "wind_speed": speed,
        "gust": gust,
        "wind_speed_kt": speed / KNOT,
        "gust_kt": gust / KNOT,
        "wind_bound": np.fromiter((group.bound if group else 0 for group in groups), np.int8, len(groups)),
    }


def _visibilities(texts: Sequence[ReportText], bodies: Sequence[Body], decoded: DecodedGroups) -> dict[str, np.ndarray]:
    groups = [body.visibility for body in bodies]
    values = column(decoded.visibility, [group.text if group else "" for group in groups], 0)
    scale = np.fromiter((group.scale if group else np.nan for group in groups), np.float64, len(groups))
    bound = np.fromiter((group.bound if group else 0 for group in groups), np.int8, len(groups))
    # stations of the USA and its territories report nothing above 10 miles as a rule, so 10SM means "or more"
    american = [
        bool(group) and group.text == "10SM" and text.station.startswith(AMERICAN)
        for text, group in zip(texts, groups, strict=True)
    ]
    return {"visibility": values * scale, "visibility_bound": np.where(american, np.int8(1), bound)}


def _thermodynamics(bodies: Sequence[Body], decoded: DecodedGroups) -> dict[str, np.ndarray]:
    temperatures = [body.temperature.text if body.temperature else "" for body in bodies]
    altimeters = [body.altimeter.text if body.altimeter else "" for body in bodies]
    return {
        "temperature_c": column(decoded.temperature, temperatures, 0) + 0.0,  # M00 comes as −0.0
        "dew_point_c": column(decoded.temperature, temperatures, 1) + 0.0,
        "altimeter": column(decoded.altimeter, altimeters, 0),
    }


def _skies(bodies: Sequence[Body], decoded: DecodedGroups) -> dict[str, object]:
    keys = [(body.sky, body.visibility is not None and body.visibility.text == "CAVOK") for body in bodies]
    skies = {key: _sky(key[0], decoded, cavok=key[1]) for key in set(keys)}
    rows = [skies[key] for key in keys]
    return {
        "sky_layers": pd.Series([sky.layers for sky in rows], dtype=object),
        "sky_clear": [sky.clear for sky in rows],
        "ceiling": np.fromiter((sky.ceiling for sky in rows), np.float64, len(rows)),
        "ceiling_unlimited": np.fromiter((sky.unlimited for sky in rows), bool, len(rows)),
        "total_cloud": np.fromiter((sky.cover for sky in rows), np.float64, len(rows)),
        "cloud_bound": np.fromiter((sky.bound for sky in rows), np.int8, len(rows)),
    }


def _sky(groups: tuple[Group, ...], decoded: DecodedGroups, *, cavok: bool) -> Sky:
    layers = []
    for group in groups:
        cover, feet = decoded.sky[group.text]
        layers.append(Layer(cover if group.cover_known and isinstance(cover, str) else "///", feet * FOOT))
    return describe_sky(layers, cavok=cavok)


def _locate(frame: pd.DataFrame, stations: StationTable) -> pd.DataFrame:
    """Positions, and the station pressure that altimeter setting and height give."""
    latitude, longitude, elevation = stations.locate(frame["station"].to_numpy())
    with np.errstate(invalid="ignore"):  # a garbled height may make the pressure's root negative: NaN
        pressure = altimeter_to_station_pressure(
            units.Quantity(frame["altimeter"].to_numpy(), "inHg"), units.Quantity(elevation, "m")
        )
    return frame.assign(
        latitude=latitude, longitude=longitude, elevation=elevation, station_pressure=pressure.m_as("Pa")
    )


def _with_remarks(frame: pd.DataFrame, bodies: Sequence[Body]) -> pd.DataFrame:
    """Temperatures in tenths and the sea-level pressure, which stand in the remarks; and where they were doubted."""
    air, dew_point, sea_level = (
        [b.tenths[0] for b in bodies],
        [b.tenths[1] for b in bodies],
        [b.sea_level for b in bodies],
    )
    temperature, air_used = refine_temperatures(frame["temperature_c"].to_numpy(), air)
    dew_point_c, dew_point_used = refine_temperatures(frame["dew_point_c"].to_numpy(), dew_point)
    altimeter = frame["altimeter"].to_numpy() * HECTOPASCAL_PER_INCH
    slp = sea_level_pressures(sea_level, altimeter, frame["elevation"].to_numpy())
    return frame.assign(
        temperature_c=temperature,
        dew_point_c=dew_point_c,
        slp=slp,
        tenths_used=air_used | dew_point_used,
        tenths_doubted=(_given(air) & ~air_used) | (_given(dew_point) & ~dew_point_used),
        slp_doubted=_given(sea_level) & np.isnan(slp),
    )


def _given(groups: Sequence[str]) -> np.ndarray:
    return np.fromiter((group != "" for group in groups), bool, len(groups))


def _preferred(frame: pd.DataFrame, rejected: np.ndarray) -> np.ndarray:
    """True for the report to keep of each station and time: the last correction, else the fullest, else the last."""
    order = pd.DataFrame(
        {
            "station": frame["station"],
            "valid_time": frame["valid_time"],
            "correction": frame["correction"],
            "values": np.isfinite(frame[list(_EXPECTED)].to_numpy()).sum(axis=1),
        }
    )[~rejected]
    order = order.sort_values(["correction", "values"], kind="stable")
    last = order.drop_duplicates(["station", "valid_time"], keep="last").index
    kept = np.zeros(len(frame), bool)
    kept[last.to_numpy()] = True
    return kept


def _rejected(bulletins: Bulletins, frame: pd.DataFrame, source: str) -> pd.DataFrame:
    reasons = np.where(frame["valid_time"].isna(), "no such day, hour or minute", "no value in it")
    rows = [(source, "", reason, text) for reason, text in bulletins.other]
    rows += zip([source] * len(frame), frame["station"], reasons.tolist(), frame["text"], strict=True)
    return pd.DataFrame(rows, columns=list(REJECTED_COLUMNS), dtype=object)


def _repairs(reports: pd.DataFrame, reference_time: np.datetime64) -> dict[str, int]:
    """How many reports each repair concerned, most frequent first."""
    counts = Counter(repair for repairs in reports["repairs"] for repair in repairs)
    counts["temperatures in tenths from the T group"] = int(reports["tenths_used"].sum())
    counts["T group that contradicts the whole degrees held back"] = int(reports["tenths_doubted"].sum())
    counts["sea-level pressure from the SLP group"] = int(reports["slp"].notna().sum())
    counts["SLP group that contradicts the altimeter setting held back"] = int(reports["slp_doubted"].sum())
    counts["wind of variable direction: speed only"] = int(reports["wind_variable"].sum())
    counts["correction taken for the report"] = int(reports["corrected"].sum())
    month = reports["valid_time"].to_numpy().astype("datetime64[M]")
    counts["day counted to the month before or after"] = int((month != reference_time.astype("datetime64[M]")).sum())
    return {repair: count for repair, count in counts.most_common() if count}
