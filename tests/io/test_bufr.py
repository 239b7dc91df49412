"""BUFR messages as values: keys, strings, missing values, and messages cut out of a file."""

import numpy as np
import pytest
from bufr_samples import bufr_message, synop

from rtma_diffda.errors import InputError
from rtma_diffda.io.bufr import read_bufr_messages
from rtma_diffda.io.messages import split_messages

pytest.importorskip("eccodes")


def test_values_by_key_and_nothing_for_missing_ones(tmp_path):
    path = tmp_path / "one.bufr"
    path.write_bytes(bufr_message([synop(10, stationOrSiteName="HVEN")]))
    (message,) = read_bufr_messages(path, ("airTemperature", "stationOrSiteName", "windSpeed", "noSuchKey"))
    assert message.failure == ""
    assert message.category == 0
    (subset,) = message.subsets
    assert subset["airTemperature"] == pytest.approx(280.15)
    assert subset["stationOrSiteName"] == "HVEN"
    assert set(subset) == {"airTemperature", "stationOrSiteName"}


def test_compressed_and_plain_subsets_give_the_same(tmp_path):
    reports = [synop(number, airTemperature=270.0 + number) for number in (1, 2, 3)]
    found = []
    for compressed in (False, True):
        path = tmp_path / f"{compressed}.bufr"
        path.write_bytes(bufr_message(reports, compressed=compressed))
        (message,) = read_bufr_messages(path, ("stationNumber", "airTemperature"))
        found.append(message.subsets)
    assert found[0] == found[1]
    assert [subset["stationNumber"] for subset in found[0]] == [1.0, 2.0, 3.0]


def test_every_byte_is_accounted_for(tmp_path):
    good = bufr_message([synop(10)])
    path = tmp_path / "mixed.bufr"
    path.write_bytes(b"heading\r\n" + good + good[:50] + good + b"trailing")
    found = list(split_messages(path, b"BUFR"))
    assert [(raw.number, bool(raw.failure)) for raw in found] == [(1, False), (2, True), (3, False)]
    assert found[0].offset == 9
    assert found[2].content == good


def test_a_replication_beyond_the_list_is_refused_before_it_crashes_the_decoder(tmp_path):
    good = bufr_message([synop(10)])
    damaged = bytearray(good)
    place = good.index(bytes([0xC7, 0x50]))  # 307080 in section 3
    damaged[place : place + 2] = bytes([0x69, 0x07])  # 141007
    path = tmp_path / "damaged.bufr"
    path.write_bytes(bytes(damaged) + good)
    first, second = read_bufr_messages(path, ("airTemperature",))
    assert "141007 repeats 41" in first.failure
    assert second.failure == ""


def test_absent_and_empty_files(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        list(read_bufr_messages(tmp_path / "none", ("latitude",)))
    (tmp_path / "empty").touch()
    assert list(read_bufr_messages(tmp_path / "empty", ("latitude",))) == []


def test_the_real_file_is_whole(shared):
    path = shared / "data/europe_20181120/obs_3day.bufr"
    messages = list(split_messages(path, b"BUFR"))
    assert len(messages) == 1507
    assert sum(len(message.content) for message in messages) <= path.stat().st_size
    assert np.all([message.failure == "" for message in messages])
