import numpy as np
import pytest

from rtma_diffda.backbones.graphcast.task import TASKS
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.global_layout import global_grid, global_layout, key_label, keys_of
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.geo.grid import LatLonGrid


def test_keys_and_layouts_are_each_others_inverse():
    grid = global_grid([-60.0, 0.0, 60.0], [0.0, 90.0, 180.0, 270.0])
    for task in TASKS.values():
        assert keys_of(global_layout(task.prognostic, grid)) == task.prognostic


def test_channels_are_called_by_short_name_and_level():
    grid = global_grid([-60.0, 0.0, 60.0], [0.0, 90.0, 180.0, 270.0])
    layout = global_layout([("geopotential", 500), ("2m_temperature", None), ("specific_humidity", 850.0)], grid)
    assert layout.names == ("z500", "t2m", "q850")
    assert key_label(("geopotential", 500)) == "geopotential at 500 hPa"


def test_what_is_no_channel_of_a_global_state_is_named():
    grid = global_grid([-60.0, 0.0, 60.0], [0.0, 90.0, 180.0, 270.0])
    with pytest.raises(UsageError, match="no soil_wetness"):
        global_layout([("soil_wetness", None)], grid)
    with pytest.raises(UsageError, match="d2m are no channels of global states"):
        keys_of(Layout(grid, (Channel("d2m"),)))


@pytest.mark.parametrize("poles", [True, False])
def test_single_precision_coordinates_make_the_same_grid(poles):
    rows = np.linspace(-90, 90, 13) if poles else -90.0 + (np.arange(30) + 0.5) * 6.0
    columns = np.arange(36) * 10.0 + 0.0
    exact = LatLonGrid(rows, columns, periodic=True)
    assert global_grid((rows + 3e-6).astype(np.float32), columns.astype(np.float32)) == exact


def test_gaussian_rows_stay_where_they_are():
    rows = np.array([-65.8, -21.9, 21.9, 65.8])
    assert np.array_equal(global_grid(rows, np.arange(8) * 45.0).latitudes, rows)


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        ([-45.0, 45.0], [-180.0, -90.0, 0.0, 90.0], "from 0 around the globe"),
        ([-45.0, 45.0], [0.0, 90.0, 180.0, 300.0], "equal steps"),
        ([-95.0, 45.0], [0.0, 90.0, 180.0, 270.0], "expected −90"),
    ],
)
def test_grids_that_do_not_go_around_the_globe_are_refused(rows, columns, words):
    with pytest.raises(InputError, match=words):
        global_grid(rows, columns)
