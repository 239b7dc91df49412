import numpy as np
import pytest
import torch
from builders import NOON, random_state, small_grid

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.convert import dataset_to_state, state_to_dataset
from rtma_diffda.fields.layout import Channel, Layout
from rtma_diffda.fields.normalisation import Normalisation
from rtma_diffda.fields.state import State

LAYOUT = Layout.of(small_grid(), ["t2m", "u10m", "sp"])


def test_layout_knows_its_channels():
    assert LAYOUT.names == ("t2m", "u10m", "sp")
    assert LAYOUT.shape == (3, 10, 12)
    assert LAYOUT.index("sp") == 2
    with pytest.raises(UsageError, match="not 'v10m'"):
        LAYOUT.index("v10m")
    with pytest.raises(UsageError, match="unknown variable 'x'"):
        Layout.of(small_grid(), ["x"])
    with pytest.raises(UsageError, match="repeat"):
        Layout(small_grid(), (Channel("t2m"), Channel("t2m")))


def test_state_refuses_another_shape():
    with pytest.raises(InputError, match=r"\(2, 10, 12\).*\(3, 10, 12\)"):
        State(torch.zeros(2, 10, 12), LAYOUT, NOON)


def test_state_names_the_variable_that_is_not_finite():
    state = random_state(LAYOUT)
    state.values[0, 1, 2, 3] = torch.nan
    with pytest.raises(InputError, match=r"background.*u10m \(1 values\)"):
        state.require_finite("background")


def test_mean_of_members():
    state = random_state(LAYOUT, members=4)
    assert torch.equal(state.mean().values[0], state.values.mean(dim=0))
    assert state.mean().members == 1


def test_normalisation_inverts_and_matches_by_name():
    state = random_state(LAYOUT, members=3)
    scaled = state.values * torch.tensor([2.0, 3.0, 4.0])[:, None, None] + 7.0
    fitted = Normalisation.fit(scaled, LAYOUT)
    standard = fitted.standardise(scaled, LAYOUT)
    assert torch.allclose(standard.mean(dim=(0, 2, 3)), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(standard.std(dim=(0, 2, 3)), torch.ones(3, dtype=torch.float64))
    assert torch.allclose(fitted.restore(standard, LAYOUT), scaled)
    turned = Layout.of(small_grid(), ["sp", "t2m"])
    picked = fitted.standardise(scaled[:, [2, 0]], turned)
    assert torch.allclose(picked, standard[:, [2, 0]])


def test_normalisation_refuses_what_it_lacks():
    statistics = Normalisation.from_mapping({"t2m": (280.0, 2.0)})
    with pytest.raises(UsageError, match="no statistics for"):
        statistics.standardise(random_state(LAYOUT).values, LAYOUT)
    with pytest.raises(UsageError, match="positive"):
        Normalisation.from_mapping({"t2m": (280.0, 0.0)})


def test_xarray_round_trip_is_the_identity():
    state = random_state(LAYOUT, members=2, dtype=torch.float32)
    again = dataset_to_state(state_to_dataset(state), LAYOUT)
    assert torch.equal(again.values, state.values)
    assert again.valid_time == state.valid_time


def test_a_dataset_on_another_grid_is_refused():
    dataset = state_to_dataset(random_state(LAYOUT))
    other = Layout.of(small_grid(nx=11), LAYOUT.names)
    with pytest.raises(InputError, match="another grid: its x axis has 12 points, expected 11"):
        dataset_to_state(dataset, other)
    with pytest.raises(InputError, match="lacks"):
        dataset_to_state(dataset.drop_vars("sp"), LAYOUT)
    with pytest.raises(InputError, match="time"):
        dataset_to_state(dataset.drop_vars("time"), LAYOUT)


def test_boundary_states_are_ordered():
    early, late = random_state(LAYOUT), State(torch.zeros(1, 3, 10, 12), LAYOUT, NOON + np.timedelta64(6, "h"))
    assert Boundary((early, late), NOON, "gfs").states[1] is late
    with pytest.raises(InputError, match="ordered"):
        Boundary((late, early), NOON, "gfs")
