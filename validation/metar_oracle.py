"""Claim: METAR ingest agrees with an independent decode (NOAA Aviation Weather Center) in every field.

    python validation/metar_oracle.py [DIR]

DIR holds ``*.json`` as described in ../shared/data/README.md (metar_decoded): raw text and decoded values. All texts of
a file are decoded in one call. Values count as equal within half of the last digit that text or oracle carries (the
oracle has 0.63 for 5/8 SM); a field that both leave out is not counted. Expected: ≥ 99.5 % of every field; exit status
0 only then. A disagreement is printed with its text and, where a rule finds it, the reason. The oracle writes direction
0 for VRB and OVX for a hidden sky. Its type (METAR, SPECI) comes from the bulletin, so it can be compared only where
the text says it too.
"""

import argparse
import json
import math
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda.observations.ingest.metar import decode_metar
from rtma_diffda.observations.ingest.metar_sky import METRES_PER_FOOT
from rtma_diffda.observations.ingest.stations import StationTable

REQUIRED = 99.5
METRES_PER_MILE = 1609.344
DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "metar_decoded"
TOLERANCES = {
    "temperature": 0.051,
    "dew point": 0.051,
    "wind direction": 0.5,
    "wind speed": 0.5,
    "gust": 0.5,
    "visibility": 0.0051,
    "altimeter": 0.006,
    "ceiling": 0.5,
    "sea-level pressure": 0.051,
}
"""°C, °C, degree, kt, kt, statute mile, inHg, ft, hPa; all other fields must be equal."""
FIELDS = (
    "observation time", "report type", "temperature", "dew point", "wind direction", "wind speed", "gust", "visibility",
    "altimeter", "sky cover", "sky bases", "ceiling", "sea-level pressure",
)  # fmt: skip


@dataclass(frozen=True)
class Disagreement:
    """One field of one report in which the two decodes differ."""

    field: str
    ours: object
    oracle: object
    reason: str
    text: str


def main() -> int:
    parser = argparse.ArgumentParser(description="METAR ingest against an independent decode")
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT)
    directory = parser.parse_args().directory
    files = sorted(directory.glob("*.json"))
    if not files:
        print(f"metar_oracle: FAILED, no *.json in {directory}")
        return 3
    entries = [entry for file in files for entry in json.loads(file.read_text(encoding="utf-8"))]
    counted, disagreements, lost = compare(entries)
    return report(counted, disagreements, lost, len(entries))


def compare(entries: list[dict]) -> tuple[Counter, list[Disagreement], list[str]]:
    """How often each field was compared, where it differs, and texts that gave no report of ours."""
    rows = decode(entries)
    counted, disagreements, lost = Counter(), [], []
    for entry in entries:
        row = rows.get(" ".join(entry["raw_text"].upper().split()).rstrip("= "))
        if row is None:
            lost.append(entry["raw_text"])
            continue
        ours, oracle = our_values(row), oracle_values(entry)
        for field in FIELDS:
            if absent(ours[field]) and absent(oracle[field]):
                continue
            counted[field] += 1
            if not equal(field, ours[field], oracle[field]):
                why = reason(field, ours[field], oracle[field], entry["raw_text"])
                disagreements.append(Disagreement(field, ours[field], oracle[field], why, entry["raw_text"]))
    return counted, disagreements, lost


def decode(entries: list[dict]) -> dict[str, dict]:
    """Our decode of each text, by text: one call for all texts of one hour."""
    stations = pd.DataFrame(entries).drop_duplicates("station_id").set_index("station_id")
    positions = {"latitude": "latitude", "longitude": "longitude", "elevation": "elevation_m"}
    table = pd.DataFrame(
        {
            name: pd.to_numeric(stations[column]) if column in stations else math.nan
            for name, column in positions.items()
        },
        index=stations.index,
    )
    hours: dict[str, list[str]] = {}
    for entry in entries:
        hours.setdefault(entry["observation_time"][:13], []).append(entry["raw_text"])
    rows: dict[str, dict] = {}
    for hour, texts in hours.items():
        reference = np.datetime64(hour, "ns")
        # a second report of the same station and time would be a duplicate: give each of them its own turn
        for part in unlike(texts):
            decoded = decode_metar(
                "\n".join(part), stations=StationTable(table.assign(source="oracle")), reference_time=reference
            )
            rows |= {row["text"]: row for row in decoded.reports.to_dict("records")}
    return rows


def unlike(texts: list[str]) -> list[list[str]]:
    """Texts in groups without two of one station and time."""
    groups: list[dict[str, str]] = []
    for text in texts:
        key = text[:12]
        group = next((group for group in groups if key not in group), None)
        if group is None:
            groups.append(group := {})
        group[key] = text
    return [list(group.values()) for group in groups]


