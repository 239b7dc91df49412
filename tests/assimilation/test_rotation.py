import pytest
import torch

from rtma_diffda.assimilation.rotation import possible_turns, turned
from rtma_diffda.errors import UsageError


def gradient(height: torch.Tensor) -> torch.Tensor:
    """(1, 2, y, x): slopes eastward and northward of (y, x)."""
    northward, eastward = torch.gradient(height)
    return torch.stack([eastward, northward])[None]


def test_eastern_side_comes_to_the_south():
    fields = torch.zeros(1, 1, 4, 4)
    fields[..., 2, 3] = 1.0  # a little north of the middle, in the east
    assert turned(fields, 1)[0, 0].nonzero().tolist() == [[0, 2]]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_slopes_of_the_turned_terrain_are_the_turned_slopes(turns):
    height = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    expected = gradient(turned(height[None, None], turns)[0, 0])
    torch.testing.assert_close(turned(gradient(height), turns, vectors=[(0, 1)]), expected)


def test_turning_keeps_the_sense_of_rotation():
    """The curl of a wind is the same before and after: a mirror image would change its sign."""
    wind = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1))

    def curl(values):
        return torch.gradient(values[0, 1], dim=1)[0] - torch.gradient(values[0, 0], dim=0)[0]

    torch.testing.assert_close(curl(turned(wind, 1, vectors=[(0, 1)])), turned(curl(wind)[None, None], 1)[0, 0])


def test_four_quarters_are_a_whole_and_axes_only_swap():
    fields = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(2))
    assert torch.equal(turned(turned(fields, 3, vectors=[(0, 2)]), 1, vectors=[(0, 2)]), fields)
    swapped = turned(fields, 1, axes=[(0, 2)])
    assert torch.equal(swapped[:, 0], torch.rot90(fields[:, 2], dims=(-2, -1)))
    assert torch.equal(swapped[:, 2], torch.rot90(fields[:, 0], dims=(-2, -1)))


def test_oblong_regions_turn_by_halves_only():
    assert possible_turns((4, 6)) == (0, 2)
    assert turned(torch.zeros(1, 1, 4, 6), 2).shape == (1, 1, 4, 6)
    with pytest.raises(UsageError, match="cannot be turned by 1"):
        turned(torch.zeros(1, 1, 4, 6), 1)
