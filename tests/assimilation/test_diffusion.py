"""Diffusion assimilation against the closed form: a Gaussian prior with its exact denoiser is optimal interpolation."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pytest
import torch
from regression_world import ENCODING, ERRORS, GRID, LAYOUT, NAMES, SCALES, STATIC, pairs_of

from rtma_diffda.assimilation.centring import Centring
from rtma_diffda.assimilation.correlation import covariance
from rtma_diffda.assimilation.denoiser_checkpoint import (
    TrainedDenoiser,
    denoiser_checkpoint,
    denoiser_from_checkpoint,
)
from rtma_diffda.assimilation.denoising_network import DenoisingNetwork, denoiser_settings
from rtma_diffda.assimilation.diffusion import DiffusionAssimilation, Fitted, fitted_ensemble
from rtma_diffda.assimilation.observation_entry import (
    NoObservations,
    ThroughChannels,
    ThroughGuidance,
    ThroughKalman,
    ThroughReplacement,
)
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.assimilation.posterior import ExactSolver
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.diffusion.conditioning.moment_matching import MomentMatching
from rtma_diffda.diffusion.paths import karras_path
from rtma_diffda.diffusion.sampling import Ancestral, Heun, Sampler
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import transformer
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.io.checkpoint import read_checkpoint, write_checkpoint
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window

FAST = Sampler(karras_path(6, highest=20.0), Ancestral())
ENTRIES = {
    "kalman": ThroughKalman(ERRORS),
    "channels": ThroughChannels(),
    "replacement": ThroughReplacement(),
    "guidance": ThroughGuidance(),
    "moments": ThroughGuidance(MomentMatching),
    "none": NoObservations(),
}
CALLS = {"guidance": 2, "moments": 4}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem_of(*, count: int = 40, members: int = 1, at_grid_points: bool = False) -> AssimilationProblem:
    rng, pairs = np.random.default_rng(3), pairs_of(members)
    time, channel = pairs.valid_time[0], torch.from_numpy(rng.integers(0, len(NAMES), count))
    x, y = rng.uniform(-7e4, 7e4, (2, count))
    elevation = rng.uniform(0, 400, count)
    if at_grid_points:  # where interpolation at stations and on the grid mean the same
        row, column = rng.integers(1, 15, (2, count))
        x, y, elevation = GRID.x[column], GRID.y[row], STATIC.orography[row, column]
    longitude, latitude = transformer(GRID.projection).transform(x, y, direction="INVERSE")
    scale = torch.tensor(list(SCALES.values()), dtype=torch.float64)[channel]
    columns = {"value": scale, "error_std": 0.5 * scale}
    columns |= {name: torch.from_numpy(v) for name, v in (("latitude", latitude), ("longitude", longitude))}
    observations = Observations(
        **columns,
        elevation=torch.from_numpy(np.asarray(elevation, float)),
        channel=channel,
        valid_time=np.full(count, time),
        station=np.array([f"S{i}" for i in range(count)], dtype=object),
        network=np.full(count, "metar", dtype=object),
        flags=np.zeros(count, np.int32),
        bound=np.zeros(count, np.int8),
    )
    operator = BilinearOperator(LAYOUT, STATIC)
    state = State(pairs.background, LAYOUT, time)
    equivalents = operator(state.values[:1].double(), observations)[0]
    drawn = equivalents + scale * torch.from_numpy(rng.normal(0, 1.2, count))
    return AssimilationProblem(
        state, replace(observations, value=drawn), operator, Window.around(time, np.timedelta64(30, "m"))
    )


def denoiser() -> DenoisingNetwork:
    torch.manual_seed(0)
    network = DenoisingNetwork(ENCODING, denoiser_settings(ENCODING, (8, 16)))
    torch.nn.init.normal_(network.network.head.weight, std=0.02, generator=seeded(5))
    return network.eval()


def method_of(entry: str = "kalman", **changes: object) -> DiffusionAssimilation:
    return DiffusionAssimilation(STATIC, denoiser(), ENTRIES[entry], FAST, **{"members": 3, **changes})


@dataclass(frozen=True)
class ExactDenoiser:
    """E[r | noisy] for r ~ N(0, B), each variable by itself, B as optimal interpolation has it; for one problem."""

    problem: AssimilationProblem
    encoding = ENCODING

    @cached_property
    def eigen(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        surroundings, found = Surroundings(self.problem, STATIC), []
        for channel, name in enumerate(NAMES):
            places, background = surroundings.of_grid(channel)
            places = with_background(places, background[0])
            found.append(torch.linalg.eigh(covariance(ERRORS[name], places, places) / SCALES[name] ** 2))
        return found

    def on_grid(self, grid):
        return self

    def __call__(self, noisy, sigma, context):
        denoised = torch.empty_like(noisy)
        for channel, (variance, vectors) in enumerate(self.eigen):
            share = variance.clamp_min(0.0) / (variance.clamp_min(0.0) + float(sigma[0]) ** 2)
            flat = noisy[:, channel].flatten(1).double() @ vectors
            denoised[:, channel] = ((flat * share) @ vectors.T).view_as(noisy[:, channel]).to(noisy)
        return denoised


def test_kalman_with_the_exact_denoiser_is_optimal_interpolation():
    """Mean within the sampling error of 128 members, spread within a few percent."""
    problem = problem_of(count=60, at_grid_points=True)
    exact = OptimalInterpolation(STATIC, ERRORS, solver=ExactSolver()).analyse(problem, generator=seeded())
    sampler, entry = Sampler(karras_path(20, highest=40.0, lowest=0.02), Heun()), ThroughKalman(ERRORS, spacing=1)
    method = DiffusionAssimilation(STATIC, ExactDenoiser(problem), entry, sampler, members=128)
    found = method.analyse(problem, generator=seeded(1))
    scale = torch.tensor(list(SCALES.values()))[:, None, None]
    difference = ((found.state.values.mean(dim=0) - exact.state.values[0]) / exact.error_std).square().mean().sqrt()
    assert float(difference) < 0.12  # 1/√128 = 0.088 is the sampling error alone
    assert float(((exact.increment() / scale).square().mean()).sqrt()) > 0.4
    ratio = found.error_std / exact.error_std
    assert float(ratio.mean()) == pytest.approx(1.0, abs=0.04)
    assert float(ratio.std()) < 0.12


def test_on_a_grid_too_wide_for_modes_kalman_takes_b_by_lag(monkeypatch):
    """Where only distance counts both are the same B: the ensembles, drawn with the same noise, are alike."""
    plain = {
        n: replace(e, vertical_length=None, background_length=None, land_sea_factor=1.0) for n, e in ERRORS.items()
    }
    problem, method = problem_of(), replace(method_of(), entry=ThroughKalman(plain, spacing=1))
    by_modes = method.analyse(problem, generator=seeded()).state.values
    monkeypatch.setattr("rtma_diffda.assimilation.covariance_modes._MOST_LANDMARKS", 0)
    by_lag = method.analyse(problem, generator=seeded()).state.values
    scale = torch.tensor(list(SCALES.values()))[:, None, None]
    moved = ((by_modes - problem.background.values) / scale).square().mean().sqrt()
    assert not torch.equal(by_modes, by_lag)
    assert float(((by_modes - by_lag) / scale).square().mean().sqrt() / moved) < 0.15


@pytest.mark.parametrize("entry", ENTRIES)
def test_contract(entry):
    """Layout, time, type; members in blocks; same generator same bits; order of the data irrelevant."""
    problem = problem_of(members=2)
    method = method_of(entry)
    first = method.analyse(problem, generator=seeded(4))
    assert (first.state.layout, first.state.members) == (LAYOUT, 6)
    assert first.state.valid_time == problem.background.valid_time
    assert first.state.values.dtype == problem.background.values.dtype
    assert first.error_std.shape == LAYOUT.shape
    assert first.diagnostics["network_calls"] >= 2 * 3 * 6 * CALLS.get(entry, 1) - 2 * 3 * 6 * (entry == "moments")
    again = method.analyse(problem, generator=seeded(4))
    assert torch.equal(first.state.values, again.state.values)
    order = np.random.default_rng(1).permutation(len(problem.observations))
    shuffled = replace(problem, observations=problem.observations.select(order))
    assert torch.equal(first.state.values, method.analyse(shuffled, generator=seeded(4)).state.values)
    changed = problem.background.values.clone()
    changed[1] += 1.0
    other = replace(problem, background=problem.background.with_values(changed))
    assert torch.equal(first.state.values[:3], method.analyse(other, generator=seeded(4)).state.values[:3])


@pytest.mark.parametrize("entry", ENTRIES)
def test_without_observations_every_way_in_is_the_prior(entry):
    problem = problem_of(count=0)
    found, prior = (method_of(e).analyse(problem, generator=seeded(2)).state.values for e in (entry, "none"))
    torch.testing.assert_close(found, prior, rtol=0, atol=1e-3 if entry == "channels" else 0.0)


@pytest.mark.parametrize("entry", ["kalman", "channels", "replacement", "guidance", "moments"])
@pytest.mark.parametrize(("error", "departure"), [(1e-4, 1.0), (1e4, 1.0), (1.0, 1e4)])
def test_perfect_useless_and_absurd_data_stay_finite(entry, error, departure):
    problem = problem_of(count=25)
    data = problem.observations
    shifted = replace(data, error_std=error * data.error_std, value=data.value + departure * data.error_std)
    analysis = method_of(entry).analyse(replace(problem, observations=shifted), generator=seeded())
    assert bool(torch.isfinite(analysis.state.values).all() & torch.isfinite(analysis.error_std).all())


def test_one_member_states_no_spread():
    analysis = method_of(members=1).analyse(problem_of(), generator=seeded())
    assert analysis.error_std is None
    assert analysis.state.members == 1
    with pytest.raises(UsageError, match="a member or more"):
        method_of(members=0)


def test_a_denoiser_that_breaks_is_named_with_its_noise_level():
    network = denoiser()
    torch.nn.init.constant_(network.network.head.bias, float("nan"))
    with pytest.raises(InputError, match="noise level 20 is not finite"):
        replace(method_of(), network=network).analyse(problem_of(), generator=seeded())


def test_bfloat16_is_used_where_asked_or_where_it_is_faster(monkeypatch):
    drawn = {}
    for wanted, fast in [(False, True), (None, False), (True, False), (None, True)]:
        monkeypatch.setattr("rtma_diffda.assimilation.diffusion.fast_in_bfloat16", lambda device, fast=fast: fast)
        analysis = method_of(bfloat16=wanted).analyse(problem_of(count=5), generator=seeded())
        drawn[wanted, fast] = analysis.state.values
    assert torch.equal(drawn[False, True], drawn[None, False])
    assert torch.equal(drawn[True, False], drawn[None, True])
    assert not torch.equal(drawn[True, False], drawn[False, True])


def test_members_beyond_a_batch_are_drawn_in_parts():
    analysis = method_of(members=18).analyse(problem_of(count=5), generator=seeded())
    assert analysis.state.members == 18
    assert float(analysis.state.values.std(dim=0).min()) > 0.0


def test_centred_ensemble_has_the_centres_mean_and_its_own_spread():
    problem = problem_of()
    centre = OptimalInterpolation(STATIC, ERRORS)
    bare, moved = (method_of(centre=c).analyse(problem, generator=seeded(7)) for c in (None, centre))
    there = centre.analyse(problem, generator=seeded()).state.values[0]
    torch.testing.assert_close(moved.state.values.mean(dim=0), there, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(moved.error_std, bare.error_std, rtol=2e-2, atol=1e-3)


def test_analysis_at_grid_points_is_the_ensembles():
    problem = problem_of(count=20, at_grid_points=True, members=2)
    method = method_of()
    analysis, at = method.analyse(problem, generator=seeded(0)), method.analyse_at(problem, problem.observations)
    expected = problem.operator(analysis.state.values.double(), problem.observations).view(2, 3, -1)
    torch.testing.assert_close(at.mean, expected.mean(dim=1))
    spreads = (expected.var(dim=1) * 4 / 3).mean(dim=0).sqrt()
    torch.testing.assert_close(at.error_std, spreads)
    assert method_of(members=1).analyse_at(problem, problem.observations).error_std is None


def test_centring_in_part_and_fitted_on_cases():
    """Where the truth lies a quarter of the way to the centre, the weight is a quarter."""
    problem, centre = problem_of(), OptimalInterpolation(STATIC, ERRORS)
    method = method_of(centre=centre)
    own = replace(method, centre=None).analyse(problem, generator=seeded(1)).state.values.mean(dim=0)
    there = centre.analyse(problem, generator=seeded()).state.values[0]
    noise = 0.01 * torch.randn(own.shape, generator=seeded(3)) * torch.tensor(list(SCALES.values()))[:, None, None]
    truth = State((own + 0.25 * (there - own) + noise)[None], LAYOUT, problem.background.valid_time)
    fitted = fitted_ensemble(method, [TruthCase(problem, truth, STATIC)], seed=1)
    assert list(fitted.centring.weight.values()) == pytest.approx([0.25] * 5, abs=0.02)
    moved = fitted.analyse(problem, generator=seeded(1)).state.values.mean(dim=0)
    torch.testing.assert_close(moved, truth.values[0], rtol=1e-4, atol=0.1)
    with pytest.raises(UsageError, match="must be 0"):
        Centring({"t2m": 1.5})


def test_calibration_multiplies_deviations_and_is_fitted_on_cases():
    problem = problem_of()
    shifted = problem.background.values + 2.0 * torch.tensor(list(SCALES.values()))[:, None, None]
    truth = State(shifted, LAYOUT, problem.background.valid_time)
    fitted = fitted_ensemble(method_of(), [TruthCase(problem, truth, STATIC)], seed=1)
    again = fitted_ensemble(method_of(), [TruthCase(problem, truth, STATIC)], seed=1)
    assert fitted.calibration == again.calibration
    bare, wide = (m.analyse(problem, generator=seeded(9)) for m in (method_of(), fitted))
    factor = torch.tensor([fitted.calibration.factor[name] for name in NAMES])[:, None, None]
    torch.testing.assert_close(wide.error_std, bare.error_std * factor, rtol=1e-2, atol=1e-3)
    with pytest.raises(UsageError, match="two members or more"):
        fitted_ensemble(method_of(members=1), [TruthCase(problem, truth, STATIC)], seed=1)


def test_a_grid_of_another_spacing_is_a_reason_for_less_trust():
    network = denoiser()
    network.encoding = replace(ENCODING, spacing=2.5e3)
    analysis = replace(method_of(), network=network).analyse(problem_of(count=4), generator=seeded())
    assert "learned from grids of 2500 m" in analysis.degraded[0]


def test_without_global_states_what_was_fitted_for_that_holds():
    """Entry and calibration are those for problems without a boundary; with one they are the method's own."""
    other = Fitted(NoObservations(), SpreadCalibration(dict.fromkeys(NAMES, 2.0)))
    method, problem = replace(method_of(), without_boundary=other), problem_of()
    time = problem.background.valid_time
    boundary = Boundary((State(problem.background.values, LAYOUT, time),), time, "global", STATIC)
    bare = replace(method, entry=other.entry, calibration=other.calibration, without_boundary=None)
    for given, expected in ((problem, bare), (replace(problem, boundary=boundary), method_of())):
        found, same = (m.analyse(given, generator=seeded(4)).state.values for m in (method, expected))
        assert torch.equal(found, same)


