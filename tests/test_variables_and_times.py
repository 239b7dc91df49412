import numpy as np
import pytest

from rtma_diffda.errors import UsageError
from rtma_diffda.times import SLOT, Window, compact_time, format_time, parse_time, slot_index, slots_of_day
from rtma_diffda.variables import VARIABLES, find_variable, to_display, variable


def test_names_are_unique_across_vocabularies():
    aliases = [alias for v in VARIABLES.values() for alias in {v.name, *v.short_names}]
    assert len(aliases) == len(set(aliases))
    assert find_variable("2t") is VARIABLES["t2m"] and find_variable("temperature_2m") is VARIABLES["t2m"]
    assert find_variable("banana") is None


def test_grib_identities_are_unique():
    triples = [v.grib for v in VARIABLES.values() if v.grib]
    assert len(triples) == len(set(triples))


def test_unknown_variable_lists_the_known():
    with pytest.raises(UsageError, match=r"unknown variable 'x'; known are t2m"):
        variable("x")


def test_display_units():
    assert to_display("t2m", 273.15) == (0.0, "°C")
    assert to_display("sp", 101325.0)[0] == pytest.approx(1013.25)
    assert to_display("u10m", 3.0) == (3.0, "m s-1")


def test_times_round_trip():
    time = parse_time("2026-01-01T00:15Z")
    assert time == np.datetime64("2026-01-01T00:15", "ns")
    assert parse_time("2026-01-01T01:15+01:00") == time
    assert format_time(time) == "2026-01-01T00:15Z" and compact_time(time) == "20260101T0015Z"
    with pytest.raises(UsageError, match="not ISO 8601"):
        parse_time("yesterday")


def test_slots_of_a_day():
    slots = slots_of_day(np.datetime64("2026-01-01T13:07"))
    assert len(slots) == 96 and slots[0] == np.datetime64("2026-01-01") and slots[-1] - slots[0] == 95 * SLOT
    assert [slot_index(slot) for slot in slots] == list(range(96))
    with pytest.raises(UsageError, match="15-minute slot"):
        slot_index(np.datetime64("2026-01-01T00:07", "ns"))


def test_a_window_contains_its_analysis_time():
    noon = np.datetime64("2026-01-01T12:00", "ns")
    window = Window.around(noon, SLOT)
    assert window.contains(np.array([noon - SLOT, noon + 2 * SLOT])).tolist() == [True, False]
    with pytest.raises(UsageError, match="does not contain"):
        Window(noon, noon - SLOT, noon, noon)
