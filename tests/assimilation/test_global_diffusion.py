"""Global analyses with a denoiser that is exact for a Gaussian: draws, replacement, clips, and the cost of presets."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from global_denoising import FEW, LEADS, TIME, known_denoiser, land_of

from rtma_diffda.assimilation.global_diffusion import GlobalDiffusion
from rtma_diffda.assimilation.global_presets import PRESETS, preset
from rtma_diffda.assimilation.graphcast_denoiser_checkpoint import TrainedGraphCastDenoiser
from rtma_diffda.assimilation.release_step import ReleaseStep
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration
from rtma_diffda.backbones.graphcast.task import EARLIER
from rtma_diffda.diffusion.conditioning.replacement import Replacement
from rtma_diffda.diffusion.paths import count_falls, diffda_path, karras_path
from rtma_diffda.diffusion.sampling import Ancestral, Heun, Multistep, Sampler
from rtma_diffda.diffusion.schedules import linear_betas, noise_levels
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.columns import drawn_by_area, observe_columns
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import Window

VARIANCE = 0.3
INPUTS = [(c.variable, c.level, c.frame) for c in FEW.inputs]
NOISY = [INPUTS.index((*key, EARLIER)) for key in FEW.prognostic]
TOLD = INPUTS.index(("year_progress_sin", None, EARLIER))
LOGS = noise_levels(linear_betas()).log().numpy()
SHORT = Sampler(diffda_path(25, resamplings=1), ReleaseStep(clip=None))


def exact(values):
    """ε = σ r_σ / (v + σ²) from r_σ / √(1 + σ²) and the diffusion time in the place of the year's sine."""
    t = (values[:, TOLD, 0, 0].double().numpy() + 1.0) * 500.0
    sigma = torch.from_numpy(np.exp(np.interp(t, np.arange(1000), LOGS)))[:, None, None, None]
    return (sigma * (1 + sigma**2).sqrt() / (VARIANCE + sigma**2) * values[:, NOISY].double()).float()


def method_of(sampler=SHORT, **others) -> GlobalDiffusion:
    denoiser = known_denoiser(exact)
    return GlobalDiffusion(land_of(denoiser.layout.grid), denoiser, sampler, lead=LEADS[1], **others)


def problem_of(method, *, members=1, copies=True):
    layout = method.denoiser.layout
    values = torch.randn(members, *layout.shape, generator=torch.Generator().manual_seed(1))
    values = values[:1].expand_as(values).contiguous() if copies else values
    state = State(values, layout, TIME)
    places = drawn_by_area(layout.grid, 2, generator=torch.Generator().manual_seed(0))
    none = observe_columns(state.mean(), places, torch.ones(len(layout.channels))).select(np.empty(0, np.int64))
    return AssimilationProblem(
        state, none, BilinearOperator(layout, land_of(layout.grid), {}), Window.around(TIME, np.timedelta64(0, "m"))
    )


@dataclass(frozen=True)
class Known:
    """Replacement of everything, or of nothing, by a given residual."""

    share: float
    residual: float = 0.7

    def __call__(self, problem, scale, *, members):
        shape = (len(scale), *problem.background.layout.shape[1:])
        return Replacement(torch.full(shape, self.share), torch.full(shape, self.residual))


def analysed(method, problem, seed=0):
    return method.analyse(problem, generator=torch.Generator().manual_seed(seed))


def residuals(method, problem, seed=0):
    scale = method.denoiser.scale.of(method.lead)
    return (analysed(method, problem, seed).state.values - problem.background.values[:1]) / scale


def test_draws_of_the_prior_have_the_spread_of_the_residuals():
    method = method_of(Sampler(diffda_path(200, resamplings=1), ReleaseStep(clip=None)), members=24)
    drawn = residuals(method, problem_of(method))
    assert drawn.shape[0] == 24 and abs(float(drawn.mean())) < 0.02
    assert float(drawn.std()) == pytest.approx(VARIANCE**0.5, rel=0.05)
    found = analysed(method, problem_of(method))
    assert found.diagnostics["network_calls"] == 24 * 200
    expected = VARIANCE**0.5 * (25 / 24) ** 0.5 * method.denoiser.scale.of(LEADS[1])[0, 0, 0, 0]
    assert float(found.error_std[0].mean()) == pytest.approx(float(expected), rel=0.06)


def test_replacing_everything_gives_what_is_known_and_replacing_nothing_the_prior():
    """``diffda.md`` §10: m = 1 and any network give ỹ exactly; m = 0 and the same seed the draw without data."""
    for sampler in (SHORT, Sampler(diffda_path(25, jump_length=5, resamplings=2), ReleaseStep(clip=0.1))):
        method = method_of(sampler, conditioning=Known(1.0))
        np.testing.assert_allclose(residuals(method, problem_of(method)).numpy(), 0.7, rtol=1e-5)
    problem = problem_of(method_of())
    nothing = analysed(method_of(conditioning=Known(0.0)), problem).state.values
    torch.testing.assert_close(nothing, analysed(method_of(), problem).state.values, rtol=0, atol=1e-6)


def test_copies_of_a_background_are_worked_on_together_and_others_one_by_one():
    method = method_of(members_at_a_time=3)
    together = analysed(method, problem_of(method, members=4))
    several = analysed(method_of(members=4, members_at_a_time=3), problem_of(method))
    torch.testing.assert_close(together.state.values, several.state.values, rtol=0, atol=1e-6)
    assert together.error_std is None and several.error_std is not None
    problem = problem_of(method, members=2, copies=False)
    apart = analysed(method_of(members=2), problem).state.values
    assert apart.shape[0] == 4
    near = (
        apart - problem.background.values.repeat_interleave(2, dim=0)
    ).abs().amax() / method.denoiser.scale.values.max()
    assert near < 6 * VARIANCE**0.5


