import pytest
import torch
from builders import small_grid

from rtma_diffda.backbones.limited_area.overwrite import overwrite_rim, rim_mask
from rtma_diffda.errors import InputError, UsageError


def test_the_rim_is_so_many_cells_wide_on_every_side():
    mask = rim_mask(small_grid(nx=7, ny=6), 2).reshape(6, 7)
    within = torch.zeros(6, 7, dtype=torch.bool)
    within[2:4, 2:5] = True
    assert torch.equal(mask, ~within)
    assert int(rim_mask(small_grid(nx=7, ny=7), 3).logical_not().sum()) == 1


def test_the_rim_takes_the_truth_and_the_rest_the_prediction():
    mask = rim_mask(small_grid(nx=5, ny=4), 1)
    prediction, truth = torch.rand(3, 20, 2), torch.rand(3, 20, 2)
    found = overwrite_rim(prediction, truth, mask)
    m = mask.float()[:, None]
    assert torch.equal(found, m * truth + (1 - m) * prediction)
    one = overwrite_rim(prediction, truth[:1], mask)
    assert torch.equal(one[2][mask], truth[0][mask])
    assert torch.equal(one[2][~mask], prediction[2][~mask])


def test_the_truth_within_need_not_be_known_and_gradients_stay_within():
    mask = rim_mask(small_grid(nx=5, ny=4), 1)
    prediction = torch.rand(1, 20, 2, requires_grad=True)
    truth = torch.where(mask[:, None], 1.0, torch.nan).expand(1, 20, 2)
    found = overwrite_rim(prediction, truth, mask)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.equal(prediction.grad[0, :, 0], (~mask).float())


def test_what_does_not_fit_is_refused():
    grid = small_grid(nx=5, ny=4)
    for cells in (0, 2, -1):
        with pytest.raises(UsageError, match=f"5 × 4 points.*found {cells}"):
            rim_mask(grid, cells)
    mask, fields = rim_mask(grid, 1), torch.rand(2, 20, 3)
    with pytest.raises(InputError, match=r"truth.*\(2, 20, 1\)"):
        overwrite_rim(fields, fields[..., :1], mask)
    with pytest.raises(InputError, match=r"mask.*\(19,\); expected bool \(20,\)"):
        overwrite_rim(fields, fields, mask[1:])
    with pytest.raises(InputError, match="expected bool"):
        overwrite_rim(fields, fields, mask.float())
