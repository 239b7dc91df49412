"""Channels on pressure levels: labels, look-up, and names that only global states have."""

import numpy as np
import pytest

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.variables import GLOBAL_NAMES, find_variable, variable

GRID = LatLonGrid(np.array([-45.0, 45.0]), np.array([0.0, 180.0]), periodic=True)


def test_levels_stand_in_the_labels():
    layout = Layout(GRID, (Channel("t2m"), Channel("z", 500.0), Channel("z", 850.0)))
    assert layout.names == ("t2m", "z500", "z850") and layout.index("z850") == 2


def test_the_same_variable_on_the_same_level_repeats():
    with pytest.raises(UsageError, match="z500"):
        Layout(GRID, (Channel("z", 500.0), Channel("z", 500)))


def test_upper_air_variables_are_known_by_our_names_only():
    assert variable("z").unit == "m2 s-2" and Channel("q", 700.0).variable.standard_name == "specific_humidity"
    assert find_variable("t") is None and find_variable("2m_temperature").name == "t2m"


def test_every_published_name_is_one_of_our_variables():
    assert all(variable(name).name == name for name in GLOBAL_NAMES.values()) and len(GLOBAL_NAMES) == 11
