import logging

import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_statistics import GlobalStatistics

MEAN = {("geopotential", 500): 5.4e4, ("geopotential", 850): 1.4e4, ("2m_temperature", None): 278.0}
STD = {("geopotential", 500): 3e3, ("geopotential", 850): 1e3, ("2m_temperature", None): 21.0}
CHANGE = {("geopotential", 500): 300.0, ("geopotential", 850): 200.0, ("2m_temperature", None): 3.0}
STATISTICS = GlobalStatistics(MEAN, STD, CHANGE)


def test_statistics_come_in_the_order_asked_for_by_the_value_of_the_level():
    keys = [("2m_temperature", None), ("geopotential", 850.0), ("geopotential", 500)]
    assert STATISTICS.mean_of(keys).tolist() == [278.0, 1.4e4, 5.4e4]
    assert STATISTICS.std_of(keys).tolist() == [21.0, 1e3, 3e3]
    assert STATISTICS.change_std_of(keys).tolist() == [3.0, 200.0, 300.0]


def test_what_has_no_statistics_passes_unchanged_and_is_told_once(caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert STATISTICS.mean_of([("geopotential", 77)]).tolist() == [0.0]
            assert STATISTICS.std_of([("geopotential", 77)]).tolist() == [1.0]
    assert [record.getMessage() for record in caplog.records] == [
        "no mean of geopotential at 77 hPa; 0 is taken",
        "no standard deviation of geopotential at 77 hPa; 1 is taken",
    ]


def test_tensors_give_the_same_statistics_back():
    stored = STATISTICS.tensors() | {"other:thing": STATISTICS.mean_of([("2m_temperature", None)])[0]}
    assert GlobalStatistics.from_tensors(stored) == STATISTICS
    with pytest.raises(InputError, match="need means"):
        GlobalStatistics.from_tensors({})


def test_statistics_of_a_selection():
    few = STATISTICS.selected([("geopotential", 500.0)])
    assert dict(few.mean) == {("geopotential", 500.0): 5.4e4}
    assert dict(few.change_std) == {("geopotential", 500.0): 300.0}


def test_deviations_must_be_positive():
    with pytest.raises(InputError, match="std of 2m_temperature is 0"):
        GlobalStatistics(MEAN, STD | {("2m_temperature", None): 0.0}, CHANGE)
