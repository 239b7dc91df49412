import numpy as np
import pandas as pd
import pytest
from builders import random_table, small_grid

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.observations.flags import Flag, names_of, to_ufo
from rtma_diffda.observations.table import COLUMNS, Observations, add_flag, as_table, empty_table

LAYOUT = Layout.of(small_grid(), ["t2m", "sp"])


def test_table_has_its_columns_in_their_types():
    table = as_table(random_table(LAYOUT, 4)[["station", "variable", "value", "latitude", "longitude", "valid_time"]])
    assert list(table) == list(COLUMNS)
    assert table["flags"].dtype == np.int32 and table["bound"].dtype == np.int8
    assert table["error_std"].isna().all() and (table["network"] == "unknown").all()
    assert list(empty_table()) == list(COLUMNS) and len(as_table(empty_table())) == 0


def test_table_says_what_is_missing_or_unreadable():
    with pytest.raises(InputError, match=r"lacks the columns \['station'\]"):
        as_table(random_table(LAYOUT, 2).drop(columns="station"))
    with pytest.raises(InputError, match="column 'value' cannot be read as float64"):
        as_table(random_table(LAYOUT, 2).assign(value=["warm", "cold"]))


def test_flags_are_added_never_overwritten():
    table = add_flag(random_table(LAYOUT, 3), np.array([True, False, True]), Flag.RANGE)
    table = add_flag(table, np.array([True, True, False]), Flag.BACKGROUND)
    assert table["flags"].tolist() == [Flag.RANGE | Flag.BACKGROUND, Flag.BACKGROUND, Flag.RANGE]
    assert names_of(int(table["flags"][0])) == ["range", "background"]


def test_only_rows_of_the_layout_and_their_channels():
    table = pd.concat([random_table(LAYOUT, 4), random_table(LAYOUT, 2).assign(variable="vis")], ignore_index=True)
    observations = Observations.from_table(table, LAYOUT)
    assert len(observations) == 4
    assert observations.channel.tolist() == [0, 1, 0, 1]
    assert len(observations.of_channel(1)) == 2


def test_used_and_withheld_are_disjoint():
    observations = Observations.from_table(random_table(LAYOUT, 6), LAYOUT)
    marked = observations.with_flag(np.arange(6) < 3, Flag.WITHHELD).with_flag(np.arange(6) == 0, Flag.RANGE)
    assert list(marked.withheld().station) == ["S001", "S002"]
    assert list(marked.used().station) == ["S003", "S004", "S005"]
    assert (observations.flags == 0).all()


def test_columns_of_unequal_length_are_refused():
    observations = Observations.from_table(random_table(LAYOUT, 3), LAYOUT)
    with pytest.raises(InputError, match="differ in length"):
        observations.with_flags(np.zeros(2))


def test_every_flag_has_a_ufo_code_and_zero_stays_zero():
    flags = np.array([0, *Flag], dtype=np.int32)
    codes = to_ufo(flags)
    assert codes[0] == 0 and (codes[1:] > 0).all()
    assert to_ufo(np.array([Flag.RANGE | Flag.BACKGROUND], np.int32)).tolist() == [12]
    assert to_ufo(np.array([Flag.WITHHELD], np.int32)).tolist() == [1]
