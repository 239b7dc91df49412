"""Station tables: each format, the merge, and what is unknown."""

import sys

import numpy as np
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.observations.ingest.stations import METRES_PER_FOOT, load_stations

GEMPAK = (
    "PADK     704540 ADAK NAS                         AK US  5188 -17665     4  0\n"
    "EGLL     037720 LONDON/HEATHROW                  -- GB  5148    -45    24  0\n"
    "QQQQ     999999 UNKNOWN HEIGHT                   -- XX  1000   2000 -9999  0\n"
)
NCAR = (
    "! Author: nobody\n"
    "CD  STATION         ICAO  IATA  SYNOP   LAT     LON    ELEV(m)S  T  U  F  H\n"
    "AE ABU DHABI BATEEN OMAD  AZI   41216  24 26N  054 28E    3   X        X  X\n"
    "AK ADAK NAS         PADK  ADK   70454  51 53N  176 39W    4   X     T          7 US\n"
    "AU MULKA            YMUK               28 21S  138 39E        X\n"
    "AK CENTRAL AK PROF        CEN   70197  65 30N  144 41W  259            W       8 US\n"
)


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_gempak_table_has_hundredths_of_a_degree(tmp_path):
    table = load_stations(write(tmp_path, "sfstns.tbl", GEMPAK))
    latitude, longitude, elevation = table.locate(np.array(["EGLL", "PADK", "QQQQ", "XXXX"]))
    np.testing.assert_allclose(latitude, [51.48, 51.88, 10.0, np.nan])
    np.testing.assert_allclose(longitude, [-0.45, -176.65, 20.0, np.nan])
    np.testing.assert_allclose(elevation, [24.0, 4.0, np.nan, np.nan])
    assert "EGLL" in table
    assert "XXXX" not in table


def test_ncar_table_has_degrees_and_minutes(tmp_path):
    table = load_stations(write(tmp_path, "master.txt", NCAR))
    assert list(table.table.index) == ["OMAD", "PADK", "YMUK"]  # the radar without an identifier is left out
    latitude, longitude, elevation = table.locate(np.array(["OMAD", "PADK", "YMUK"]))
    np.testing.assert_allclose(latitude, [24 + 26 / 60, 51 + 53 / 60, -28 - 21 / 60])
    np.testing.assert_allclose(longitude, [54 + 28 / 60, -176 - 39 / 60, 138 + 39 / 60])
    np.testing.assert_allclose(elevation, [3.0, 4.0, np.nan])


def test_own_csv_with_an_unknown_height_and_a_station_called_na(tmp_path):
    text = "station,latitude,longitude,elevation\nAAAA, 10.5, 200.25, 12.5\nNA,1,2,\nBBBB,95,0,0\n"
    table = load_stations(write(tmp_path, "mine.csv", text))
    latitude, longitude, elevation = table.locate(np.array(["AAAA", "NA", "BBBB"]))
    np.testing.assert_allclose(latitude, [10.5, 1.0, np.nan])
    np.testing.assert_allclose(longitude, [-159.75, 2.0, np.nan])  # written in −180 … 180
    np.testing.assert_allclose(elevation, [12.5, np.nan, np.nan])


def test_ourairports_heights_are_feet(tmp_path):
    text = "ident,name,latitude_deg,longitude_deg,elevation_ft\nKDEN,Denver,39.86,-104.67,5434\n"
    table = load_stations(write(tmp_path, "airport-codes.csv", text))
    assert table.locate(np.array(["KDEN"]))[2][0] == pytest.approx(5434 * METRES_PER_FOOT)


def test_folder_prefers_own_tables_then_metpys_order_and_reports_conflicts(tmp_path):
    write(tmp_path, "sfstns.tbl", GEMPAK)
    write(tmp_path, "master.txt", NCAR.replace("51 53N", "52 53N"))
    write(tmp_path, "a.csv", "station,latitude,longitude,elevation\nEGLL,51.4775,-0.4614,125\n")
    table = load_stations(tmp_path)
    assert table.table.loc["EGLL", "source"] == "a.csv"
    assert table.table.loc["PADK", "source"] == "sfstns.tbl"
    assert table.table.loc["OMAD", "source"] == "master.txt"
    conflicts = table.conflicts.set_index("station")
    assert conflicts.loc["PADK", "distance"] == pytest.approx(111_200, rel=0.01)
    assert conflicts.loc["EGLL", "height_difference"] == pytest.approx(24 - 125)
    assert "OMAD" not in conflicts.index


def test_the_real_tables_agree_with_metpys_own_readers(shared):
    from metpy.io import station_data

    folder = shared / "data" / "station_tables"
    table = load_stations(folder).table
    everything = station_data._read_station_table(str(folder / "sfstns.tbl"))
    expected = {name: station for name, station in everything if name}
    rows = table.loc[list(expected)]
    np.testing.assert_allclose(rows["latitude"], [station.latitude for station in expected.values()], atol=1e-9)
    np.testing.assert_allclose(rows["longitude"], [station.longitude for station in expected.values()], atol=1e-9)
    np.testing.assert_allclose(rows["elevation"], [station.altitude for station in expected.values()])
    assert len(table) == 13790  # MetPy's 13,791 less its entry without an identifier


def test_airportsdata_heights_are_feet_and_zero_is_unknown():
    table = load_stations()
    latitude, longitude, elevation = table.locate(np.array(["KDEN", "CYWH"]))
    assert (latitude[0], longitude[0]) == (pytest.approx(39.86, abs=0.02), pytest.approx(-104.67, abs=0.02))
    assert elevation[0] == pytest.approx(1656, abs=5)
    assert np.isnan(elevation[1])


def test_airportsdata_absent_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "airportsdata", None)
    with pytest.raises(InputError, match="pip install airportsdata"):
        load_stations()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "station,latitude\nA,1\n", r"lacks the columns \['longitude'\]"),
        ("x.tbl", "", "no station with a valid position"),
        ("x.txt", "nothing of the kind\n" * 5, "no station with a valid position"),
    ],
)
def test_a_file_that_is_no_station_table_is_rejected(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message):
        load_stations(write(tmp_path, name, text))


def test_missing_file_and_empty_folder_are_rejected(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_stations(tmp_path / "none.tbl")
    with pytest.raises(InputError, match="holds no station table"):
        load_stations(tmp_path)
