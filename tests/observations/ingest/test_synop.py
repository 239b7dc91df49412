"""SYNOP from BUFR: counts of the real hour, other templates and several subsets, and damaged bytes."""

import sys
from pathlib import Path

import numpy as np
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.io.bufr import read_bufr_messages
from rtma_diffda.observations.ingest.synop import KEYS, read_synop

sys.path.append(str(Path(__file__).parents[2] / "io"))
from bufr_samples import WITH_WIGOS, bufr_message, synop

pytest.importorskip("eccodes")


def written(tmp_path, *messages):
    path = tmp_path / "reports.bufr"
    path.write_bytes(b"".join(messages))
    return path


def values_of(result, station):
    rows = result.table[result.table["station"] == station]
    return dict(zip(rows["variable"], rows["value"], strict=True))


def assert_accounts(result):
    assert result.reports_found == result.reports_read + result.duplicates + len(result.rejected)


def test_the_real_hour_has_its_known_counts(shared):
    result = read_synop(shared / "data/europe_20181120/obs_3day.bufr")
    counts = result.table["variable"].value_counts()
    assert result.reports_found == 1507
    assert {name: counts[name] for name in ("t2m", "d2m", "ws10m", "msl", "sp")} == {
        "t2m": 1471, "d2m": 1460, "ws10m": 1471, "msl": 1201, "sp": 1348}  # fmt: skip
    assert set(result.table["valid_time"]) == {np.datetime64("2018-11-20T12:00")}
    assert (result.table["elevation"].min(), result.table["elevation"].max()) == (-7.0, 3576.0)
    assert set(result.rejected["reason"]) == {"no value that is read here"}
    assert_accounts(result)


def test_the_real_heights_are_those_stated(shared):
    path = shared / "data/europe_20181120/obs_3day.bufr"
    heights = [
        subset.get("heightOfStation") for message in read_bufr_messages(path, KEYS) for subset in message.subsets
    ]
    assert sum(height is not None for height in heights) == 1505


@pytest.mark.parametrize("compressed", [False, True])
def test_several_subsets_in_one_message(tmp_path, compressed):
    reports = [synop(10, airTemperature=281.0), synop(20, airTemperature=282.0), synop(30, airTemperature=283.0)]
    result = read_synop(written(tmp_path, bufr_message(reports, compressed=compressed)))
    found = {station: values_of(result, station)["t2m"] for station in ("06010", "06020", "06030")}
    assert found == pytest.approx({"06010": 281.0, "06020": 282.0, "06030": 283.0}, abs=0.01)
    assert values_of(result, "06030")["msl"] == pytest.approx(100500.0)
    row = result.table.iloc[0]
    assert (row["network"], row["report_type"], row["elevation"]) == ("synop", "SYNOP", 40.0)
    assert row["valid_time"] == np.datetime64("2026-01-01T12:00")
    assert_accounts(result)


def test_missing_values_give_no_row_and_pressure_of_a_level_is_no_station_pressure(tmp_path):
    report = {key: value for key, value in synop(10, pressure=85000.0).items() if key != "nonCoordinatePressure"}
    found = values_of(read_synop(written(tmp_path, bufr_message([report]))), "06010")
    assert set(found) == {"t2m", "d2m", "msl"}


@pytest.mark.parametrize(
    ("speed", "direction", "expected"),
    [
        (10.0, 90, {"ws10m": 10.0, "wd10m": 90.0, "u10m": -10.0, "v10m": 0.0}),
        (10.0, 360, {"ws10m": 10.0, "wd10m": 360.0, "u10m": 0.0, "v10m": -10.0}),
        (0.0, 0, {"ws10m": 0.0, "u10m": 0.0, "v10m": 0.0}),
        (5.0, 0, {"ws10m": 5.0}),
    ],
)
def test_wind_as_speed_direction_and_components(tmp_path, speed, direction, expected):
    report = synop(10, windSpeed=speed, windDirection=direction)
    found = values_of(read_synop(written(tmp_path, bufr_message([report]))), "06010")
    winds = {name: found[name] for name in ("ws10m", "wd10m", "u10m", "v10m") if name in found}
    assert winds == pytest.approx(expected, abs=1e-9)


