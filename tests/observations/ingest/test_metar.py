"""Whole reports: known decodes by hand, the account, and what bad text does to the rest."""

import math
import socket

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtma_diffda.errors import InputError
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.ingest.metar import decode_metar
from rtma_diffda.observations.ingest.metar_groups import KNOT
from rtma_diffda.observations.ingest.metar_table import read_metar, to_table
from rtma_diffda.observations.ingest.stations import StationTable, load_stations
from rtma_diffda.observations.table import COLUMNS

REFERENCE = np.datetime64("2019-07-01T12:00", "ns")
STATIONS = StationTable(
    pd.DataFrame(
        {
            "latitude": [39.85, 51.48, 26.19, 45.0],
            "longitude": [-104.65, -0.45, 127.65, -75.0],
            "elevation": [1640.0, 24.0, 3.0, math.nan],
            "source": "test",
        },
        index=["KDEN", "EGLL", "ROAH", "CYXX"],
    )
)
REAL = (
    "KDEN 011153Z AUTO 18010G20KT 1 3/4SM -RA BKN012 OVC020 09/08 A3012 RMK AO2 SLP162 T00941078 10167 20089 53011",
    "EGLL 011150Z 24005MPS 200V280 9999 FEW020 SCT045CB 21/M02 Q1013 NOSIG",
    "ROAH 011130Z VRB02KT CAVOK 30/24 Q0998",
    "SPECI CYXX 011204Z CCA 00000KT M1/4SM FG VV001 10/10 A2990 RMK FG8 SLP130",
)


def decode(*lines, reference=REFERENCE):
    return decode_metar("\n".join(lines), stations=STATIONS, reference_time=reference)


def one(line, reference=REFERENCE):
    return decode(line, reference=reference).reports.iloc[0]


def data(*lines):
    table = to_table(decode(*lines))
    return table.set_index(["station", "variable"])


def balanced(decoded):
    return decoded.reports_found == len(decoded.reports) + decoded.nil + decoded.duplicates + len(decoded.rejected)


def test_a_report_of_the_usa_by_hand():
    row = one(REAL[0])
    assert (row.station, row.report_type, row.auto, row.corrected) == ("KDEN", "METAR", True, False)
    assert row.valid_time == pd.Timestamp("2019-07-01T11:53")
    assert (row.wind_direction, row.wind_speed_kt, row.gust_kt) == (180.0, pytest.approx(10.0), pytest.approx(20.0))
    assert row.visibility == pytest.approx(1.75 * 1609.344)
    assert [(layer.cover, layer.base) for layer in row.sky_layers] == [
        ("BKN", pytest.approx(365.76)), ("OVC", pytest.approx(609.6)),
    ]  # fmt: skip
    assert (row.temperature_c, row.dew_point_c, row.altimeter) == (9.4, 8.0, 30.12)  # T00941078 says −7.8: not credible
    assert row.slp == pytest.approx(1016.2)
    assert (row.latitude, row.longitude, row.elevation) == (39.85, -104.65, 1640.0)


def test_si_values_by_hand():
    table = data(*REAL)["value"]
    assert table["KDEN", "t2m"] == pytest.approx(282.55)
    assert table["KDEN", "u10m"] == pytest.approx(0.0, abs=1e-12)
    assert table["KDEN", "v10m"] == pytest.approx(10 * KNOT)
    assert table["KDEN", "ws10m"] == pytest.approx(5.14444, abs=1e-5)
    assert table["KDEN", "gust"] == pytest.approx(20 * KNOT)
    assert table["KDEN", "msl"] == pytest.approx(101620.0)
    assert table["KDEN", "ceil"] == pytest.approx(1200 * 0.3048)
    assert table["KDEN", "tcc"] == 1.0
    assert table["EGLL", "ws10m"] == 5.0  # MPS
    assert table["EGLL", "u10m"] == pytest.approx(5 * math.sin(math.radians(60)))
    assert table["EGLL", "v10m"] == pytest.approx(2.5)
    assert table["EGLL", "d2m"] == pytest.approx(271.15)
    assert table["EGLL", "tcc"] == pytest.approx(3.5 / 8)
    assert ("EGLL", "ceil") not in table.index  # unlimited: no height stands for it
    assert ("EGLL", "msl") not in table.index  # never made from the altimeter


def test_station_pressure_follows_the_altimeter_formula():
    # p = (A^n − p0^n a h / T0)^(1/n) + 0.3 hPa, A = 30.12 inHg, h = 1640 m
    n, inches = 0.190284, 30.12 * 33.86389
    expected = (inches**n - 1013.25**n * 0.0065 * 1640.0 / 288.0) ** (1 / n) + 0.3
    table = data(*REAL)["value"]
    assert table["KDEN", "sp"] == pytest.approx(expected * 100.0, rel=2e-4)
    assert table["ROAH", "sp"] == pytest.approx(99800.0 - 36.0 + 30.0, abs=10.0)
    assert ("CYXX", "sp") not in table.index  # no height, no station pressure


