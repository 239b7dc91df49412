import numpy as np
import pytest
import torch
from global_world import FIRST, SIX_HOURS, small_globe

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_layout import global_layout
from rtma_diffda.fields.global_windows import GlobalWindows


def batch():
    layout = global_layout([("2m_temperature", None), ("geopotential", 500)], small_globe(4, 8))
    values = torch.arange(5 * 3, dtype=torch.float32).view(5, 3, 1, 1, 1).expand(5, 3, *layout.shape)
    return GlobalWindows(values, FIRST + np.arange(15).reshape(5, 3) * SIX_HOURS, layout)


@pytest.mark.parametrize("members", [np.array([3, 0]), torch.tensor([3, 0]), [3, 0]])
def test_members_are_chosen_with_their_times(members):
    chosen = batch().select(members)
    assert len(chosen) == 2
    assert chosen.values[:, :, 0, 0, 0].tolist() == [[9, 10, 11], [0, 1, 2]]
    assert np.array_equal(chosen.valid_times, batch().valid_times[[3, 0]])


def test_a_slice_chooses_members():
    assert batch().select(slice(1, 3)).values[:, 0, 0, 0, 0].tolist() == [3, 6]


def test_it_moves_to_a_device():
    assert batch().to("meta").values.device.type == "meta"


def test_shapes_must_fit():
    whole = batch()
    with pytest.raises(InputError, match="windows have shape"):
        GlobalWindows(whole.values, whole.valid_times[:, :2], whole.layout)
