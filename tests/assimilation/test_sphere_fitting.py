"""What is fitted to errors of a known covariance is that covariance, as far as analyses can tell."""

import math

import numpy as np
import pytest
import torch
from sphere_world import SCALE, covariance, dense, gaussian, globe, places, problem, rows_of_H, truth_of

from rtma_diffda.assimilation.sphere_fitting import fit_sphere_covariance
from rtma_diffda.assimilation.sphere_mixtures import SphereFitting, negative_log_likelihood
from rtma_diffda.errors import InputError, UsageError

ONE = SphereFitting(coupled=0, functions=("soar",), lengths=(1.2e6, 2e6, 4e6), shares=(1.0,))


def errors(kind: str, count: int = 300, seed: int = 7) -> torch.Tensor:
    return SCALE[:, None, None] * gaussian(covariance(kind)).draw(count, generator=torch.Generator().manual_seed(seed))


def expected_error(B_used: torch.Tensor, kind: str) -> float:
    """Mean square over the grid of r − analysis with ``B_used``, of errors whose covariance is known."""
    truth = covariance(kind)
    case = problem(truth_of(truth), places(12))
    H, R = rows_of_H(case), case.observations.error_std.square()
    K = B_used @ H.T @ torch.linalg.inv(H @ B_used @ H.T + torch.diag(R))
    A = torch.eye(len(B_used), dtype=torch.float64) - K @ H
    return float((A @ dense(truth) @ A.T + (K * R) @ K.T).diagonal().mean())


def test_structures_find_their_lengths_and_variances():
    found = fit_sphere_covariance(errors("univariate"), globe(), SCALE, SphereFitting(**{**vars(ONE), "modes": False}))
    assert found.univariate
    B, expected = dense(found), dense(covariance("univariate"))
    assert float((B - expected).abs().max()) < 0.25 * float(expected.max())
    assert expected_error(B, "univariate") < 1.03 * expected_error(expected, "univariate")


@pytest.mark.parametrize(("kind", "limit"), [("univariate", 1.10), ("modes", 1.10), ("coupled", 1.15)])
def test_analyses_with_what_was_fitted_are_nearly_as_good_as_with_the_truth(kind, limit):
    found = fit_sphere_covariance(errors(kind), globe(), SCALE, SphereFitting(coupled=3, waves=6))
    best = expected_error(dense(covariance(kind)), kind)
    assert expected_error(dense(found), kind) < limit * best


def test_coupling_pays_where_modes_are_coupled():
    apart = fit_sphere_covariance(errors("coupled"), globe(), SCALE, SphereFitting(coupled=0))
    coupled = fit_sphere_covariance(errors("coupled"), globe(), SCALE, SphereFitting(coupled=3, waves=6))
    assert coupled.joined == 3 and apart.joined == 0
    assert expected_error(dense(coupled), "coupled") < 0.97 * expected_error(dense(apart), "coupled")


@pytest.mark.parametrize("count", [6, 300])
def test_the_share_that_is_chosen_is_among_the_best(count):
    """By held-out likelihood, with few errors and with many; the sample alone costs a tenth with few."""
    tried = {"modes": False, "coupled": 0, "localisations": (math.inf,)}
    costs = [
        expected_error(
            dense(fit_sphere_covariance(errors("univariate", count), globe(), SCALE, settings)), "univariate"
        )
        for settings in (
            SphereFitting(shares=shares, **tried) for shares in ((0.02, 0.3, 1.0), (0.02,), (0.3,), (1.0,))
        )
    ]
    assert costs[0] < 1.03 * min(costs[1:])
    if count == 6:
        assert costs[0] < 0.9 * costs[1]


def test_errors_may_come_one_by_one():
    given, settings = errors("coupled", 70), SphereFitting(coupled=2, waves=4, shares=(0.1, 0.5))
    whole = fit_sphere_covariance(given, globe(), SCALE, settings)
    one_by_one = fit_sphere_covariance([*given.float()], globe(), SCALE, settings)
    torch.testing.assert_close(dense(whole), dense(one_by_one), rtol=0, atol=1e-4)


def test_the_likelihood_is_that_of_the_dense_gaussian():
    """Up to one constant, of the fields of one mode."""
    grid = globe(4, 6)
    B = covariance("univariate", grid)
    r = torch.randn(1, 3, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spectra = torch.fft.rfft(r[0], dim=-1).permute(0, 2, 1)
    sample = (spectra[..., :, None] * spectra.conj()[..., None, :]).real / 6
    other = 1.7 * B.spectrum
    found = negative_log_likelihood(B.spectrum, sample, 6) - negative_log_likelihood(other, sample, 6)
    for q in range(3):
        C = dense(B).view(3, 24, 3, 24)[q, :, q]
        x = r[0, q].flatten()
        expected = -24 * math.log(1.7) + x @ torch.linalg.solve(C, x) * (1 - 1 / 1.7)
        assert float(found[q]) == pytest.approx(float(expected), rel=1e-8)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(InputError, match="four errors"):
        fit_sphere_covariance(errors("modes", 3), globe(), SCALE)
    with pytest.raises(InputError, match="none"):
        fit_sphere_covariance([], globe(), SCALE)
    with pytest.raises(InputError, match="cannot serve a fit"):
        fit_sphere_covariance(torch.zeros(9, 3, 8, 15), globe(), SCALE)
    with pytest.raises(InputError, match="not finite"):
        fit_sphere_covariance(torch.full((9, 3, 8, 16), np.nan), globe(), SCALE)
    with pytest.raises(UsageError, match="something to try"):
        SphereFitting(shares=())
    with pytest.raises(UsageError, match="0 … 1"):
        SphereFitting(shares=(1.2,))
