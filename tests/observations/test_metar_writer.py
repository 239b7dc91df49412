"""METAR text: known reports letter by letter, the code's edges, and values that survive two independent readers."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.observations.ingest.metar import decode_metar
from rtma_diffda.observations.ingest.stations import StationTable
from rtma_diffda.observations.metar_sky_groups import sky_groups, visibility_groups
from rtma_diffda.observations.metar_writer import (
    altimeter_group,
    metar_report,
    sea_level_pressure_group,
    temperature_group,
    tenths_group,
    wind_group,
    write_metar,
)

KNOT, MILE, FOOT, INCH = 0.514444, 1609.344, 0.3048, 33.86389
NAN = math.nan


def standard_pressure(height, sea_level=101325.0):
    return sea_level * (1 - 0.0065 * height / 288.15) ** 5.2559


def station_pressure(setting, height):
    """The National Weather Service's formula: altimeter setting (inches) and height (m) to hPa."""
    n = 0.190284
    return ((setting * INCH) ** n - 1013.25**n * 0.0065 * height / 288.0) ** (1 / n) + 0.3


@pytest.fixture
def reports():
    """300 reports of everything that weather does at these latitudes."""
    rng, n = np.random.default_rng(11), 300
    elevation = rng.uniform(-50, 2500, n)
    t2m, cover = rng.uniform(238, 312, n), rng.choice([0.0, 0.03, 0.2, 0.45, 0.6, 0.8, 1.0], n)
    base = rng.uniform(30, 2000, n)
    speed = np.where(rng.random(n) < 0.2, rng.uniform(0, 2, n), rng.uniform(0, 60, n))
    valid_time = np.datetime64("2026-12-31T23:00", "ns") + rng.integers(0, 120, n) * np.timedelta64(1, "m")
    return pd.DataFrame(
        {
            "station": [
                f"X{'ABCDEFGHIJ'[i // 100]}{'ABCDEFGHIJ'[i // 10 % 10]}{'ABCDEFGHIJ'[i % 10]}" for i in range(n)
            ],
            "latitude": 44.0,
            "longitude": -123.0,
            "elevation": elevation,
            "valid_time": valid_time,
            "received_time": valid_time + np.timedelta64(4, "m"),
            "t2m": t2m,
            "d2m": t2m - rng.uniform(0, 25, n),
            "wind_speed": speed,
            "wind_direction": rng.uniform(0, 360, n),
            "gust": speed * rng.uniform(1.0, 1.8, n),
            "sp": standard_pressure(elevation) + rng.uniform(-3000, 2500, n),
            "vis": 10 ** rng.uniform(1.5, 4.8, n),
            "tcc": cover,
            "cloud_base": base,
            "ceil": np.where(cover >= 0.5625, base * rng.uniform(1.0, 1.8, n), np.nan),
        }
    )


def test_a_report_letter_by_letter():
    report = {
        "station": "XABC",
        "elevation": 110.0,
        "valid_time": np.datetime64("2026-11-20T12:15", "ns"),
        "wind_speed": 8 * KNOT,
        "wind_direction": 243.0,
        "gust": 16 * KNOT,
        "vis": 30e3,
        "tcc": 0.7,
        "cloud_base": 3000 * FOOT,
        "ceil": 8000 * FOOT,
        "t2m": 273.15 + 12.34,
        "d2m": 273.15 + 7.16,
        "sp": 100 * station_pressure(29.923, 110.0),
    }
    expected = "METAR XABC 201215Z AUTO 24008G16KT 10SM SCT030 BKN080 12/07 A2992 RMK AO2 SLP137 T01230072="
    assert metar_report(report) == expected


def test_a_report_without_anything_else_is_still_one():
    report = {"station": "XABC", "elevation": NAN, "valid_time": pd.Timestamp("2026-11-02 00:05"), "t2m": NAN}
    assert metar_report(report) == "METAR XABC 020005Z AUTO RMK AO2 SLPNO="


@pytest.mark.parametrize(
    ("knots", "direction", "gust", "text"),
    [
        (0.0, NAN, 0.0, "00000KT"),
        (0.49, 120.0, NAN, "00000KT"),
        (0.5, 120.0, NAN, "VRB01KT"),
        (2.4, 355.0, 3.0, "VRB02KT"),
        (2.5, 355.0, NAN, "36003KT"),
        (9.6, 4.9, NAN, "36010KT"),
        (9.6, 5.0, NAN, "01010KT"),
        (12.0, NAN, NAN, "VRB12KT"),
        (15.0, 180.0, 19.0, "18015KT"),  # lull 11, peak 19: 8 knots apart
        (15.0, 180.0, 20.0, "18015G20KT"),
        (104.0, 270.0, 131.0, "270104G131KT"),
    ],
)
def test_wind(knots, direction, gust, text):
    assert wind_group(knots * KNOT, direction, gust * KNOT) == [text]


