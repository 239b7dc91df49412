"""Surface pressure and dew point of a state of the globe, against the standard atmosphere and by hand."""

import numpy as np
import pytest
import torch
from global_world import FIRST, small_globe, small_history, small_static

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_layout import global_layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.height import pressure_ratio
from rtma_diffda.io.moisture import dew_point_from_specific_humidity, specific_humidity
from rtma_diffda.io.near_surface import at_pressure, near_surface, surface_pressure


def test_the_standard_atmosphere_has_its_own_surface_pressure():
    height = np.array([0.0, 500.0, 3000.0])
    found = surface_pressure(np.full(3, 101325.0), 288.15 - 0.0065 * height, height)
    assert found == pytest.approx(101325.0 * pressure_ratio(0.0, height), rel=1e-6)
    assert found == pytest.approx([101325.0, 95461.0, 70109.0], rel=5e-4)


def test_places_below_sea_level_have_more():
    assert surface_pressure(np.array(101325.0), np.array(300.0), np.array(-400.0)) > 101325.0


def test_between_levels_values_are_linear_in_the_logarithm():
    values = np.arange(3.0)[:, None, None] * np.ones((3, 1, 5))
    pressure = np.array([[100.0, 200.0, np.sqrt(200.0 * 800.0), 800.0, 1000.0]])
    assert at_pressure(values, (200.0, 800.0, 900.0), pressure)[0] == pytest.approx([0.0, 0.0, 0.5, 1.0, 2.0])
    assert at_pressure(values[:1], (850.0,), pressure)[0].tolist() == [0.0] * 5


def moist_state():
    keys = [
        ("2m_temperature", None),
        ("mean_sea_level_pressure", None),
        ("specific_humidity", 850),
        ("specific_humidity", 1000),
    ]
    layout = global_layout(keys, small_globe(4, 8))
    values = torch.tensor([280.0, 101325.0, 4e-3, 6e-3]).view(1, 4, 1, 1).expand(1, 4, 4, 8).clone()
    values[0, 0, 0] = 270.0  # colder than this humidity allows
    return State(values, layout, FIRST)


def test_dew_point_is_that_of_the_humidity_at_the_surface():
    flat = np.zeros((4, 8))
    (fields,) = near_surface(moist_state(), ("d2m", "sp"), flat, "test")
    assert fields["sp"].values == pytest.approx(101325.0)
    assert fields["d2m"].values[1:] == pytest.approx(float(dew_point_from_specific_humidity(6e-3, 101325.0)))
    assert fields["d2m"].values[0] == pytest.approx(270.0)
    raised = near_surface(moist_state(), ("d2m", "sp"), flat + 700.0, "test")[0]
    pressure = raised["sp"].values[1, 0]
    share = np.log(pressure / 85000.0) / np.log(100000.0 / 85000.0)
    expected = float(dew_point_from_specific_humidity(4e-3 + share * 2e-3, pressure))
    assert 92000.0 < pressure < 94000.0 and raised["d2m"].values[1] == pytest.approx(expected)


def test_other_variables_follow_as_from_files():
    state = small_history(members=2)[0]
    members = near_surface(state, ("ws10m", "q2m", "t2m"), small_static().orography, "test")
    assert len(members) == 2
    u, v = (state.channel(name)[1].double().numpy() for name in ("u10m", "v10m"))
    assert members[1]["ws10m"].values == pytest.approx(np.hypot(u, v))
    assert np.array_equal(members[1]["t2m"].values, state.channel("t2m")[1].double().numpy())
    assert members[0]["q2m"].values == pytest.approx(
        specific_humidity(members[0]["d2m"].values, members[0]["sp"].values)
    )


def test_what_does_not_follow_is_named():
    with pytest.raises(InputError, match="test at 2016-03-01T00:00Z lacks vis, u10m"):
        near_surface(moist_state(), ("vis", "u10m", "t2m"), np.zeros((4, 8)), "test")
    with pytest.raises(InputError, match=r"lacks d2m, sp, .* without terrain"):
        near_surface(moist_state(), ("d2m", "sp"), None, "test")
