"""Training noise levels follow the laws that they are named after."""

import math

import pytest
import torch

from rtma_diffda.diffusion.noise_distributions import LogNormal, LogUniform, OfSchedule
from rtma_diffda.diffusion.schedules import linear_betas, noise_levels
from rtma_diffda.errors import UsageError

SCHEDULE = OfSchedule(noise_levels(linear_betas(20)))
ALL = pytest.mark.parametrize("law", [LogNormal(), LogUniform(), SCHEDULE], ids=["normal", "uniform", "schedule"])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_log_normal_has_its_moments():
    logarithms = LogNormal(mean=-0.5, std=1.5).draw(40_000, generator=generator()).log()
    assert float(logarithms.mean()) == pytest.approx(-0.5, abs=4 * 1.5 / 200)
    assert float(logarithms.std()) == pytest.approx(1.5, rel=0.02)


def test_log_uniform_draws_once_in_every_part():
    levels = LogUniform(0.01, 100.0).draw(64, generator=generator())
    parts = (64 * (levels / 0.01).log() / math.log(1e4)).floor().long()
    assert sorted(parts.tolist()) == list(range(64))
    assert parts.tolist() != sorted(parts.tolist())  # in no order, or members of a batch would always be alike


def test_a_schedules_levels_are_equally_likely():
    drawn = SCHEDULE.draw(20_000, generator=generator())
    values, counts = drawn.unique(return_counts=True)
    assert torch.equal(values, SCHEDULE.levels.float())
    assert float((counts / 1000.0 - 1.0).abs().max()) < 0.13  # four standard errors


@ALL
def test_the_same_generator_gives_the_same_bits(law):
    first, again, other = (law.draw(9, generator=generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert bool((first > 0).all() and first.isfinite().all())


@pytest.mark.parametrize("ends", [(0.0, 1.0), (2.0, 1.0), (1.0, 1.0), (1.0, math.inf), (math.nan, 1.0)])
def test_refuses_levels_that_are_none(ends):
    with pytest.raises(UsageError, match="0 < lowest < highest"):
        LogUniform(*ends)