@pytest.mark.parametrize(
    ("celsius", "dew_point", "body", "tenths"),
    [
        (12.3, 7.2, "12/07", "T01230072"),
        (-4.6, -12.5, "M05/M12", "T10461125"),  # halves go upward
        (-0.4, -0.6, "M00/M01", "T10041006"),
        (0.04, -0.04, "00/00", "T00000000"),
        (1.5, -1.5, "02/M01", "T00151015"),
        (-38.2, NAN, "M38/", "T1382"),
    ],
)
def test_temperatures(celsius, dew_point, body, tenths):
    assert temperature_group(celsius + 273.15, dew_point + 273.15) == [body]
    assert tenths_group(celsius + 273.15, dew_point + 273.15) == [tenths]


@pytest.mark.parametrize(
    ("miles", "depression", "text"),
    [
        (0.0, 0.0, "M1/4SM FG"),
        (0.24, 0.0, "M1/4SM FG"),
        (0.25, 0.0, "1/4SM FG"),
        (0.375, 0.0, "1/4SM FG"),  # the lower one half way
        (0.62, 0.0, "1/2SM FG"),
        (0.63, 0.0, "3/4SM BR"),
        (1.7, 1.0, "1 3/4SM BR"),
        (2.26, 5.0, "2 1/2SM HZ"),
        (6.4, 1.0, "6SM BR"),
        (7.0, 1.0, "7SM"),
        (40.0, 1.0, "10SM"),
    ],
)
def test_visibility_and_what_obscures(miles, depression, text):
    assert " ".join(visibility_groups(miles * MILE, 283.15, 283.15 - depression)) == text


def test_fog_freezes():
    assert visibility_groups(0.0, 272.0, 272.0) == ["M1/4SM", "FZFG"]


@pytest.mark.parametrize(
    ("cover", "base", "ceiling", "visibility", "text"),
    [
        (0.0, 500, NAN, 2e4, "CLR"),
        (0.06, 500, NAN, 2e4, "CLR"),
        (0.2, 3000, NAN, 2e4, "FEW030"),
        (0.5, 3049, NAN, 2e4, "SCT030"),
        (0.6, 2000, 4000, 2e4, "FEW020 BKN040"),
        (0.6, 4000, 4000, 2e4, "BKN040"),
        (1.0, 700, 700, 2e4, "OVC007"),
        (1.0, 5260, 5260, 2e4, "OVC055"),
        (0.9, 11600, 11600, 2e4, "BKN120"),
        (1.0, 100, 100, 200.0, "VV001"),
        (1.0, 0, 0, 0.0, "VV000"),
    ],
)
def test_sky(cover, base, ceiling, visibility, text):
    assert " ".join(sky_groups(cover, base * FOOT, ceiling * FOOT, visibility)) == text


@pytest.mark.parametrize("height", [-60.0, 0.0, 110.0, 1655.0, 3200.0])
@pytest.mark.parametrize("setting", [28.05, 29.92, 30.99])
def test_altimeter_setting_is_the_inverse_at_every_height(height, setting):
    assert altimeter_group(100 * station_pressure(setting, height), height) == [f"A{round(100 * setting)}"]
    nearly_next = 100 * station_pressure(setting + 0.0099, height)
    assert altimeter_group(nearly_next, height) == [f"A{round(100 * setting)}"]  # cut down, not rounded


def test_sea_level_pressure():
    assert sea_level_pressure_group(100996.0, 0.0, 288.0) == ["SLP100"]
    assert sea_level_pressure_group(98574.0, 0.0, 288.0) == ["SLP857"]
    assert sea_level_pressure_group(standard_pressure(1655.0), 1655.0, 288.15 - 0.0065 * 1655)[0] == "SLP132"
    assert sea_level_pressure_group(94000.0, 0.0, 288.0) == ["SLPNO"]


