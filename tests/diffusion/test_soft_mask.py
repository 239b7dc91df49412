import math

import pytest
import torch

from rtma_diffda.diffusion.conditioning.soft_mask import NEWER, OLDER, Bumps, ObservedCells, soft_mask
from rtma_diffda.errors import InputError, UsageError

GENERATIONS = pytest.mark.parametrize("generation", [NEWER, OLDER], ids=["newer", "older"])
DIFFDA_LATITUDES = torch.linspace(-90.0, 90.0, 721, dtype=torch.float64)


def cells(*rows_and_columns: tuple[int, int], channel: int = 0) -> ObservedCells:
    row, column = torch.tensor(rows_and_columns).T
    return ObservedCells(torch.full_like(row, channel), row, column)


def point_by_point(observed: ObservedCells, shape, bumps: Bumps, latitude=None, periodic=False) -> torch.Tensor:
    """The equation of the module, one grid point and one datum at a time."""
    mask, reach = torch.zeros(shape), int(bumps.generation.reach * bumps.kernel_std) + 1
    for channel, row, column in zip(*(axis.tolist() for axis in vars(observed).values()), strict=True):
        for i in range(shape[1]):
            zeta = 1.0
            if latitude is not None and bumps.generation.zonal_scaling:
                zeta = math.cos(math.radians(float(latitude[i]))) + 0.05
            for j in range(shape[2]):
                across = abs(j - column)
                across = min(across, shape[2] - across) if periodic else across
                if abs(i - row) <= reach and across <= reach:
                    bump = math.exp(-((i - row) ** 2 + (zeta * across) ** 2) / (2 * bumps.kernel_std**2))
                    mask[channel, i, j] = max(float(mask[channel, i, j]), bump)
    return mask


@GENERATIONS
@pytest.mark.parametrize("kernel_std", [0.4, 1.5, 2.5])
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("latitude", [None, torch.linspace(-88.0, 86.0, 21)], ids=["plane", "globe"])
def test_equals_the_equation_point_by_point(generation, kernel_std, periodic, latitude):
    draw = torch.Generator().manual_seed(3)
    channel, row, column = (torch.randint(n, (12,), generator=draw) for n in (2, 21, 24))
    observed, bumps = ObservedCells(channel, row, column), Bumps(kernel_std, generation)
    mask = soft_mask(observed, (2, 21, 24), bumps, latitude=latitude, periodic=periodic)
    torch.testing.assert_close(mask, point_by_point(observed, (2, 21, 24), bumps, latitude, periodic))


@GENERATIONS
def test_is_one_exactly_where_observed_and_less_elsewhere(generation):
    observed = cells((3, 4), (3, 5), (11, 0), (11, 0), (15, 19))
    mask = soft_mask(observed, (1, 16, 20), Bumps(1.5, generation))[0]
    assert bool((mask[observed.row, observed.column] == 1.0).all())
    assert int((mask == 1.0).sum()) == 4


def test_is_symmetric_in_longitude_at_the_equator():
    mask = soft_mask(cells((20, 30)), (1, 41, 61), Bumps(1.5), latitude=torch.linspace(-5.0, 5.0, 41))[0]
    assert torch.equal(mask, mask.flip(1))
    assert float(mask[20, 30 + 7]) > 0.0
    assert float(mask[20, 30 + 8]) == 0.0


def test_bumps_are_wider_near_the_poles_in_the_newer_form_only():
    def at_latitude(degrees: float, generation) -> float:
        latitude = torch.full((15,), degrees)
        return float(soft_mask(cells((7, 10)), (1, 15, 21), Bumps(1.5, generation), latitude=latitude)[0, 7, 13])

    assert at_latitude(0.0, OLDER) == at_latitude(80.0, OLDER) == pytest.approx(math.exp(-2.0))
    assert at_latitude(0.0, NEWER) == pytest.approx(math.exp(-2.0 * 1.05**2))
    assert at_latitude(80.0, NEWER) == pytest.approx(math.exp(-2.0 * (math.cos(math.radians(80.0)) + 0.05) ** 2))