def test_a_checkpoint_keeps_what_holds_without_the_large_scale(tmp_path):
    alone = TrainedDenoiser(denoiser(), ERRORS, {"t2m": 0.8}, {"diffusion": SpreadCalibration({"t2m": 1.1})})
    trained = replace(alone, residual_error_factors={"t2m": 0.5}, without_large_scale=alone)
    write_checkpoint(tmp_path / "d", denoiser_checkpoint(trained), created="2026-01-01T00:00:00Z")
    found = denoiser_from_checkpoint(read_checkpoint(tmp_path / "d"))
    assert found.residual_error_factors == {"t2m": 0.5}
    assert found.without_large_scale.residual_error_factors == {"t2m": 0.8}
    assert found.without_large_scale.calibrations == alone.calibrations
    assert found.without_large_scale.network is found.network


def test_checkpoint_gives_the_same_ensemble(tmp_path):
    trained = TrainedDenoiser(denoiser(), ERRORS, {"t2m": 0.9}, {"diffusion": SpreadCalibration({"t2m": 1.3})})
    write_checkpoint(tmp_path / "d", denoiser_checkpoint(trained), created="2026-01-01T00:00:00Z")
    found = denoiser_from_checkpoint(read_checkpoint(tmp_path / "d"))
    assert (found.residual_errors, found.residual_error_factors) == (ERRORS, {"t2m": 0.9})
    assert found.calibrations == trained.calibrations
    first, second = (
        replace(method_of(), network=n).analyse(problem_of(), generator=seeded()).state.values
        for n in (trained.network, found.network)
    )
    assert torch.equal(first, second)
    foreign = replace(read_checkpoint(tmp_path / "d"), config={"architecture": "unet_regression"})
    with pytest.raises(InputError, match="expected 'denoiser'"):
        denoiser_from_checkpoint(foreign)
