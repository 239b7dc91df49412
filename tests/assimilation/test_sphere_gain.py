"""The gain on the sphere is that of dense linear algebra, for columns in full and in part, and sound at the edges."""

import math

import numpy as np
import pytest
import torch
from sphere_world import SCALE, covariance, dense, gaussian, globe, layout, places, problem, rows_of_H, truth_of

from rtma_diffda.assimilation.sphere_conditioning import SphereKalman
from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.assimilation.sphere_data import SphereData
from rtma_diffda.assimilation.sphere_gain import SphereGain, SphereSolving
from rtma_diffda.assimilation.sphere_structure import SphereStructure
from rtma_diffda.diffusion.conditioning.dense_gain import DenseGain
from rtma_diffda.diffusion.conditioning.evidence import Evidence, evidence_of
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.observations.columns import ColumnPlaces, drawn_by_index

EXACT = SphereSolving(jitter=1e-12, dtype=torch.float64)
KINDS = ("univariate", "modes", "coupled")
S3 = SCALE[:, None, None]


def seen(kind: str, *, channels: tuple[str, ...] | None = None, at: ColumnPlaces | None = None, error: float = 0.1):
    B = covariance(kind)
    case = problem(truth_of(B), at or places(), channels=channels, error=error)
    return B, case, evidence_of(case, S3, members=2)


def fields(seed: int = 1) -> torch.Tensor:
    return torch.randn(2, 3, 8, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [None, ("t2m",), ("z500", "t2m")])
@pytest.mark.parametrize("sigma", [0.1, 2.0])
def test_the_gain_is_the_dense_one(kind, channels, sigma):
    B, _, evidence = seen(kind, channels=channels)
    d = evidence.departures(fields())
    expected = DenseGain(dense(B), evidence)(d, sigma, fields())
    torch.testing.assert_close(SphereGain(B, evidence, EXACT)(d, sigma, fields()), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [None, ("z500", "t2m")])
def test_the_explained_variance_is_the_dense_one(kind, channels):
    B, case, evidence = seen(kind, channels=channels)
    posterior = gaussian(B).given(rows_of_H(case), torch.zeros(len(evidence)), evidence.error_std.square())
    expected = (dense(B) - posterior.covariance).diagonal().view(B.shape)
    found = SphereGain(B, evidence, EXACT).system(math.inf).explained()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


def test_columns_at_grid_points_look_at_one_point_each():
    grid = globe()
    at = drawn_by_index(grid, 9, generator=torch.Generator().manual_seed(2))
    B, _, evidence = seen("coupled", at=at)
    data = SphereData.of(evidence.stencil, evidence.error_std, 3)
    assert data.points.shape == (len(at.distinct()), 1) and data.complete
    d = evidence.departures(fields())
    expected = DenseGain(dense(B), evidence)(d, 0.7, fields())
    torch.testing.assert_close(SphereGain(B, evidence, EXACT)(d, 0.7, fields()), expected, rtol=0, atol=1e-7)


def test_a_column_seen_twice_counts_as_its_two_data_do():
    at = places(5)
    twice = ColumnPlaces(np.r_[at.latitude, at.latitude[2]], np.r_[at.longitude, at.longitude[2] + 360.0])
    B, _, evidence = seen("modes", at=twice)
    data = SphereData.of(evidence.stencil, evidence.error_std, 3)
    assert len(data) == 5 and sorted(data.error_variance[:, 0].tolist()) == pytest.approx([0.005] + 4 * [0.01])
    d = evidence.departures(fields())
    d[:, 2] += 3.0  # of the two, one says something else
    expected = DenseGain(dense(B), evidence)(d, 1.0, fields())
    torch.testing.assert_close(SphereGain(B, evidence, EXACT)(d, 1.0, fields()), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("count", [1, 40, 3000])
@pytest.mark.parametrize("sigma", [0.002, 1.0, 80.0])
def test_nearly_perfect_columns_are_fitted_in_single_precision(count, sigma):
    """Any number of them, drawn with replacement; 3,000 are more than there are points."""
    grid = globe(16, 32)
    spectrum = torch.stack([SphereStructure("gaussian", 1.5e6).spectrum(grid)] * 3)
    B = SphereCovariance(spectrum, torch.eye(3).double(), SCALE, grid.nx)
    white = torch.randn(1, 3, 16, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth = B.conditional(math.inf, dtype=torch.float64).apply(white.transpose(0, 1))
    case = problem(
        State(S3 * smooth.transpose(0, 1) / smooth.std(), layout(grid), np.datetime64("2020-03-01T12:00", "ns")),
        drawn_by_index(grid, count, generator=torch.Generator().manual_seed(4)),
        error=1e-3,
    )
    evidence = evidence_of(case, S3, members=2)
    at = torch.zeros(2, 3, 16, 32)
    found = SphereGain(B, evidence)(evidence.departures(at), sigma, at)
    assert bool(torch.isfinite(found).all())
    left = evidence.departures(found) / SCALE[evidence.stencil.channel]
    size = evidence.departures(at) / SCALE[evidence.stencil.channel]
    limit = 0.5 if sigma < 0.01 else 0.02
    assert float(left.square().mean().sqrt()) < limit * float(size.square().mean().sqrt())


def test_where_places_are_many_fewer_modes_are_coupled():
    B, _, evidence = seen("coupled")
    d = evidence.departures(fields())
    narrow = SphereGain(B, evidence, SphereSolving(most_rows=7, jitter=1e-12, dtype=torch.float64))
    apart = SphereGain(B.with_coupled(0), evidence, EXACT)
    one = SphereGain(B.with_coupled(1), evidence, EXACT)
    found = narrow(d, 1.0, fields())
    torch.testing.assert_close(found, one(d, 1.0, fields()), rtol=0, atol=1e-9)
    torch.testing.assert_close(found, apart(d, 1.0, fields()), rtol=0, atol=1e-9)  # one alone is coupled to none
    assert not torch.allclose(found, SphereGain(B, evidence, EXACT)(d, 1.0, fields()), atol=1e-3)


def test_without_observations_nothing_moves():
    B, _, evidence = seen("coupled")
    none = Evidence(evidence.equivalents, torch.zeros(0), torch.ones(0), evidence.stencil)
    assert not SphereGain(B, none)(torch.zeros(2, 0), 1.0, fields()).any()


def test_what_does_not_fit_is_refused(monkeypatch):
    from rtma_diffda.assimilation import sphere_gain

    B, case, evidence = seen("coupled", channels=("t2m",))
    with pytest.raises(InputError, match="cannot serve"):
        SphereGain(B, evidence)(evidence.departures(fields()), 1.0, fields()[:, :2])
    with pytest.raises(InputError, match="stencil"):
        SphereGain(B, Evidence(evidence.equivalents, evidence.value, evidence.error_std))
    with pytest.raises(UsageError, match="jitter"):
        SphereSolving(jitter=-1.0)
    with pytest.raises(UsageError, match="scale"):
        SphereKalman(B)(case, 2.0 * S3, members=1)
    monkeypatch.setattr(sphere_gain, "_MOST_JOINT", 3)
    with pytest.raises(UsageError, match="7 data of columns"):
        SphereGain(B, evidence)(evidence.departures(fields()), 1.0, fields())
