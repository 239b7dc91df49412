"""Optimal interpolation on the globe has the closed form of a Gaussian; with the same B, diffusion draws from it."""

import numpy as np
import pytest
import torch
from sphere_world import NOON, SCALE, covariance, gaussian, layout, places, problem, rows_of_H, truth_of

from rtma_diffda.assimilation.sphere_conditioning import SphereKalman
from rtma_diffda.assimilation.sphere_gain import SphereSolving
from rtma_diffda.assimilation.sphere_optimal_interpolation import SphereOptimalInterpolation
from rtma_diffda.diffusion.paths import karras_path
from rtma_diffda.diffusion.sampling import Multistep, Sampler, levels_of, sample
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State

EXACT = SphereSolving(jitter=1e-12, dtype=torch.float64)
S3 = SCALE[:, None, None]


def analyse(method, case):
    return method.analyse(case, generator=torch.Generator().manual_seed(0))


def exact(B, case):
    """The posterior of r."""
    error_variance = case.observations.error_std.square()
    return gaussian(B).given(rows_of_H(case), case.observations.value, error_variance)


@pytest.mark.parametrize("kind", ["univariate", "modes", "coupled"])
@pytest.mark.parametrize("channels", [None, ("t2m",)])
def test_analysis_and_its_error_have_the_closed_form(kind, channels):
    B = covariance(kind)
    case = problem(truth_of(B), places(), channels=channels)
    found, posterior = analyse(SphereOptimalInterpolation(B, solving=EXACT), case), exact(B, case)
    torch.testing.assert_close(found.state.values[0] / S3, posterior.mean, rtol=0, atol=1e-7)
    torch.testing.assert_close(found.error_std / S3, posterior.std, rtol=0, atol=1e-6)


def test_a_surface_report_informs_the_air_above_where_modes_are_shared():
    B = covariance("modes")
    case = problem(truth_of(B), places(), channels=("t2m",))
    found = analyse(SphereOptimalInterpolation(B), case)
    assert found.diagnostics["z500_increment_rms"] > 1.0
    alone = analyse(SphereOptimalInterpolation(covariance("univariate")), case)
    assert alone.diagnostics["z500_increment_rms"] == 0.0


def test_members_keep_their_own_backgrounds():
    B = covariance("coupled")
    case = problem(truth_of(B), places(), members=2)
    shifted = case.background.with_values(case.background.values + torch.tensor([0.0, 5.0])[:, None, None, None])
    moved = analyse(SphereOptimalInterpolation(B, solving=EXACT), type(case)(**{**vars(case), "background": shifted}))
    first = analyse(SphereOptimalInterpolation(B, solving=EXACT), case)
    torch.testing.assert_close(moved.state.values[0], first.state.values[0], rtol=0, atol=1e-9)
    assert not torch.allclose(moved.state.values[1], moved.state.values[0])


def test_without_observations_the_background_and_its_error_stand():
    B = covariance("coupled")
    case = problem(truth_of(B), places())
    none = type(case)(**{**vars(case), "observations": case.observations.select(np.zeros(0, int))})
    found = analyse(SphereOptimalInterpolation(B), none)
    assert torch.equal(found.state.values, case.background.values)
    torch.testing.assert_close(found.error_std / S3, gaussian(B).std, rtol=1e-4, atol=1e-4)


def test_the_order_of_observations_does_not_matter():
    B = covariance("coupled")
    case = problem(truth_of(B), places())
    turned = type(case)(**{**vars(case), "observations": case.observations.select(np.arange(20, -1, -1))})
    first, second = (analyse(SphereOptimalInterpolation(B), part).state.values for part in (case, turned))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-2)


def test_the_error_is_left_out_where_it_is_not_wanted():
    B = covariance("univariate")
    assert (
        analyse(SphereOptimalInterpolation(B, with_error_std=False), problem(truth_of(B), places())).error_std is None
    )


def test_fields_of_another_layout_are_refused():
    B, lay = covariance("univariate"), layout()
    fewer = Layout(lay.grid, lay.channels[:2])
    state = State(torch.zeros(1, 2, 8, 16, dtype=torch.float64), fewer, NOON)
    case = problem(truth_of(B), places())
    with pytest.raises(InputError, match="B is of fields"):
        analyse(SphereOptimalInterpolation(B), type(case)(**{**vars(case), "background": state}))
    with pytest.raises(InputError, match="B is of fields"):
        SphereKalman(B)(type(case)(**{**vars(case), "background": state}), S3, members=1)


@pytest.mark.parametrize("kind", ["univariate", "coupled"])
@pytest.mark.parametrize("sigma", [0.05, 1.0, 80.0])
def test_conditioned_the_exact_denoiser_is_that_of_the_posterior(kind, sigma):
    """The network's part played by the closed form, with the same B."""
    B = covariance(kind)
    case = problem(truth_of(B), places())
    kalman = SphereKalman(B, EXACT)(case, S3, members=3)
    noisy = sigma * torch.randn(3, *B.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    context, levels = torch.zeros(3, 1, 8, 16), levels_of(sigma, noisy)
    found = kalman.denoise(gaussian(B), noisy, levels, context)
    torch.testing.assert_close(found, exact(B, case)(noisy, levels, context), rtol=0, atol=1e-6)


def test_sampling_draws_from_the_posterior_that_interpolation_states():
    B = covariance("coupled")
    case = problem(truth_of(B), places(), error=0.3)
    analysis = analyse(SphereOptimalInterpolation(B), case)
    members = 400
    drawn = sample(
        gaussian(B),
        SphereKalman(B)(case, S3, members=members),
        Sampler(karras_path(24, highest=80.0, lowest=0.02), Multistep(eta=1.0)),
        torch.zeros(members, 1, 8, 16),
        channels=3,
        generator=torch.Generator().manual_seed(2),
    )
    mean, std = analysis.state.values[0] / S3, analysis.error_std / S3
    off = (drawn.mean(dim=0) - mean).square().mean().sqrt()
    assert float(off) < 2.0 * float((std.square() / members).mean().sqrt())
    assert 0.92 < float((drawn.std(dim=0) / std).mean()) < 1.05
