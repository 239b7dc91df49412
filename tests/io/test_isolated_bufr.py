"""BUFR messages that end ecCodes' process, or keep it busy: one is lost, the account of the others stays whole."""

import pytest
from bufr_samples import WITH_WIGOS, bufr_message, synop

from rtma_diffda.io.bufr import read_bufr_messages
from rtma_diffda.io.isolated import Limits
from rtma_diffda.io.isolated_bufr import decode_bufr
from rtma_diffda.observations.ingest.synop import read_synop

pytest.importorskip("eccodes")


def crashing():
    """A compressed message whose template is a table reference that nothing holds, and a marker without a bitmap."""
    message = bytearray(bufr_message([synop(1), synop(2), synop(3)], compressed=True, template=WITH_WIGOS))
    place = message.index(bytes([0xC1, 0x96, 0xC7, 0x50]))
    message[place : place + 4] = bytes([0x00, 0x02, 0x99, 0xFF])  # 000002 225255
    return bytes(message)


def written(tmp_path, *messages):
    path = tmp_path / "made.bufr"
    path.write_bytes(b"".join(messages))
    return path


def test_a_message_that_crashes_eccodes_is_told_and_the_others_keep_their_order(tmp_path):
    good = [bufr_message([synop(number, airTemperature=270.0 + number)]) for number in (10, 20, 30)]
    path = written(tmp_path, good[0], crashing(), good[1], crashing(), good[2])
    found = list(read_bufr_messages(path, ("stationNumber", "airTemperature")))
    assert [message.number for message in found] == [1, 2, 3, 4, 5]
    assert [bool(message.failure) for message in found] == [False, True, False, True, False]
    assert [dict(message.subsets[0]) for message in found[::2]] == [
        {"stationNumber": number, "airTemperature": pytest.approx(270.0 + number)} for number in (10, 20, 30)
    ]


def test_every_report_of_such_a_file_is_accounted_for(tmp_path):
    repeated = bufr_message([synop(10)])
    result = read_synop(written(tmp_path, repeated, crashing(), repeated, bufr_message([synop(20), synop(30)])))
    assert (result.reports_found, result.reports_read, result.duplicates) == (5, 3, 1)
    assert result.rejected["reason"].tolist() == ["damaged BUFR message"]
    assert result.rejected["text"].item().startswith("message 2 at byte")
    assert list(dict.fromkeys(result.table["station"])) == ["06010", "06020", "06030"]


def test_what_exceeds_its_time_is_told_and_the_rest_refused_after_too_many(tmp_path):
    slow = bufr_message([synop(number % 90) for number in range(120)])
    path = written(tmp_path, slow, slow, bufr_message([synop(20)]))
    limits = Limits(seconds=0.002, timeouts=2)
    first, second, third = read_bufr_messages(path, ("airTemperature",), limits=limits)
    assert first.failure == second.failure == "decoding this message took longer than 0.002 s"
    assert third.failure == "not decoded, because 2 messages before it took too long"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_message_without_subsets_does_not_go_unnoticed(tmp_path, compressed):
    message = bytearray(bufr_message([synop(10)], compressed=compressed))
    place = message.index(bytes([0xC7, 0x50]))
    message[place - 3 : place - 1] = bytes(2)
    result = read_synop(written(tmp_path, bytes(message)))
    assert (result.reports_found, len(result.rejected)) == (1, 1)
    assert "no subsets" in result.rejected["text"].item()


def test_text_and_numbers_come_through_as_ecCodes_gives_them():
    message = bufr_message([synop(10, stationOrSiteName="HVEN", airTemperature=280.17)])
    found = decode_bufr(message, ("stationOrSiteName", "airTemperature", "windSpeed"))
    assert found == b'{"category": 0, "subsets": [{"stationOrSiteName": "HVEN", "airTemperature": 280.17}]}'