def test_cloud_cover_above_the_sky_is_none(tmp_path):
    reports = [synop(10, cloudCoverTotal=75), synop(20, cloudCoverTotal=113)]
    result = read_synop(written(tmp_path, bufr_message(reports)))
    assert values_of(result, "06010")["tcc"] == pytest.approx(0.75)
    assert "tcc" not in values_of(result, "06020")


def test_a_repeated_report_is_a_duplicate_and_a_changed_one_is_not(tmp_path):
    first, changed = bufr_message([synop(10)]), bufr_message([synop(10, airTemperature=281.0)])
    result = read_synop(written(tmp_path, first, first, changed))
    assert (result.reports_found, result.reports_read, result.duplicates) == (3, 2, 1)


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (synop(10, month=13), "no valid date and time"),
        ({k: v for k, v in synop(10).items() if k != "latitude"}, "position"),
        ({k: v for k, v in synop(10).items() if k != "stationNumber"}, "no station identifier"),
    ],
)
def test_a_report_without_its_head_is_rejected_with_the_reason(tmp_path, report, reason):
    result = read_synop(written(tmp_path, bufr_message([report]), bufr_message([synop(20)])))
    assert reason in result.rejected["reason"].item()
    assert set(result.table["station"]) == {"06020"}
    assert_accounts(result)


def test_a_station_name_stands_in_for_the_block_number(tmp_path):
    report = {k: v for k, v in synop(10).items() if k not in ("blockNumber", "stationNumber")}
    result = read_synop(written(tmp_path, bufr_message([report | {"stationOrSiteName": "HVEN"}])))
    assert set(result.table["station"]) == {"HVEN"}


def test_a_wigos_identifier_is_written_with_dashes(tmp_path):
    wigos = {"wigosIdentifierSeries": 0, "wigosIssuerOfIdentifier": 20000, "wigosIssueNumber": 0,
             "wigosLocalIdentifierCharacter": "AB12"}  # fmt: skip
    report = {k: v for k, v in synop(10).items() if k not in ("blockNumber", "stationNumber")}
    result = read_synop(written(tmp_path, bufr_message([wigos | report], template=WITH_WIGOS)))
    assert set(result.table["station"]) == {"0-20000-0-AB12"}


def test_upper_air_messages_are_not_surface_reports(tmp_path):
    result = read_synop(written(tmp_path, bufr_message([synop(10)], category=2), bufr_message([synop(20)], category=1)))
    assert result.rejected["reason"].tolist() == ["not a surface report"]
    assert set(result.table["network"]) == {"ship"}


@pytest.mark.parametrize("damage", ["cut off", "name", "length", "descriptors", "bulletin heading"])
def test_damage_loses_one_message_and_is_accounted(tmp_path, damage):
    good, bad = bufr_message([synop(10)]), bytearray(bufr_message([synop(20)]))
    if damage == "cut off":
        bad = bad[:60]
    elif damage == "name":
        bad[:2] = b"xx"
    elif damage == "length":
        bad[4:7] = b"\x00\x40\x02"
    elif damage == "descriptors":
        bad[37:39] = b"\xfd\x13"
    else:
        bad = bytearray(b"\r\r\nIUKX60 EGRR 011200\r\r\n") + bad
    result = read_synop(written(tmp_path, good, bytes(bad), bufr_message([synop(30)])))
    lost = 0 if damage == "bulletin heading" else 1
    assert (result.reports_found, len(result.rejected)) == (3, lost)
    assert {"06010", "06030"} <= set(result.table["station"])
    assert_accounts(result)


def test_random_damage_is_survived(tmp_path):
    rng = np.random.default_rng(3)
    good = b"".join(bufr_message([synop(number)]) for number in (10, 20, 30))
    for trial in range(40):
        damaged = bytearray(good)
        damaged[rng.integers(len(good))] = rng.integers(256)
        path = tmp_path / f"{trial}.bufr"
        path.write_bytes(damaged)
        result = read_synop(path)
        assert result.reports_read >= 2
        assert_accounts(result)


def test_files_without_a_message(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_synop(tmp_path / "none.bufr")
    with pytest.raises(InputError, match="holds no BUFR message"):
        read_synop(written(tmp_path, b"nothing here"))
