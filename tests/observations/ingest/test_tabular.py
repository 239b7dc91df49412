"""Tables of observations in their three forms: units, bad rows, positions from the station table."""

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.io.tables import write_table
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.ingest.stations import StationTable, load_stations
from rtma_diffda.observations.ingest.tabular import read_table
from rtma_diffda.observations.table import as_table

STATIONS = StationTable(
    pd.DataFrame(
        {"latitude": [32.65, 50.0], "longitude": [-114.61, 8.6], "elevation": [63.0, 111.0], "source": "test"},
        index=["KYUM", "EDDF"],
    )
)
IOWA = "station,valid,lon,lat,tmpf,dwpf,drct,sknt,alti,mslp,vsby,gust,skyc1,skyc2,skyl1,skyl2"
WIDE = "station,valid_time,latitude,longitude,elevation,t2m,sp"
LONG = "station,variable,value,latitude,longitude,elevation,valid_time"


def read_text(tmp_path, *lines, stations=None):
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = read_table(path, stations=stations)
    assert result.reports_found == result.reports_read + result.duplicates + len(result.rejected)
    return result


def values_of(result):
    return dict(zip(result.table["variable"], result.table["value"], strict=True))


def test_iowa_columns_become_si(tmp_path):
    row = "YUM,1993-03-12 06:00,-114.606,32.6566,68.0,50.0,270,20,29.92,1013.2,7,30,FEW,BKN,2000,5000"
    result = read_text(tmp_path, IOWA, row, stations=STATIONS)
    expected = {
        "t2m": 293.15, "d2m": 283.15, "ws10m": 10.28889, "wd10m": 270.0, "u10m": 10.28889, "v10m": 0.0,
        "gust": 15.43333, "msl": 101320.0, "vis": 11265.408, "ceil": 1524.0, "tcc": 0.75,
        "sp": 101320.7 * (1 - 0.0065 * 63 / 288.15) ** 5.2559,
    }  # fmt: skip
    assert values_of(result) == pytest.approx(expected, abs=1e-3, rel=5e-4)
    first = result.table.iloc[0]
    assert (first["network"], first["elevation"], first["flags"]) == ("metar", 63.0, 0)
    assert first["valid_time"] == np.datetime64("1993-03-12T06:00")


def test_iowa_missing_words_calm_and_bounds(tmp_path):
    row = "YUM,1993-03-12 06:00,-114.606,32.6566,M,,0,0,M,M,10,M,CLR,M,M,M"
    result = read_text(tmp_path, IOWA, row, stations=STATIONS)
    assert values_of(result) == pytest.approx({"ws10m": 0, "u10m": 0, "v10m": 0, "vis": 16093.44, "tcc": 0})
    bounds = dict(zip(result.table["variable"], result.table["bound"], strict=True))
    assert (bounds["vis"], bounds["tcc"], bounds["u10m"]) == (1, 1, 0)
    assert result.repaired == {}


def test_positions_come_from_the_station_table_or_are_flagged(tmp_path):
    rows = [f"{name},1993-03-12 06:00,,,68,,,,,,,,,,," for name in ("YUM", "XYZ")]
    table = read_text(tmp_path, IOWA, *rows, stations=STATIONS).table.set_index("station")
    assert (table.loc["YUM", "latitude"], table.loc["YUM", "elevation"]) == (32.65, 63.0)
    assert table.loc["XYZ", "flags"] == Flag.NO_POSITION


def test_an_elevation_is_not_taken_from_another_place(tmp_path):
    row = "EDDF,2026-01-01T00:00Z,10.0,8.6,,280,99000"
    assert read_text(tmp_path, WIDE, row, stations=STATIONS).table["elevation"].isna().all()


def test_wide_rows_bad_ones_with_reasons(tmp_path):
    rows = [
        "EDDF,2026-01-01T00:00Z,50.0,8.6,,280.15,99000",
        "EDDH,2026-01-01T01:00+01:00,53.6,370.0,16,281.15,x99",
        "EDDK,soon,50.9,7.1,90,280.15,99000",
        "EDDL,2026-01-01T00:00Z,91.0,6.8,40,280.15,99000",
        ",2026-01-01T00:00Z,50.0,8.6,40,280.15,99000",
        "EDDM,2026-01-01T00:00Z,48.4,11.8,450,,",
        "EDDN,2026-01-01T00:00Z,49.5",
        'EDDP,"2026-01-01T00:00Z,51.4,12.2,140,280.15,99000',
        "EDDV,2026-01-01T00:00Z,52.5,350.0,50,279.15,",
        "EDDF,2026-01-01T00:00Z,50.0,8.6,,280.15,99000",
    ]
    result = read_text(tmp_path, "# a remark", WIDE, *rows, stations=STATIONS)
    assert result.rejected["reason"].tolist() == [
        "position outside the globe", "no valid date and time", "position outside the globe", "no station identifier",
        "no value that is read here", "3 cells instead of 7", "2 cells instead of 7",
    ]  # fmt: skip
    assert (result.reports_found, result.reports_read, result.duplicates) == (10, 2, 1)
    assert result.repaired == {"cells that are no number left out": 1}
    last = result.table[result.table["station"] == "EDDV"]
    assert last["longitude"].tolist() == [-10.0]
    assert result.table.loc[result.table["station"] == "EDDF", "elevation"].tolist() == [111.0, 111.0]