def our_values(row: dict) -> dict[str, object]:
    layers = [(layer.cover, layer.base) for layer in row["sky_layers"]]
    covers = tuple(cover for cover, _ in layers) or ((row["sky_clear"],) if row["sky_clear"] else ())
    return {
        "observation time": row["valid_time"].strftime("%Y-%m-%dT%H:%M"),
        "report type": row["report_type"] if re.match(r"(METAR|SPECI)\b", row["text"]) else None,
        "temperature": row["temperature_c"],
        "dew point": row["dew_point_c"],
        "wind direction": 0.0 if row["wind_variable"] else row["wind_direction"],
        "wind speed": row["wind_speed_kt"],
        "gust": row["gust_kt"],
        "visibility": row["visibility"] / METRES_PER_MILE,
        "altimeter": row["altimeter"],
        "sky cover": covers,
        "sky bases": tuple(round(base / METRES_PER_FOOT) for _, base in layers if not math.isnan(base)),
        "ceiling": row["ceiling"] / METRES_PER_FOOT,
        "sea-level pressure": row["slp"],
    }


def oracle_values(entry: dict) -> dict[str, object]:
    sky = entry.get("sky_condition") or []
    sky = [sky] if isinstance(sky, dict) else sky
    layers = [(layer["_sky_cover"], layer.get("_cloud_base_ft_agl")) for layer in sky]
    hidden = number(entry, "vert_vis_ft")
    layers = [("VV", hidden) if cover == "OVX" else (cover, float(base or "nan")) for cover, base in layers]
    bases = [base for _, base in layers if not math.isnan(base)]
    ceilings = [base for cover, base in layers if cover in ("BKN", "OVC", "VV")]
    stated = re.match(r"(METAR|SPECI)\b", entry["raw_text"])
    return {
        "observation time": entry["observation_time"][:16],
        "report type": entry.get("metar_type") if stated else None,
        "temperature": number(entry, "temp_c"),
        "dew point": number(entry, "dewpoint_c"),
        "wind direction": number(entry, "wind_dir_degrees"),
        "wind speed": number(entry, "wind_speed_kt"),
        "gust": number(entry, "wind_gust_kt"),
        "visibility": number(entry, "visibility_statute_mi"),
        "altimeter": number(entry, "altim_in_hg"),
        "sky cover": tuple(cover for cover, _ in layers),
        "sky bases": tuple(round(base) for base in bases),
        "ceiling": min(ceilings, default=math.nan),
        "sea-level pressure": number(entry, "sea_level_pressure_mb"),
    }


def number(entry: dict, name: str) -> float:
    return float(str(entry.get(name, "nan")).rstrip("+") or "nan")


def absent(value: object) -> bool:
    return value is None or value == () or (isinstance(value, float) and math.isnan(value))


def equal(field: str, ours: object, oracle: object) -> bool:
    if absent(ours) or absent(oracle) or field not in TOLERANCES:
        return ours == oracle
    return abs(ours - oracle) <= TOLERANCES[field]


def reason(field: str, ours: object, oracle: object, text: str) -> str:
    """Why the two differ, by rule; the rules look at the text and at nothing else."""
    tenths = re.search(r" T([01]\d{3})([01]\d{3})?\b", text)
    if field in ("temperature", "dew point") and tenths and not absent(oracle) and float(oracle).is_integer():
        return "the oracle has the body's whole degrees, the text has tenths"
    if isinstance(ours, tuple) and isinstance(oracle, tuple) and len(ours) > len(oracle) == 4:
        return "the oracle keeps four layers"
    if absent(oracle):
        return "the oracle leaves out what the text has"
    if absent(ours):
        return "we leave out what the oracle has"
    return "different values"


def report(counted: Counter, disagreements: list[Disagreement], lost: list[str], total: int) -> int:
    wrong = Counter(item.field for item in disagreements)
    print(f"{'field':<20}{'n':>7}{'agree':>8}{'per cent':>10}{'differ':>8}")
    worst = 100.0
    for field in FIELDS:
        n, agree = counted[field], counted[field] - wrong[field]
        share = 100.0 * agree / n if n else math.nan
        worst = min(worst, share) if n else worst
        print(f"{field:<20}{n:>7}{agree:>8}{share:>10.2f}{wrong[field]:>8}" + ("" if n else "   not in these texts"))
    for item in disagreements:
        print(f"\n{item.field}: ours {item.ours}, oracle {item.oracle}; {item.reason}\n    {item.text}")
    for text in lost:
        print(f"\nnot decoded: {text}")
    passed = worst >= REQUIRED and len(lost) <= (100.0 - REQUIRED) / 100.0 * total
    print(
        f"metar_oracle: {'passed' if passed else 'FAILED'}, {total - len(lost)} of {total} reports decoded, "
        f"worst field {worst:.2f} % (required {REQUIRED} %), {len(disagreements)} disagreements"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
