"""Variance-preserving schedules as noise levels: DiffDA's published figures, and both conventions side by side."""

import math

import pytest
import torch

from rtma_diffda.diffusion.schedules import cosine_betas, linear_betas, noise_levels, signal_share
from rtma_diffda.errors import UsageError


def test_diffdas_thousand_steps_are_exactly_its_levels():
    kept, expected = 1.0, []
    for step in range(1000):
        kept *= 1.0 - (1e-4 + step * (2e-2 - 1e-4) / 999)
        expected.append(math.sqrt((1.0 - kept) / kept))
    assert noise_levels(linear_betas()).tolist() == pytest.approx(expected, rel=1e-11)


def test_the_published_shares_of_diffda():
    share = signal_share(noise_levels(linear_betas())).square()
    assert float(share[999]) == pytest.approx(4.04e-5, rel=2e-3)
    assert float(share[897]) == pytest.approx(2.85e-4, rel=2e-3)
    assert float(share[0]) == pytest.approx(0.9999, rel=1e-12)


def test_cosine_levels_are_the_tangent_of_its_angle():
    """ᾱ_t = cos²(θ_t) / cos²(θ_0), up to where β is cut at 0.999."""
    levels, start = noise_levels(cosine_betas(50)), math.cos(0.008 / 1.008 * math.pi / 2.0) ** 2
    for t in (1, 10, 25, 49):
        kept = math.cos((t / 50 + 0.008) / 1.008 * math.pi / 2.0) ** 2 / start
        assert float(levels[t - 1]) == pytest.approx(math.sqrt((1.0 - kept) / kept), rel=1e-10)
    assert float(cosine_betas(50)[-1]) == 0.999
    assert math.isfinite(float(levels[-1]))


def test_a_share_of_our_state_is_the_variance_preserving_one():
    """√ᾱ (r + σ ε) = √ᾱ r + √(1 − ᾱ) ε."""
    betas = linear_betas(20, 0.01, 0.3)
    kept, levels = torch.cumprod(1.0 - betas, dim=0), noise_levels(betas)
    torch.testing.assert_close(signal_share(levels), kept.sqrt())
    torch.testing.assert_close(signal_share(levels) * levels, (1.0 - kept).sqrt())


@pytest.mark.parametrize("wrong", [(0, 0.1, 0.2), (5, 0.0, 0.2), (5, 0.3, 0.2), (5, 0.1, 1.0), (5, math.nan, 0.2)])
def test_refuses_what_is_no_schedule(wrong):
    with pytest.raises(UsageError, match="linear schedule needs"):
        linear_betas(*wrong)
    with pytest.raises(UsageError, match="cosine schedule needs"):
        cosine_betas(0)