def test_bulletins_are_headed_ended_ordered_and_narrow(reports):
    text = write_metar(reports)
    bulletins = text.split("\x03\n")
    assert bulletins.pop() == ""
    headings = [re.match(r"\x01\n\d{3} \nSAXX70 XSIM (\d{6})\nMETAR ", bulletin)[1] for bulletin in bulletins]
    order = [(heading.startswith("01"), heading) for heading in headings]  # the month turns at midnight
    assert order == sorted(order)
    assert len(order) == len(set(order)) == 25  # 23:05 to 01:05
    assert max(map(len, text.splitlines())) <= 69
    assert text.count("=") == text.count("METAR ") == len(reports)


def test_values_survive_an_independent_reader(reports):
    """Plain patterns, written from the handbook, find every value again to within the code's rounding."""
    texts = re.findall(r"METAR ([^=]+)=", re.sub(r"\n {5}", " ", write_metar(reports)))
    assert len(texts) == len(reports)
    by_station = {text[:4]: text for text in texts}
    for report in reports.to_dict("records"):
        text = by_station[report["station"]]
        assert text[5:12] == pd.Timestamp(report["valid_time"]).strftime("%d%H%MZ")
        check_wind(text, report)
        check_temperature(text, report)
        setting, elevation = int(re.search(r" A(\d{4}) ", text)[1]) / 100, report["elevation"]
        assert -34.5 * 1.05 < 100 * station_pressure(setting, elevation) - report["sp"] < 0.1
        check_sky(text, report)


def check_wind(text, report):
    direction, speed, gust = re.search(r" (\d{3}|VRB)(\d{2,3})(?:G(\d{2,3}))?KT ", text).groups()
    assert abs(int(speed) - report["wind_speed"] / KNOT) <= 0.5001
    if int(speed) >= 3:
        turn = (int(direction) - report["wind_direction"] + 180) % 360 - 180
        assert abs(turn) <= 5.001
        assert 10 <= int(direction) <= 360
    if gust:
        assert abs(int(gust) - report["gust"] / KNOT) <= 0.5001
        assert int(gust) > int(speed)


def check_temperature(text, report):
    groups = re.search(r" T([01])(\d{3})([01])(\d{3})$", text).groups()
    for sign, tenths, name in ((*groups[:2], "t2m"), (*groups[2:], "d2m")):
        celsius = int(tenths) / 10 * (-1 if sign == "1" else 1)
        assert abs(celsius + 273.15 - report[name]) <= 0.05001
    body = re.search(r" (M?\d\d)/(M?\d\d) A", text).groups()
    for word, name in zip(body, ("t2m", "d2m"), strict=True):
        assert abs(int(word.replace("M", "-")) + 273.15 - report[name]) <= 0.5501


def check_sky(text, report):
    layers = re.findall(r" (FEW|SCT|BKN|OVC|VV)(\d{3})", text)
    ceilings = [int(height) * 100 * FOOT for amount, height in layers if amount in ("BKN", "OVC", "VV")]
    if math.isnan(report["ceil"]):
        assert not ceilings
    else:
        half_increment = 50 if report["ceil"] <= 5000 * FOOT else 250 if report["ceil"] <= 10000 * FOOT else 500
        assert min(ceilings) == pytest.approx(report["ceil"], abs=(half_increment + 0.01) * FOOT)
    assert (" CLR " in text) == (report["tcc"] < 0.0625)


def test_values_survive_our_own_ingest(reports):
    places = reports.set_index("station")[["latitude", "longitude", "elevation"]].assign(source="test")
    decoded = decode_metar(
        write_metar(reports), stations=StationTable(places), reference_time=np.datetime64("2027-01-01T00:00", "ns")
    )
    assert len(decoded.reports) == decoded.reports_found == len(reports)
    assert len(decoded.rejected) == 0
    found = decoded.reports.set_index("station").loc[reports["station"]].reset_index()
    assert (found["valid_time"].to_numpy() == reports["valid_time"].to_numpy()).all()
    assert np.abs(found["temperature_c"] + 273.15 - reports["t2m"]).max() <= 0.05001
    assert np.abs(found["dew_point_c"] + 273.15 - reports["d2m"]).max() <= 0.05001
    assert np.abs(found["wind_speed"] - reports["wind_speed"]).max() <= 0.5001 * KNOT
    assert (found["station_pressure"] - reports["sp"]).between(-36.2, 0.1).all()
    assert (np.isnan(found["ceiling"]) == np.isnan(reports["ceil"])).all()


def test_a_missing_column_is_named(reports):
    with pytest.raises(InputError, match="elevation"):
        write_metar(reports.drop(columns="elevation"))