def test_variable_and_calm_winds():
    table = data(*REAL)["value"]
    assert table["ROAH", "ws10m"] == pytest.approx(2 * KNOT)
    assert not {("ROAH", name) for name in ("u10m", "v10m", "wd10m")} & set(table.index)
    assert (table["CYXX", "u10m"], table["CYXX", "v10m"], table["CYXX", "ws10m"]) == (0.0, 0.0, 0.0)
    assert ("CYXX", "wd10m") not in table.index
    assert decode(*REAL).reports.set_index("station").wind_variable.to_dict()["ROAH"]


def test_bounds():
    table = data(*REAL, "KABC 011155Z 18005KT 10SM CLR 20/10 A3000", "CYYZ 011200Z 18005KT P6SM SKC 20/10 A3000")[
        "bound"
    ]
    assert table["KDEN", "vis"] == 0
    assert table["EGLL", "vis"] == 1  # 9999
    assert table["ROAH", "vis"] == 1  # CAVOK
    assert table["CYXX", "vis"] == -1  # M1/4SM
    assert table["KABC", "vis"] == 1  # 10SM of the USA
    assert table["CYYZ", "vis"] == 1  # P6SM
    assert (table["KABC", "tcc"], table["CYYZ", "tcc"]) == (1, 0)  # CLR sees 12,000 ft far, SKC all


def test_types_and_corrections():
    table = to_table(decode(*REAL))
    assert table.groupby("station")["report_type"].first().to_dict() == {
        "KDEN": "METAR AUTO", "EGLL": "METAR", "ROAH": "METAR", "CYXX": "SPECI COR",
    }  # fmt: skip


def test_table_has_the_columns_and_a_flag_for_unknown_stations():
    table = to_table(decode(*REAL, "KQQQ 011155Z 18005KT 10SM CLR 20/10 A3000"))
    assert list(table.columns) == list(COLUMNS)
    unknown = table[table["station"] == "KQQQ"]
    assert len(unknown) > 5
    assert unknown["latitude"].isna().all()
    assert (unknown["flags"] == int(Flag.NO_POSITION)).all()
    assert (table.loc[table["station"] != "KQQQ", "flags"] == 0).all()


def test_p6sm_and_a_strange_word_do_not_lose_what_follows():
    row = one("KDEN 011153Z P6SM XYZZY 18010KT SKC 21/20 A2992 RMK AO2 SLP134 T02110203")
    assert (row.wind_direction, row.temperature_c, row.dew_point_c, row.altimeter) == (180.0, 21.1, 20.3, 29.92)
    assert row.visibility == pytest.approx(9656.064)
    assert row.unread == ("XYZZY",)
    assert decode("KDEN 011153Z XYZZY 18010KT").repaired["words held back that are no known group"] == 1


def test_missing_groups_have_no_rows():
    table = data("EGLL 011150Z AUTO /////KT //// // ////// 21/12 Q////")
    assert set(table.loc["EGLL"].index) == {"t2m", "d2m"}


def test_month_and_year_turn():
    row = one("EGLL 312350Z 24005KT 9999 05/02 Q1013", reference=np.datetime64("2020-01-01T00:00", "ns"))
    assert row.valid_time == pd.Timestamp("2019-12-31T23:50")
    ahead = one("EGLL 031200Z 24005KT 9999 05/02 Q1013")
    assert ahead.valid_time == pd.Timestamp("2019-07-03T12:00")


def test_gross_errors_survive_as_rows():
    table = data("KDEN 011153Z 18010KT 10SM CLR 91/97 A3000")["value"]
    assert table["KDEN", "t2m"] == pytest.approx(91 + 273.15)
    assert table["KDEN", "d2m"] == pytest.approx(97 + 273.15)


def test_a_garbled_direction_gives_no_components():
    table = data("KDEN 011153Z 99010KT 10SM CLR 20/10 A3000")["value"]
    assert table["KDEN", "wd10m"] == 990.0  # for the range check to flag
    assert ("KDEN", "u10m") not in table.index


def test_correction_replaces_the_report_wherever_it_stands():
    plain = "EGLL 011150Z 24005KT 9999 20/12 Q1013"
    corrected = "EGLL 011150Z COR 24015KT 9999 20/12 Q1013"
    for lines in ((plain, corrected), (corrected, plain), (plain, corrected, plain)):
        decoded = decode(*lines)
        assert decoded.reports["wind_speed_kt"].round().tolist() == [15.0]
        assert decoded.duplicates == len(lines) - 1
        assert balanced(decoded)


def test_of_two_texts_the_fuller_stays_else_the_last():
    full = "KDEN 011153Z 18010KT 10SM CLR 20/10 A3000 RMK AO2 SLP162 T02010101"
    short = "KDEN 011153Z 18010KT 10SM CLR 20/10 A3000"
    assert decode(full, short).reports["slp"].notna().all()
    assert decode(short, short.replace("18010", "19010")).reports["wind_direction"].tolist() == [190.0]


