"""Splitting of files into reports: every format that collected bulletins mix, and nothing lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtma_diffda.observations.ingest.bulletins import split_bulletins

BULLETIN = (
    "\x01\r\r\n455 \r\r\nSAUS70 KWBC 011200\r\r\nMETAR\r\r\n"
    "KRCM 011155Z AUTO 00000KT 10SM CLR 21/20 A3005 RMK AO2=\r\r\n"
    "KIPJ 011150Z AUTO 00000KT 7SM CLR 21/21 A3002 RMK AO2 70004\r\r\n     T02120212 10225 20196=\r\r\n\x03"
)


def found(bulletins):
    return len(bulletins.reports) + bulletins.repeats + len(bulletins.other)


def test_a_bulletin_with_control_characters_and_a_continuation_line():
    bulletins = split_bulletins(BULLETIN)
    assert [(report.station, report.time) for report in bulletins.reports] == [("KRCM", "011155"), ("KIPJ", "011150")]
    assert bulletins.reports[1].body == "AUTO 00000KT 7SM CLR 21/21 A3002 RMK AO2 70004 T02120212 10225 20196"
    assert (bulletins.repeats, bulletins.other) == (0, ())


def test_the_same_bulletin_again_is_counted_as_repeats():
    bulletins = split_bulletins(BULLETIN * 3)
    assert (len(bulletins.reports), bulletins.repeats) == (2, 4)


def test_type_and_correction_come_from_the_report_or_from_its_bulletin():
    text = (
        "SPUS70 KWBC 011203\nKAAA 011203Z 18005KT=\n\x03\nSAUS70 KWBC 011200 CCA\nMETAR\nKBBB 011200Z 18005KT=\n"
        "SPECI KCCC 011204Z 18005KT=\nSAXX10 KWBC 011200\nMETAR COR KDDD 011200Z 18005KT=\nKEEE 011200Z COR 18005KT=\n"
    )
    reports = {report.station: report for report in split_bulletins(text).reports}
    assert [(r.report_type, r.corrected) for r in reports.values()] == [
        ("SPECI", False), ("METAR", True), ("SPECI", True), ("METAR", True), ("METAR", False),
    ]  # fmt: skip
    assert reports["KEEE"].body == "COR 18005KT"  # the body's own COR is read with the body


def test_lines_without_ends_are_reports_and_indented_ones_continue():
    text = "KAAA 011155Z 18005KT 10SM\n     CLR 20/10 A3000\nKBBB 011155Z 09005KT\n"
    bodies = [report.body for report in split_bulletins(text).reports]
    assert bodies == ["18005KT 10SM CLR 20/10 A3000", "09005KT"]


def test_a_wrapped_line_without_indentation_continues_up_to_the_end_mark():
    bulletins = split_bulletins("KAAA 011155Z 18005KT 10SM CLR\nM01/M03 Q0989=\nKBBB 011155Z 09005KT=")
    assert [report.body for report in bulletins.reports] == ["18005KT 10SM CLR M01/M03 Q0989", "09005KT"]


def test_reports_run_together_are_parted():
    text = "MDST 011200Z 10010KT 9999 BKN018 26/24 Q1018 METAR MDPC 011200Z 10010KT SPECI COR MDSD 011205Z 09005KT="
    reports = split_bulletins(text).reports
    assert [(r.station, r.report_type, r.corrected) for r in reports] == [
        ("MDST", "METAR", False), ("MDPC", "METAR", False), ("MDSD", "SPECI", True),
    ]  # fmt: skip
    assert reports[0].body == "10010KT 9999 BKN018 26/24 Q1018"


@pytest.mark.parametrize("text", ["SVMG NIL=", "METAR CYBL NIL=", "CZEL RMK NIL=", "WZL NIL=", "BGKK 011153Z NIL="])
def test_nil_reports(text):
    bulletins = split_bulletins(text)
    assert [report.is_nil for report in bulletins.reports] == [True]


def test_a_time_in_plain_words_does_not_open_a_report():
    text = (
        "CYAB 011200Z AUTO 18005KT 9SM RMK LAST OBS NEXT 021200Z=\nCYAC 011200Z AUTO 18005KT RMK USE TAF\nAFTER 1230Z="
    )
    bulletins = split_bulletins(text)
    assert {report.station for report in bulletins.reports} == {"CYAB", "CYAC"}


def test_a_report_without_the_letter_z_is_taken_at_the_start_of_a_line():
    report = split_bulletins("METAR MYGF 011200 29006KT 9999=").reports[0]
    assert (report.station, report.time, report.body) == ("MYGF", "011200", "29006KT 9999")


def test_dates_of_cycle_files_and_afos_names_are_no_reports():
    text = "2019/07/01 11:53\nKAAA 011153Z 18005KT\n\n2019/07/01 11:54\nKBBB 011154Z 18005KT\n"
    for content in (text, text.replace("18005KT", "18005KT="), "MTRDEN\n" + text):
        bulletins = split_bulletins(content)
        assert [report.station for report in bulletins.reports] == ["KAAA", "KBBB"]
        assert bulletins.other == ()


def test_forecasts_are_not_taken_for_reports():
    text = (
        "TAF KAAA 011130Z 0112/0212 18005KT P6SM SKC=\nKBBB 011130Z 0112/0212 18005KT=\nTAF AMD KCCC 011130Z 18005KT="
    )
    bulletins = split_bulletins(text)
    assert bulletins.reports == ()
    assert [reason for reason, _ in bulletins.other] == ["a forecast (TAF)"] * 3


def test_what_is_no_report_is_in_the_account():
    bulletins = split_bulletins(
        "WSR SA 1200 AUTO8 M M M 102/13/08/2310/M/     6018 44MM=\nTHIS EMAIL AND ANY=\nKAAA 011155Z"
    )
    assert [reason for reason, _ in bulletins.other] == ["not METAR code but SA", "no station and time"]
    assert len(bulletins.reports) == 1


def test_a_damaged_head_does_not_hide_in_the_report_before():
    bulletins = split_bulletins("KAAA 011155Z 18005KT 10SM\nK?BB 0111X5Z 09009KT 20/10 A3000=\nKCCC 011155Z 18005KT=")
    assert [report.body for report in bulletins.reports] == ["18005KT 10SM", "18005KT"]
    assert bulletins.other == (("no station and time", "K?BB 0111X5Z 09009KT 20/10 A3000"),)


def test_bytes_that_are_not_ascii_and_lower_case():
    bulletins = split_bulletins(b"\xff\xfe metar kaaa 011155z 18005kt\xa010sm caf\xe9=\x00")
    report = bulletins.reports[0]
    assert (report.station, report.body) == ("KAAA", "18005KT 10SM CAF?")
    assert bulletins.other == (("no station and time", "??"),)


def test_empty_content():
    for content in ("", b"", "\n\n", "=", "\x01\x03"):
        assert found(split_bulletins(content)) == 0


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["KAAA", "EGLL", "K0CO"]), max_size=8), st.sampled_from(["=", "=\n", "=\r\r\n", "\n"]))
def test_every_report_is_counted_once(stations, end):
    text = "".join(f"METAR {name} 0112{i:02d}Z 18005KT 10SM{end}" for i, name in enumerate(stations))
    bulletins = split_bulletins(text)
    assert [report.station for report in bulletins.reports] == stations
    assert found(bulletins) == len(stations)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_no_content_raises(content):
    split_bulletins(content)