def test_the_mean_of_the_members_may_be_the_analysis_and_the_spread_is_calibrated():
    problem = problem_of(method_of())
    whole, mean = (analysed(method_of(members=4, mean=wanted), problem) for wanted in (False, True))
    torch.testing.assert_close(mean.state.values, whole.state.values.mean(dim=0, keepdim=True))
    doubled = analysed(method_of(members=4, calibration=SpreadCalibration({"t2m": 2.0})), problem)
    torch.testing.assert_close(doubled.error_std[0], 2 * whole.error_std[0])
    torch.testing.assert_close(doubled.error_std[1:], whole.error_std[1:])


def test_a_centred_ensemble_has_the_mean_of_the_answers_to_noise_alone():
    """For the exact denoiser of N(0, v) those are v σ / (v + σ²) times noise: nearly nothing at the highest level."""
    path = Sampler(karras_path(5, highest=30.0, lowest=0.1), Multistep())
    problem = problem_of(method_of())
    free, centred = (method_of(path, members=6, members_at_a_time=4, centred=wanted) for wanted in (False, True))
    found = analysed(centred, problem)
    assert found.diagnostics["network_calls"] == 6 * 6
    drawn, scale = residuals(centred, problem), centred.denoiser.scale.of(LEADS[1])
    answers = VARIANCE * 30.0 / (VARIANCE + 900.0)
    assert float(drawn.mean(dim=0).std()) == pytest.approx(answers / 6**0.5, rel=0.1)
    assert float(residuals(free, problem).mean(dim=0).std()) > 10 * answers / 6**0.5
    assert float(drawn.std()) == pytest.approx((VARIANCE * 5 / 6) ** 0.5, rel=0.15) and scale.min() > 0
    single = method_of(path, centred=True)
    assert analysed(single, problem).diagnostics["network_calls"] == 5


def test_a_clip_bounds_the_denoisers_answer():
    method = method_of(clip=0.05)
    assert float(residuals(method, problem_of(method)).abs().max()) <= 0.05 * 1.0001
    for wrong in ({"clip": 0.0}, {"members": 0}):
        with pytest.raises(UsageError):
            method_of(**wrong)


def test_the_releases_step_goes_on_along_the_networks_own_noise():
    noisy, sigma, after = torch.tensor([[[[5.0, 0.5]]]]), 2.0, 1.0
    denoised = 0.6 * noisy

    def step(stepper):
        return stepper.step(lambda *_: denoised, noisy, sigma, after, memory=None, generator=torch.Generator())[0]

    expected = denoised.clamp(-1, 1) + (noisy - denoised) / sigma * after
    torch.testing.assert_close(step(ReleaseStep(clip=1.0)), expected)
    torch.testing.assert_close(step(ReleaseStep(clip=None)), step(Ancestral(eta=0.0)))
    last = ReleaseStep().step(lambda *_: denoised, noisy, sigma, 0.0, memory=None, generator=None)[0]
    torch.testing.assert_close(last, denoised.clamp(-1, 1))
    with pytest.raises(UsageError, match="clipped at a number above 0"):
        ReleaseStep(clip=-1.0)


def test_with_all_noise_drawn_anew_the_releases_step_is_the_ancestral_one():
    noisy, generators = torch.randn(3, 1, 4, 4), [torch.Generator().manual_seed(0) for _ in range(2)]
    steps = [
        stepper.step(lambda *_: 0.2 * noisy, noisy, 3.0, 1.5, memory=None, generator=generator)[0]
        for stepper, generator in zip((ReleaseStep(None, 1.0), Ancestral(1.0)), generators, strict=True)
    ]
    torch.testing.assert_close(*steps)


@pytest.mark.parametrize(
    ("calls", "passes", "expected"), [(300, 10, 2910), (300, 1, 300), (100, 10, 910), (50, 10, 410)]
)
def test_the_published_schedules_have_the_published_costs(calls, passes, expected):
    assert count_falls(diffda_path(calls, jump_length=10, resamplings=passes)) == expected


def test_presets_cost_what_they_say():
    costs = {name: found.members * found.calls for name, found in PRESETS.items()}
    assert costs == {"diffda": 2910, "diffda_short": 410, "default": 30, "prior": 300}
    trained = TrainedGraphCastDenoiser(known_denoiser(exact))
    land = land_of(trained.denoiser.layout.grid)
    method = preset("diffda").method(trained, land, lead=LEADS[1], sampler=SHORT)
    assert analysed(method, problem_of(method)).diagnostics["network_calls"] == 25
    with pytest.raises(InputError, match="no covariance of residuals"):
        preset("default").method(trained, land, lead=LEADS[1])
    with pytest.raises(UsageError, match="no way of global analysis is called 'best'; known are diffda"):
        preset("best")


def test_heuns_second_calls_are_counted():
    method = method_of(Sampler(karras_path(4, highest=10.0), Heun()), members=2)
    assert analysed(method, problem_of(method)).diagnostics["network_calls"] == 2 * 7


def test_the_same_seed_gives_the_same_bits():
    method = method_of(members=2)
    one, two = (analysed(method, problem_of(method), seed=4).state.values for _ in range(2))
    assert torch.equal(one, two) and not torch.equal(one, analysed(method, problem_of(method), seed=5).state.values)
