import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.ingest import IngestSettings, run_ingest, time_in_names
from rtma_diffda.observations.flags import Flag

REPORTS = """\
SAUS70 KWBC 011200
METAR KAAA 011153Z 24008KT 10SM SCT030 12/07 A2992 RMK AO2 SLP132 T01230072=
METAR KBBB 011153Z 18005KT 10SM CLR 91/07 A2990=
METAR KAAA 011153Z 24008KT 10SM SCT030 12/07 A2992 RMK AO2 SLP132 T01230072=
METAR KNIL 011153Z NIL=
not a report at all=
"""
STATIONS = "station,latitude,longitude,elevation\nKAAA,40.0,-100.0,300\n"


@pytest.fixture
def files(tmp_path):
    reports, stations = tmp_path / "metar_20190701_1200.txt", tmp_path / "stations.csv"
    reports.write_text(REPORTS)
    stations.write_text(STATIONS)
    return str(reports), str(stations)


def test_the_account_adds_up_and_names_what_was_wrong(files, tmp_path):
    reports, stations = files
    run = run_ingest(IngestSettings((reports,), stations=stations, output=str(tmp_path / "out")))
    result = run.result
    assert result.reports_found == result.reports_read + result.duplicates + len(result.rejected)
    assert result.duplicates == 1 and len(result.rejected) == 1
    assert "KBBB t2m = 364.15" in run.text and "temperatures in tenths from the T group" in run.text
    assert "of which 1 are in no station table" in run.text
    stored = pd.read_parquet(tmp_path / "out" / "observations.parquet").set_index(["station", "variable"])
    assert stored.loc[("KAAA", "t2m"), "value"] == pytest.approx(285.45)
    assert stored.loc[("KBBB", "t2m"), "flags"] == int(Flag.RANGE | Flag.NO_POSITION)
    assert stored.loc[("KAAA", "t2m"), "valid_time"] == pd.Timestamp("2019-07-01T11:53")
    assert len(pd.read_parquet(tmp_path / "out" / "rejected.parquet")) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("metar_20190701_1200.txt", "2019-07-01T12:00"),
        ("obs-20260101T0615.bufr", "2026-01-01T06:15"),
        ("2026010106.txt", "2026-01-01T06:00"),
        ("reports.txt", None),
        ("station_12345678.txt", None),
        ("x_20261341_9999.txt", None),
    ],
)
def test_times_in_file_names(name, expected):
    found = time_in_names((name,))
    assert found == (None if expected is None else np.datetime64(expected, "ns"))


def test_metar_text_without_a_time_is_refused(files, tmp_path):
    _, stations = files
    undated = tmp_path / "reports.txt"
    undated.write_text(REPORTS)
    with pytest.raises(InputError, match="states no month"):
        run_ingest(IngestSettings((str(undated),), stations=stations))