def test_nil_and_rejected_reports_are_accounted():
    decoded = decode(
        REAL[0], REAL[0], "EGLL NIL", "METAR EGLL NIL", "ROAH 991150Z 24005KT", "KDEN 011100Z AUTO", "GARBAGE HERE"
    )
    assert (decoded.reports_found, len(decoded.reports), decoded.nil, decoded.duplicates) == (7, 1, 1, 2)
    assert dict(zip(decoded.rejected["text"], decoded.rejected["reason"], strict=True)) == {
        "GARBAGE HERE": "no station and time",
        "ROAH 991150Z 24005KT": "no such day, hour or minute",
        "KDEN 011100Z AUTO": "no value in it",
    }


def test_one_bad_report_stops_nothing():
    bad = "KBAD 011153Z 18\x0010KT 1/0SM OVC99999999 M/M A99999 Q T99999999 SLP9999 \ud800"
    decoded = decode(REAL[0], bad, REAL[1])
    assert {"KDEN", "EGLL"} <= set(decoded.reports["station"])
    assert balanced(decoded)


@pytest.mark.parametrize("content", ["", b"", b"\xff" * 50, "=", "NIL=", "KDEN 011153Z"])
def test_content_without_any_value(content):
    decoded = decode_metar(content, stations=STATIONS, reference_time=REFERENCE)
    assert len(decoded.reports) == 0
    assert balanced(decoded)
    assert len(to_table(decoded)) == 0


def test_read_metar_accounts_and_names_its_file(tmp_path):
    path = tmp_path / "hour.txt"
    path.write_text("=\n".join((*REAL, REAL[0], "EGKK NIL", "GARBAGE HERE")) + "=", encoding="ascii")
    result = read_metar(path, stations=STATIONS, reference_time=REFERENCE)
    assert (result.reports_found, result.reports_read, result.duplicates, len(result.rejected)) == (7, 5, 1, 1)
    assert result.rejected.iloc[0].to_dict() == {
        "source": "hour.txt", "station": "", "reason": "no station and time", "text": "GARBAGE HERE",
    }  # fmt: skip
    assert set(result.table["source"]) == {"hour.txt"}
    with pytest.raises(InputError, match="cannot be read"):
        read_metar(tmp_path / "none.txt", stations=STATIONS, reference_time=REFERENCE)


def test_nothing_is_downloaded(monkeypatch):
    import metpy.io

    def refuse(*args, **kwargs):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.delitem(metpy.io.station_info.__dict__, "tables", raising=False)  # as in a fresh process
    decoded = decode_metar("\n".join(REAL), stations=load_stations(), reference_time=REFERENCE)
    assert len(decoded.reports) == 4
    assert "tables" not in metpy.io.station_info.__dict__


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_any_content_is_read_and_accounted(content):
    decoded = decode_metar(content, stations=STATIONS, reference_time=REFERENCE)
    assert balanced(decoded)
    assert decoded.duplicates >= 0


@st.composite
def mutated(draw):
    """Real reports with characters replaced, dropped and doubled, words shuffled, and any end between them."""
    reports = draw(st.lists(st.sampled_from(REAL), min_size=1, max_size=5))
    text = draw(st.sampled_from(["=\n", "\n", "=", " "])).join(reports)
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(text) - 1))
        text = (
            text[:place]
            + draw(st.sampled_from(["", "/", " ", "=", "9", "M", "KT", "\n", "\x00", "é"]))
            + text[place + 1 :]
        )
    words = text.split(" ")
    return " ".join(draw(st.permutations(words))) if draw(st.booleans()) else text


@settings(max_examples=120, deadline=None)
@given(mutated())
def test_mutated_reports_never_raise_and_never_vanish(text):
    decoded = decode_metar(text, stations=STATIONS, reference_time=REFERENCE)
    assert balanced(decoded)
    assert decoded.duplicates >= 0
    if len(decoded.reports):
        table = to_table(decoded)
        assert np.isfinite(table["value"]).all()
        assert len(table[["station", "valid_time"]].drop_duplicates()) == len(decoded.reports)


def test_the_world_hour(shared):
    stations = load_stations(shared / "data" / "station_tables")
    path = shared / "data" / "metar_hour" / "metar_20190701_1200.txt"
    result = read_metar(path, stations=stations, reference_time=REFERENCE)
    assert result.reports_found == result.reports_read + result.duplicates + len(result.rejected)
    reports = result.table[["station", "valid_time"]].drop_duplicates()
    assert (len(reports), reports["station"].nunique()) == (9001, 5017)
    t2m = result.table[result.table["variable"] == "t2m"].set_index("station")["value"]
    d2m = result.table[result.table["variable"] == "d2m"].set_index("station")["value"]
    assert t2m["CXHM"].max() == pytest.approx(91 + 273.15, abs=0.5)  # gross errors stay, to be flagged
    assert d2m["PABE"].max() == pytest.approx(97 + 273.15, abs=0.5)
    assert result.repaired["temperatures in tenths from the T group"] > 3000
