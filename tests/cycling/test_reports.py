"""The spool: what has arrived by a cut-off, what is wrong with it, and that nothing wrong stops a cycle."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import small_grid

from rtma_diffda.cycling import reports as reports_module
from rtma_diffda.cycling.reports import Spool
from rtma_diffda.cycling.schedule import Stream
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.observations.table import COLUMNS
from rtma_diffda.times import Window

MINUTE = np.timedelta64(1, "m")
TIME = np.datetime64("2026-01-01T12:00", "ns")
RU = Stream("ru")
URMA = Stream("urma", 60 * MINUTE, 30 * MINUTE, np.timedelta64(6, "h"))
STATIONS = StationTable(
    pd.DataFrame(
        {
            "latitude": [35.78, 35.82, 35.87],
            "longitude": [-95.45, -95.40, -95.35],
            "elevation": [210.0, 350.0, 500.0],
            "source": "test",
        },
        index=["KAAA", "KBBB", "KCCC"],
    )
)


def metar(station="KAAA", hour_minute="1153", temperature=9, words=""):
    return f"METAR {station} 01{hour_minute}Z {words}18010G20KT 10SM CLR {temperature:02d}/02 A3012 RMK AO2\n"


def put(directory, name, *lines, arrived=TIME):
    """A bulletin, renamed into the spool, with its modification time."""
    temporary = directory / f".{name}.tmp"
    temporary.write_text("".join(lines))
    return dated(temporary.rename(directory / name), arrived)


def dated(path, arrived):
    moment = int(arrived.astype("datetime64[ns]").astype(np.int64))
    os.utime(path, ns=(moment, moment))
    return path


def spool(directory, *, arrival=True, **extra):
    return Spool((directory,), STATIONS, (lambda real: real) if arrival else None, **extra)


def temperatures(reports):
    """{(station, time of the day): °C} of the temperatures read."""
    rows = reports.result.table[reports.result.table["variable"] == "t2m"]
    keys = zip(rows["station"], rows["valid_time"].dt.strftime("%H%M"), strict=True)
    return {key: round(value - 273.15, 3) for key, value in zip(keys, rows["value"], strict=True)}


@pytest.fixture
def counted(monkeypatch):
    """Names of files in the order in which they are read."""
    names, read_whole = [], reports_module.read_file

    def read(path, **arguments):
        names.append(path.name)
        return read_whole(path, **arguments)

    monkeypatch.setattr(reports_module, "read_file", read)
    return names


def test_reports_of_the_window_are_given_and_no_others(tmp_path):
    put(tmp_path, "a.txt", metar(temperature=9), metar("KBBB", "1140"), metar("KCCC", "1207", 7), metar("KCCC", "1208"))
    found = spool(tmp_path).read(RU.window(TIME))
    assert temperatures(found) == {("KAAA", "1153"): 9.0, ("KCCC", "1207"): 7.0}
    assert found.problems == () and found.result.reports_found == 4
    wide = spool(tmp_path).read(Stream("wide", half_window=20 * MINUTE).window(TIME))
    assert len(temperatures(wide)) == 4


def test_a_window_without_reports_is_an_empty_table_and_no_problem(tmp_path):
    put(tmp_path, "a.txt", metar(hour_minute="0953"))
    found = spool(tmp_path).read(RU.window(TIME))
    assert len(found.result.table) == 0 and list(found.result.table.columns) == list(COLUMNS)
    assert found.problems == () and found.result.reports_found == 0


def test_a_late_file_misses_the_early_cut_off_and_serves_the_later_one(tmp_path):
    put(tmp_path, "in_time.txt", metar("KAAA"), arrived=TIME + 15 * MINUTE)
    put(tmp_path, "late.txt", metar("KBBB"), arrived=TIME + 15 * MINUTE + np.timedelta64(1, "s"))
    put(tmp_path, "far_too_late.txt", metar("KCCC"), arrived=TIME + 361 * MINUTE)
    source = spool(tmp_path)
    assert set(temperatures(source.read(RU.window(TIME)))) == {("KAAA", "1153")}
    assert set(temperatures(source.read(URMA.window(TIME)))) == {("KAAA", "1153"), ("KBBB", "1153")}
    assert set(temperatures(source.read(RU.window(TIME)))) == {("KAAA", "1153")}


def test_where_arrival_is_not_looked_at_everything_counts(tmp_path):
    put(tmp_path, "late.txt", metar("KBBB"), arrived=np.datetime64("2026-03-01T00:00"))
    assert temperatures(spool(tmp_path).read(RU.window(TIME))) == {}
    assert temperatures(spool(tmp_path, arrival=False).read(RU.window(TIME))) == {("KBBB", "1153"): 9.0}


def test_arrival_is_told_on_the_cycles_clock(tmp_path):
    put(tmp_path, "a.txt", metar(), arrived=np.datetime64("2026-07-01T08:10"))
    shift = np.datetime64("2026-07-01T08:00", "ns") - TIME
    assert Spool((tmp_path,), STATIONS, lambda real: real - shift).read(RU.window(TIME)).result.reports_read == 1
    assert Spool((tmp_path,), STATIONS, lambda real: real).read(RU.window(TIME)).result.reports_read == 0


def test_files_that_arrive_out_of_order_serve_the_windows_that_their_reports_lie_in(tmp_path):
    source = spool(tmp_path)
    put(tmp_path, "new.txt", metar(hour_minute="1215", temperature=12), arrived=TIME + 16 * MINUTE)
    assert temperatures(source.read(RU.window(TIME + 15 * MINUTE))) == {("KAAA", "1215"): 12.0}
    put(tmp_path, "old.txt", metar(hour_minute="1200", temperature=11), arrived=TIME + 20 * MINUTE)
    assert temperatures(source.read(RU.window(TIME + 15 * MINUTE))) == {("KAAA", "1215"): 12.0}
    assert temperatures(source.read(RU.window(TIME))) == {}
    assert temperatures(source.read(URMA.window(TIME))) == {("KAAA", "1200"): 11.0, ("KAAA", "1215"): 12.0}


@pytest.mark.parametrize("names", [("a.txt", "b.txt"), ("b.txt", "a.txt")])
def test_a_correction_that_arrives_later_wins_over_the_report_of_the_same_minute(tmp_path, names):
    put(tmp_path, names[0], metar(temperature=9), arrived=TIME)
    put(tmp_path, names[1], metar(temperature=15, words="COR "), arrived=TIME + 30 * MINUTE)
    source, judge = spool(tmp_path), QualityControl(background_check=None)

    def used(window):
        screened = judge.screen(source.read(window).result.table, grid=small_grid(), window=window)
        rows = screened[screened["variable"] == "t2m"]
        return dict(zip((rows["value"] - 273.15).round(3), rows["flags"], strict=True))

    assert used(RU.window(TIME)) == {9.0: 0}  # the correction had not arrived
    assert used(URMA.window(TIME)) == {15.0: 0, 9.0: Flag.DUPLICATE}


def test_hidden_unfinished_and_gridded_files_are_not_reports(tmp_path, counted):
    for name in (".hidden.txt", "a.txt.tmp", "b.part"):
        (tmp_path / name).write_text(metar("KBBB"))
        dated(tmp_path / name, TIME)
    (tmp_path / "model.grib2").write_bytes(b"GRIB" + bytes(100))
    (tmp_path / "folder").mkdir()
    put(tmp_path, "c.txt", metar("KAAA"))
    found = spool(tmp_path).read(RU.window(TIME))
    assert set(temperatures(found)) == {("KAAA", "1153")} and not len(found.result.rejected)
    assert counted == ["c.txt"]


def test_a_file_that_grows_is_read_anew(tmp_path, counted):
    source, path = spool(tmp_path), put(tmp_path, "a.txt", metar("KAAA"))
    assert set(temperatures(source.read(RU.window(TIME)))) == {("KAAA", "1153")}
    with path.open("a") as file:
        file.write(metar("KBBB"))
    dated(path, TIME)  # the size alone tells
    assert set(temperatures(source.read(RU.window(TIME)))) == {("KAAA", "1153"), ("KBBB", "1153")}
    path.write_text(metar("KCCC") + metar("KBBB"))
    dated(path, TIME + 2 * MINUTE)  # the time alone tells
    assert set(temperatures(source.read(RU.window(TIME)))) == {("KCCC", "1153"), ("KBBB", "1153")}
    source.read(RU.window(TIME))
    assert counted == ["a.txt"] * 3


DAMAGED = {
    "empty": b"",
    "blank": b" \n\n",
    "binary": bytes(range(256)) * 8,
    "torn parquet": b"PAR1" + bytes(200),
    "torn bulletin of synop": b"ISMI60 KWBC 011200\r\r\nBUFR\x00\x01\x00\x04" + b"\xff" * 40,
    "table of nothing known": b"station,valid_time\nKAAA,2026-01-01T12:00Z\n",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_file_that_cannot_be_read_is_one_rejected_report_and_the_others_are_read(tmp_path, kind, caplog):
    put(tmp_path, "a_good.txt", metar("KAAA"))
    (tmp_path / "b_bad.bin").write_bytes(DAMAGED[kind])
    dated(tmp_path / "b_bad.bin", TIME)
    put(tmp_path, "c_good.txt", metar("KBBB"))
    found = spool(tmp_path).read(RU.window(TIME))
    assert set(temperatures(found)) == {("KAAA", "1153"), ("KBBB", "1153")}
    assert found.problems == ()
    assert len(found.result.rejected) >= 1 and set(found.result.rejected["source"]) == {"b_bad.bin"}
    assert found.result.reports_found == found.result.reports_read + len(found.result.rejected)


def test_a_reader_that_breaks_on_one_file_does_not_stop_the_others(tmp_path, monkeypatch, caplog):
    read_whole = reports_module.read_file

    def read(path, **arguments):
        if path.name == "b.txt":
            raise ZeroDivisionError("a bug of a reader")
        return read_whole(path, **arguments)

    monkeypatch.setattr(reports_module, "read_file", read)
    for name, station in (("a.txt", "KAAA"), ("b.txt", "KBBB"), ("c.txt", "KCCC")):
        put(tmp_path, name, metar(station))
    found = spool(tmp_path).read(RU.window(TIME))
    assert {station for station, _ in temperatures(found)} == {"KAAA", "KCCC"}
    assert found.result.rejected["source"].tolist() == ["b.txt"]


def test_a_directory_that_goes_away_is_told_and_what_had_been_read_still_counts(tmp_path):
    inside, source = tmp_path / "spool", spool(tmp_path / "spool")
    found = source.read(RU.window(TIME))
    assert len(found.result.table) == 0
    assert found.problems == (f"observation source down: {inside} does not exist",)
    inside.mkdir()
    put(inside, "a.txt", metar())
    assert source.read(RU.window(TIME)).problems == ()
    inside.rename(tmp_path / "elsewhere")
    found = source.read(RU.window(TIME))
    assert set(temperatures(found)) == {("KAAA", "1153")}
    assert found.problems == (f"observation source down: {inside} does not exist",)
    source.look_ahead(TIME)  # which never fails either


def test_one_source_that_is_down_does_not_take_another_with_it(tmp_path):
    put(tmp_path, "a.txt", metar())
    for paths in ((tmp_path / "gone", tmp_path), (tmp_path, tmp_path / "gone")):
        found = Spool(paths, STATIONS).read(RU.window(TIME))
        assert set(temperatures(found)) == {("KAAA", "1153")}
        assert found.problems == (f"observation source down: {tmp_path / 'gone'} does not exist",)


def test_a_source_that_cannot_be_listed_is_down(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    put(tmp_path, "a.txt", metar())
    monkeypatch.setattr(Path, "iterdir", refuse)
    found = spool(tmp_path).read(RU.window(TIME))
    assert found.problems == (f"observation source down: {tmp_path} cannot be listed: Permission denied",)


def test_a_directory_whose_files_cannot_be_looked_at_is_down(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    put(tmp_path, "a.txt", metar())
    monkeypatch.setattr(Path, "is_file", refuse)
    (problem,) = spool(tmp_path).read(RU.window(TIME)).problems
    assert problem.startswith("observation source down") and "Permission denied" in problem
    spool(tmp_path).look_ahead(TIME)


def test_a_slow_source_is_given_up_and_does_not_hold_up_the_next_cycle(tmp_path, monkeypatch):
    read_whole = reports_module.read_file

    def read(path, **arguments):
        if path.name == "b_slow.txt":
            time.sleep(1.0)
        return read_whole(path, **arguments)

    monkeypatch.setattr(reports_module, "read_file", read)
    put(tmp_path, "a_fast.txt", metar("KAAA"))
    put(tmp_path, "b_slow.txt", metar("KBBB"))
    source = spool(tmp_path, patience=0.2)
    for _ in range(2):  # the second finds the first still at work
        begin = time.perf_counter()
        found = source.read(RU.window(TIME))
        assert time.perf_counter() - begin < 0.6
        assert found.problems == ("observation source slow: reading was given up after 0.2 s",)
        assert set(temperatures(found)) == {("KAAA", "1153")}  # read before it got stuck
    time.sleep(1.0)
    found = source.read(RU.window(TIME))
    assert found.problems == () and set(temperatures(found)) == {("KAAA", "1153"), ("KBBB", "1153")}


def test_a_file_is_read_once_for_many_windows_and_streams(tmp_path, counted):
    source = spool(tmp_path)
    put(tmp_path, "metar_20260101_1100.txt", metar(hour_minute="1100"))
    put(tmp_path, "metar_20260101_1200.txt", metar(hour_minute="1200"))
    source.look_ahead(TIME)
    for time_of_day in RU.times(TIME - 120 * MINUTE, TIME + 120 * MINUTE):
        source.read(RU.window(time_of_day))
    source.read(URMA.window(TIME))
    assert sorted(counted) == ["metar_20260101_1100.txt", "metar_20260101_1200.txt"]


def test_files_far_from_the_analysis_are_neither_read_nor_kept(tmp_path, counted):
    source, hours = spool(tmp_path, arrival=False), np.timedelta64(1, "h")
    for hour in range(24):
        put(tmp_path, f"metar_20260101_{hour:02d}00.txt", metar(hour_minute=f"{hour:02d}00", temperature=hour))
    source.read(RU.window(TIME - 12 * hours))
    assert len(counted) == 7  # 00 to 06
    for i in range(24):
        time_of_day = TIME + (i - 12) * hours
        assert temperatures(source.read(RU.window(time_of_day))) == {("KAAA", f"{i:02d}00"): float(i)}
        assert len(source._known) <= 25  # twice the reach to both sides
    assert len(counted) == 24
    source.read(RU.window(TIME + 48 * hours))
    assert len(source._known) == 0
    assert temperatures(source.read(RU.window(TIME))) == {("KAAA", "1200"): 12.0}  # read again if it is ever wanted


def test_the_date_in_a_name_settles_the_month_that_a_report_does_not_state(tmp_path):
    put(tmp_path, "metar_20251231_2350.txt", "METAR KAAA 312350Z 18010KT 10SM CLR 03/02 A3012\n")
    midnight = np.datetime64("2026-01-01T00:00", "ns")
    found = spool(tmp_path, arrival=False).read(Stream("x", half_window=15 * MINUTE).window(midnight))
    assert found.result.table["valid_time"].unique().tolist() == [pd.Timestamp("2025-12-31T23:50")]


def test_a_file_that_goes_between_listing_and_reading_is_passed_over(tmp_path, monkeypatch):
    put(tmp_path, "a.txt", metar("KAAA"))
    put(tmp_path, "b.txt", metar("KBBB"))
    stamp = reports_module._stamp

    def vanish(path):
        if path.name == "a.txt":
            path.unlink(missing_ok=True)
        return stamp(path)

    monkeypatch.setattr(reports_module, "_stamp", vanish)
    found = spool(tmp_path).read(RU.window(TIME))
    assert {station for station, _ in temperatures(found)} == {"KBBB"} and found.problems == ()


def test_a_file_that_stays_unreadable_is_tried_again_and_told_once(tmp_path, caplog):
    (tmp_path / "metar_20260101T1200.txt").write_bytes(bytes(range(1, 32)) * 40)
    spool = Spool((tmp_path,), None)
    window = Window.around(np.datetime64("2026-01-01T12:00", "ns"), np.timedelta64(15, "m"))
    for _ in range(3):
        assert len(spool.read(window).result.rejected) == 1
    assert caplog.text.count("is left out") == 1
