"""Files of any kind of report, told apart by content; one bad file does not stop the others."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.io.tables import write_table
from rtma_diffda.observations.ingest.files import read_observations
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.table import as_table

sys.path.append(str(Path(__file__).parents[2] / "io"))
from bufr_samples import bufr_message, synop

NOON = np.datetime64("2026-01-01T12:00")
METAR = "METAR EDDF 011150Z 24008KT 9999 FEW030 05/02 Q1013="
STATIONS = StationTable(
    pd.DataFrame({"latitude": [50.0], "longitude": [8.6], "elevation": [111.0], "source": "test"}, index=["EDDF"])
)


def read(paths, stations=STATIONS):
    return read_observations(paths, reference_time=NOON, stations=stations)


def folder_of_everything(tmp_path):
    pytest.importorskip("eccodes")
    (tmp_path / "a_metar").write_text(METAR, encoding="ascii")
    (tmp_path / "b.dat").write_bytes(b"heading\r\n" + bufr_message([synop(10)]))
    (tmp_path / "c.txt").write_text(
        "station,valid_time,latitude,longitude,t2m\nROAD1,2026-01-01T12:05Z,50.1,8.7,278.0\n", encoding="utf-8"
    )
    row = {"station": "P1", "variable": "t2m", "value": 277.0, "latitude": 50.2, "longitude": 8.5, "valid_time": NOON}
    write_table(tmp_path / "d", as_table(pd.DataFrame([row])))
    return tmp_path


def test_a_folder_of_every_kind(tmp_path):
    folder = folder_of_everything(tmp_path)
    (folder / "model.grib").write_bytes(b"GRIB and more")
    (folder / ".hidden").write_text("no report", encoding="utf-8")
    result = read(folder)
    air = result.table[result.table["variable"] == "t2m"].set_index("station")["value"].to_dict()
    assert air == pytest.approx({"EDDF": 278.15, "06010": 280.15, "ROAD1": 278.0, "P1": 277.0}, abs=0.01)
    assert (result.reports_found, result.reports_read) == (4, 4)
    assert sorted(result.table["source"].unique()) == ["", "a_metar", "b.dat", "c.txt"]


def test_the_order_of_files_is_that_asked_for(tmp_path):
    folder = folder_of_everything(tmp_path)
    table = read([folder / "c.txt", str(folder / "a_metar")]).table
    assert table["station"].drop_duplicates().tolist() == ["ROAD1", "EDDF"]


def test_a_bad_file_is_rejected_and_the_others_are_read(tmp_path, caplog):
    folder = folder_of_everything(tmp_path)
    (folder / "empty").touch()
    (folder / "noise").write_bytes(bytes(range(32)) * 20)
    (folder / "cut").write_bytes(b"PAR1 no more")
    result = read(folder)
    assert set(result.rejected["source"]) == {"empty", "noise", "cut"}
    assert (result.reports_found, result.reports_read) == (7, 4)
    assert "is empty" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty", b"", "is empty"),
        ("noise", bytes(range(8)) * 50, "is no file of reports"),
        ("model", b"GRIB0000", "is no file of reports"),
        ("table", b"a,b,c\n1,2,3\n", "no report could be read"),
        ("broken", b"BUFR0000 and so on", "damaged BUFR message"),
    ],
)
def test_nothing_readable_at_all_is_an_error(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        read(tmp_path / name)


def test_absent_paths_and_empty_folders(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="holds no file of reports"):
        read(tmp_path)
    with pytest.raises(InputError, match="no report could be read"):
        read([])


def test_metar_text_needs_a_station_table(tmp_path):
    (tmp_path / "hour.txt").write_text(METAR, encoding="ascii")
    with pytest.raises(InputError, match="needs a station table"):
        read(tmp_path / "hour.txt", stations=None)


def test_the_real_folder_of_europe(shared):
    result = read(shared / "data/europe_20181120")
    assert (result.reports_found, (result.table["variable"] == "t2m").sum()) == (1507, 1471)