def test_wraps_round_the_globe_when_told_to():
    observed, turned = cells((10, 0), (4, 38)), cells((10, 20), (4, 18))
    wrapped = soft_mask(observed, (1, 21, 40), Bumps(1.5), periodic=True)
    assert torch.equal(wrapped.roll(20, dims=2), soft_mask(turned, (1, 21, 40), Bumps(1.5), periodic=True))
    assert float(wrapped[0, 10, 39]) == pytest.approx(math.exp(-1 / 4.5))
    assert float(soft_mask(cells((10, 0)), (1, 21, 40), Bumps(1.5))[0, 10, 39]) == 0.0  # the release's seam


def test_no_width_is_a_hard_mask():
    mask = soft_mask(cells((3, 4), (0, 0)), (1, 6, 7), Bumps(0.0))
    assert sorted(map(tuple, mask.nonzero().tolist())) == [(0, 0, 0), (0, 3, 4)]
    assert float(mask.sum()) == 2.0


def test_channels_have_the_bumps_of_their_own_data():
    observed = ObservedCells(torch.tensor([0, 2]), torch.tensor([5, 9]), torch.tensor([5, 2]))
    mask = soft_mask(observed, (3, 12, 12), Bumps(1.0))
    assert torch.equal(mask[0], soft_mask(cells((5, 5)), (1, 12, 12), Bumps(1.0))[0])
    assert torch.equal(mask[2], soft_mask(cells((9, 2)), (1, 12, 12), Bumps(1.0))[0])
    assert float(mask[1].abs().max()) == 0.0


def test_without_data_nothing_is_known():
    nothing = torch.zeros(0, dtype=torch.int64)
    assert not bool(soft_mask(ObservedCells(nothing, nothing, nothing), (2, 5, 5), Bumps()).any())


@pytest.mark.parametrize(
    ("generation", "kernel_std", "count", "expected"),
    [
        (NEWER, 0.5, 1000, 0.002),
        (NEWER, 1.5, 1000, 0.018),
        (NEWER, 2.5, 1000, 0.047),
        (NEWER, 0.5, 10_000, 0.020),
        (NEWER, 1.5, 10_000, 0.150),
        (NEWER, 0.5, 40_000, 0.076),
        (NEWER, 1.5, 40_000, 0.407),
        (OLDER, 1.5, 1000, 0.013),
        (OLDER, 1.5, 10_000, 0.120),
        (OLDER, 1.5, 40_000, 0.352),
    ],
)
def test_area_that_the_observations_really_occupy(generation, kernel_std, count, expected):
    """``diffda.md`` §4.2: uniform draws of row and column on the 0.25° grid, mean over the sphere."""
    draw = torch.Generator().manual_seed(count)
    row, column = (torch.randint(n, (count,), generator=draw) for n in (721, 1440))
    observed = ObservedCells(torch.zeros_like(row), row, column)
    mask = soft_mask(observed, (1, 721, 1440), Bumps(kernel_std, generation), latitude=DIFFDA_LATITUDES)[0]
    area = torch.cos(torch.deg2rad(DIFFDA_LATITUDES)).clamp_min(0.0)
    found = float((mask.double().mean(dim=1) * area).sum() / area.sum())
    assert found == pytest.approx(expected, abs=0.001, rel=0.02)


def test_refuses_what_is_not_on_the_grid():
    with pytest.raises(InputError, match="outside"):
        soft_mask(cells((3, 7)), (1, 6, 7), Bumps())
    with pytest.raises(InputError, match="latitudes"):
        soft_mask(cells((3, 6)), (1, 6, 7), Bumps(), latitude=torch.zeros(7))
    with pytest.raises(UsageError, match="kernel_std"):
        Bumps(-1.0)