def test_wide_components_give_speed_and_direction(tmp_path):
    header = "station,valid_time,latitude,longitude,u10m,v10m"
    result = read_text(tmp_path, header, "EDDF,2026-01-01T00:00Z,50,8.6,-3,-4")
    assert values_of(result) == pytest.approx({"u10m": -3, "v10m": -4, "ws10m": 5, "wd10m": 36.8699}, abs=1e-3)


def test_long_rows(tmp_path):
    rows = [
        "EDDF,t2m,280.15,50.0,8.6,111,2026-01-01T00:00",
        "EDDF,t2m,280.15,50.0,8.6,111,2026-01-01T00:00",
        "EDDF,tmp,280.15,50.0,8.6,111,2026-01-01T00:00",
        "EDDF,d2m,,50.0,8.6,111,2026-01-01T00:00",
        "EDDF,sp,99000,50.0,8.6,,2026-01-01T00:00",
    ]
    result = read_text(tmp_path, LONG, *rows)
    assert values_of(result) == {"t2m": 280.15, "sp": 99000.0}
    assert result.rejected["reason"].tolist() == ["unknown variable 'tmp'", "no value"]
    assert result.duplicates == 1
    assert result.table["source"].tolist() == ["table.csv", "table.csv"]


def test_our_own_table_comes_back_through_parquet_and_csv(tmp_path):
    times = pd.to_datetime(["2026-01-01T00:00", "2026-01-01T00:15", "2026-01-01T00:20"])
    table = as_table(pd.DataFrame({
        "station": ["EDDF", "EDDH", "EDDK"], "network": "metar", "report_type": "METAR AUTO",
        "variable": ["vis", "t2m", "gust"], "value": [1e4, 280.0, np.nan], "error_std": [np.nan, 1.5, np.nan],
        "bound": [1, 0, 0], "latitude": [50.0, 53.6, 50.9], "longitude": [8.6, 10.0, 7.1],
        "elevation": [111.0, 16.0, np.nan], "valid_time": times, "source": "hour.txt",
        "flags": [0, int(Flag.WITHHELD), int(Flag.MISSING)],
    }))  # fmt: skip
    from_parquet = read_table(write_table(tmp_path / "table.parquet", table)).table
    pd.testing.assert_frame_equal(from_parquet, table)
    table.to_csv(tmp_path / "table.csv", index=False)
    pd.testing.assert_frame_equal(read_table(tmp_path / "table.csv").table, table)


def test_damaged_and_strange_files_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match="has the columns a, b; expected station"):
        read_text(tmp_path, "a,b", "1,2")
    with pytest.raises(InputError, match="column names repeat"):
        read_text(tmp_path, "station,station", "1,2")
    with pytest.raises(InputError, match="is empty"):
        read_text(tmp_path, "")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="as a parquet table"):
        read_table(tmp_path / "cut.parquet")


def test_bytes_that_are_no_text_spoil_only_their_row(tmp_path):
    rows = [b"EDDF,2026-01-01T00:00Z,50.0,8.6,111,280.15,99000", b"EDDH,2026-\xff\xfe\x00\x01,53.6,10,16,281.15,99100"]
    (tmp_path / "table.csv").write_bytes(b"\n".join([WIDE.encode(), *rows, rows[0].replace(b"EDDF", b"EDDK")]))
    result = read_table(tmp_path / "table.csv")
    assert result.table["station"].unique().tolist() == ["EDDF", "EDDK"]
    assert result.rejected["reason"].tolist() == ["no valid date and time"]


def test_the_real_hours_of_1993(shared):
    stations = load_stations(shared / "data/station_tables")
    result = read_table(shared / "data/asos_1993/SFC_obs.csv", stations=stations)
    assert result.reports_found == 9938
    assert result.reports_found == result.reports_read + result.duplicates + len(result.rejected)
    assert result.table["station"].nunique() <= 1080
    table = result.table[(result.table["station"] == "YUM") & (result.table["valid_time"] == "1993-03-12T06:00")]
    assert dict(zip(table["variable"], table["value"], strict=True))["t2m"] == pytest.approx(296.45)
    share = result.table["variable"].value_counts()
    assert share["msl"] / 9938 == pytest.approx(0.53, abs=0.005)
    assert share["gust"] / 9938 == pytest.approx(0.10, abs=0.005)
