"""Interpolation of columns alone, and the two published forms of replacement."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sphere_world import NOON, SCALE, covariance, globe, layout, places, problem, truth_of

from rtma_diffda.assimilation.sphere_conditioning import NoConditioning, SphereGuidance, SphereReplacement
from rtma_diffda.assimilation.sphere_interpolation import (
    SphereInterpolation,
    grid_places,
    points_on_sphere,
    tuned_kriging,
)
from rtma_diffda.diffusion.conditioning.moment_matching import MomentMatching
from rtma_diffda.diffusion.conditioning.prior import Prior
from rtma_diffda.diffusion.conditioning.replacement import ReplacementSettings
from rtma_diffda.diffusion.conditioning.score_guidance import ScoreGuidance
from rtma_diffda.diffusion.conditioning.soft_mask import OLDER, Bumps
from rtma_diffda.diffusion.conditioning.spread_innovations import Kriging, Linear
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.observations.columns import ColumnPlaces, drawn_by_area

S3 = SCALE[:, None, None]


def analyse(method, case):
    return method.analyse(case, generator=torch.Generator().manual_seed(0))


def smooth_state(grid) -> State:
    """sin φ + cos φ cos λ + …: linear in space, so that linear interpolation between near data is nearly exact."""
    phi, lam = np.deg2rad(grid.latitude()), np.deg2rad(grid.longitude())
    one = np.sin(phi) + np.cos(phi) * np.cos(lam)
    fields = torch.from_numpy(np.stack([100 * one, 5 * one + 280, one])[None])
    return State(fields, layout(grid), NOON)


def climatology(value: float = 0.0, grid=None):
    fields = torch.full((1, 3, *(grid or globe()).shape), value, dtype=torch.float64)
    return lambda time: State(fields, layout(grid), time)


@pytest.mark.parametrize("interpolation", [Linear(), Kriging(length=5e6, radius=2e7, neighbours=30)])
def test_smooth_fields_come_back_from_many_columns(interpolation):
    grid = globe(16, 32)
    truth = smooth_state(grid)
    case = problem(truth, drawn_by_area(grid, 250, generator=torch.Generator().manual_seed(0)))
    found = analyse(SphereInterpolation(interpolation), case).state.values
    spread = truth.values.std(dim=(2, 3), keepdim=True)
    assert float(((found - truth.values) / spread).square().mean().sqrt()) < 0.05


@pytest.mark.parametrize("interpolation", [Linear(), Kriging()])
def test_data_are_fitted_and_the_background_is_not_looked_at(interpolation):
    grid = globe()
    truth, at = truth_of(covariance("modes")), drawn_by_area(grid, 20, generator=torch.Generator().manual_seed(0))
    case = problem(truth, at, members=2)
    found = analyse(SphereInterpolation(interpolation, climatology(3.0)), case)
    other = replace(case, background=case.background.with_values(case.background.values + 7.0))
    assert torch.equal(analyse(SphereInterpolation(interpolation, climatology(3.0)), other).state.values,
                       found.state.values)  # fmt: skip
    left = case.operator(found.state.values, case.observations) - case.observations.value
    assert float(left.abs().max()) < 1e-6


def test_far_from_data_the_climatology_stands_or_the_mean_of_the_data():
    at = ColumnPlaces(np.array([11.25, 11.25]), np.array([0.0, 22.5]))
    case = problem(smooth_state(globe()), at)
    far = np.s_[0, 0, 4, 9]  # half way around the globe
    known = analyse(SphereInterpolation(Kriging(), climatology(-4.0)), case)
    assert float(known.state.values[far]) == -4.0
    assert float(analyse(SphereInterpolation(Kriging()), case).state.values[far]) == pytest.approx(
        float(case.observations.value[:2].mean())
    )


def test_channels_without_data_are_said():
    case = problem(smooth_state(globe()), places(), channels=("t2m",))
    found = analyse(SphereInterpolation(Linear(), climatology(2.0)), case)
    assert "z500, t850; the climatology stands" in found.degraded[0]
    assert float(found.state.values[0, 0].max()) == 2.0
    none = replace(case, observations=case.observations.select(np.zeros(0, int)))
    assert torch.equal(analyse(SphereInterpolation(), none).state.values, case.background.values)


def test_a_climatology_of_another_layout_is_refused():
    with pytest.raises(InputError, match="climatology"):
        analyse(SphereInterpolation(Kriging(), climatology(0.0, globe(4, 8))), problem(smooth_state(globe()), places()))


def test_kriging_is_tuned_to_the_length_that_serves():
    grid = globe(16, 32)
    truth = smooth_state(grid)
    truth = truth.with_values(truth.values - truth.values.mean(dim=(2, 3), keepdim=True))
    case = problem(truth, drawn_by_area(grid, 40, generator=torch.Generator().manual_seed(0)))
    observed = points_on_sphere(case.observations, case.observations.value)
    chosen = tuned_kriging([(observed, truth.values[0])], grid, Kriging(), lengths=(3e5, 3e6))
    assert chosen.length == 3e6 and chosen.radius == 12e6
    with pytest.raises(UsageError, match="tuned on"):
        tuned_kriging([], grid, Kriging())


def maker(**settings):
    return SphereReplacement(**settings)(problem(truth_of(covariance("modes")), at_points(), members=2), S3, members=2)


def at_points() -> ColumnPlaces:
    return drawn_by_area(globe(), 6, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("values", [False, True])
def test_what_is_known_at_observed_points_is_the_innovation(values):
    """Zero background: values and innovations are the same there; every channel has the same mask, 1 at columns."""
    found, case = maker(values=values), problem(truth_of(covariance("modes")), at_points())
    cells = grid_places(globe()).nearest(points_on_sphere(case.observations, case.observations.value).position)
    known = found.known.expand(2, 3, 8, 16)[0].flatten(1)[case.observations.channel, cells]
    expected = case.observations.value / SCALE[case.observations.channel]
    torch.testing.assert_close(known.double(), expected, rtol=0, atol=1e-5)
    assert bool((found.soft_mask.flatten(1)[case.observations.channel, cells] == 1.0).all())
    assert torch.equal(found.soft_mask[0], found.soft_mask[2])


def test_values_and_innovations_differ_by_the_interpolated_background():
    """Published: ỹ − x_b where ỹ interpolates values. Away from data, 0 − x_b against 0."""
    case = problem(truth_of(covariance("modes")), at_points())
    case = replace(case, background=case.background.with_values(torch.ones_like(case.background.values)))
    settings = ReplacementSettings(interpolation=Kriging(length=3e5, radius=4e7))
    known = {v: SphereReplacement(settings, values=v)(case, S3, members=1).known for v in (False, True)}
    far = np.unravel_index(int(known[False][0].abs().argmin()), (8, 16))
    assert known[False].shape == (3, 8, 16)
    assert float(known[True][0, 0, far[0], far[1]]) == pytest.approx(-1.0 / 50.0, abs=1e-3)
    less = SphereReplacement(settings, values=True, climatology=climatology(1.0))(case, S3, members=1).known
    torch.testing.assert_close(less[0], known[False], rtol=0, atol=1e-5)  # x_b is the climatology: innovations again


def test_bumps_are_cut_at_the_seam_as_published_or_go_on():
    at = ColumnPlaces(np.array([11.25]), np.array([0.0]))
    case = problem(smooth_state(globe()), at)
    on = SphereReplacement()(case, S3, members=1).soft_mask[0, 4]
    cut = SphereReplacement(ReplacementSettings(Bumps(generation=OLDER)), across_seam=False)(case, S3, members=1)
    assert float(on[15]) == pytest.approx(float(on[1])) and float(on[15]) > 0.5
    assert float(cut.soft_mask[0, 4, 15]) == 0.0 and float(cut.soft_mask[0, 4, 1]) > 0.5
    assert float(cut.soft_mask[0, 4, 1]) == pytest.approx(math.exp(-1 / (2 * 1.5**2)))


@pytest.mark.parametrize("guidance", [ScoreGuidance, MomentMatching])
def test_guidance_moves_towards_columns(guidance):
    B = covariance("modes")
    case = problem(truth_of(B), places())
    conditioning = SphereGuidance(guidance)(case, S3, members=2)

    def denoiser(noisy, sigma, context):  # of independent values
        return noisy / (1.0 + sigma[:, None, None, None] ** 2)

    noisy = torch.randn(2, 3, 8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = torch.ones(2, dtype=torch.float64)
    before = conditioning.evidence.departures(denoiser(noisy, sigma, None))
    after = conditioning.evidence.departures(conditioning.denoise(denoiser, noisy, sigma, torch.zeros(1)))
    scaled = SCALE[case.observations.channel]
    assert float((after / scaled).square().mean()) < 0.5 * float((before / scaled).square().mean())


@pytest.mark.parametrize("make", [SphereReplacement(), SphereGuidance(), NoConditioning()])
def test_without_observations_there_is_the_prior(make):
    case = problem(smooth_state(globe()), places())
    assert isinstance(
        make(replace(case, observations=case.observations.select(np.zeros(0, int))), S3, members=1), Prior
    )
