import torch
from builders import random_state, small_grid

from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.limits import within_limits

LAYOUT = Layout.of(small_grid(), ["d2m", "t2m", "tcc", "vis"])


def sound_state():
    state = random_state(LAYOUT)
    values = torch.stack([torch.full_like(state.values[:, 0], value) for value in (280.0, 285.0, 0.5, 9000.0)], dim=1)
    return state.with_values(values)


def test_a_sound_state_is_returned_as_it_is():
    state = sound_state()
    limited, moved = within_limits(state)
    assert limited is state and moved == {}


def test_values_are_moved_to_their_limits_and_counted():
    state = sound_state()
    state.values[0, 0, 2, 3] = 286.5
    state.values[0, 2, 0, :2] = torch.tensor([-0.1, 1.2])
    state.values[0, 3, 1, 1] = torch.nan
    limited, moved = within_limits(state)
    assert moved == {"d2m": 1, "tcc": 2}
    assert limited.values[0, 0, 2, 3] == 285.0 and limited.values[0, 2, 0, :2].tolist() == [0.0, 1.0]
    assert limited.values[0, 3, 1, 1].isnan() and state.values[0, 0, 2, 3] == 286.5
