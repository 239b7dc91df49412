"""Samplers against what is known: Gaussian posteriors, exact flows, orders of convergence, other papers' forms."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import torch

from rtma_diffda.diffusion.conditioning.dense_gain import DenseGain
from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.kalman import Kalman
from rtma_diffda.diffusion.conditioning.prior import Prior
from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.diffusion.paths import karras_path, logarithmic_path
from rtma_diffda.diffusion.sampling import Ancestral, Heun, Multistep, Sampler, draw_noise, sample
from rtma_diffda.errors import InputError, UsageError

DOUBLE = torch.float64
MEMBERS = 4000
STEPPERS = {
    "ancestral": Ancestral(),
    "DDIM": Ancestral(0.0),
    "Heun": Heun(),
    "multistep": Multistep(),
    "stochastic multistep": Multistep(1.0),
}
ALL = pytest.mark.parametrize("stepper", STEPPERS.values(), ids=STEPPERS)
PAIR = Gaussian(
    torch.tensor([0.4, -0.2], dtype=DOUBLE)[:, None, None], torch.tensor([[1.0, 0.9], [0.9, 2.0]], dtype=DOUBLE)
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nothing(members: int) -> torch.Tensor:
    return torch.zeros(members, 0, 1, 1, dtype=DOUBLE)


def draws(sampler: Sampler, conditioning=None, members: int = MEMBERS, seed: int = 0) -> torch.Tensor:
    conditioning = conditioning or Prior()
    return sample(PAIR, conditioning, sampler, nothing(members), channels=2, generator=generator(seed))[:, :, 0, 0]


def first_observed(error: float) -> tuple[Kalman, Gaussian]:
    error_std = torch.tensor([error], dtype=DOUBLE)
    evidence = Evidence(lambda r: r[:, 0, 0], torch.tensor([1.5], dtype=DOUBLE), error_std)
    rows = torch.tensor([[1.0, 0.0]], dtype=DOUBLE)
    return Kalman(evidence, DenseGain(PAIR.covariance, evidence)), PAIR.given(rows, evidence.value, error_std**2)


# --- Known laws -------------------------------------------------------------------------------------------------------


@ALL
@pytest.mark.parametrize("error", [0.1, 1.0])
def test_mean_and_covariance_of_the_posterior(stepper, error):
    """100 calls; what is left is first-order error where it is first order, and four standard errors of the draws."""
    conditioning, exact = first_observed(error)
    found = draws(Sampler(logarithmic_path(100, lowest=0.01), stepper), conditioning)
    std, first_order = exact.std.flatten(), 0.05 if isinstance(stepper, Ancestral) else 0.01
    assert float(((found.mean(0) - exact.mean.flatten()) / std).abs().max()) < 4.0 / math.sqrt(MEMBERS) + 0.01
    assert (found.std(0) / std).tolist() == pytest.approx([1.0, 1.0], abs=4.0 / math.sqrt(2 * MEMBERS) + first_order)
    correlation = float(exact.covariance[0, 1] / std.prod())
    assert float(torch.corrcoef(found.T)[0, 1]) == pytest.approx(correlation, abs=0.06)


@pytest.mark.parametrize(
    ("stepper", "calls", "ratio"),
    [
        (Ancestral(), 30, 0.862),
        (Ancestral(0.0), 30, 0.929),
        (Heun(), 15, 1.047),
        (Multistep(), 30, 1.011),
        (Multistep(1.0), 30, 1.026),
    ],
)
def test_spread_over_the_priors_with_thirty_calls_or_fewer(stepper, calls, ratio):
    """First-order steps lose a tenth, second-order ones do not; expected is what 100,000 draws make of it."""
    found = draws(Sampler(karras_path(calls), stepper)).std(0) / PAIR.std.flatten()
    assert float(found.mean()) == pytest.approx(ratio, abs=0.03)


@ALL
def test_noise_keeps_its_law_where_nothing_is_uncertain(stepper):
    """D = 0 for ever: a state at σ stays N(0, σ²), step after step."""
    noise, path, memory = generator(), (9.0, 4.0, 1.0), None
    noisy = path[0] * draw_noise(torch.zeros(20_000, 1, 1, 1, dtype=DOUBLE), noise)
    for sigma, sigma_next in pairwise(path):
        noisy, memory = stepper.step(no_increment, noisy, sigma, sigma_next, memory=memory, generator=noise)
        assert float(noisy.std()) == pytest.approx(sigma_next, rel=0.03)


def no_increment(noisy: torch.Tensor, sigma: float) -> torch.Tensor:
    return torch.zeros_like(noisy)


# --- Orders -----------------------------------------------------------------------------------------------------------


def error_of_flow(stepper, steps: int) -> float:
    """Of a noise-free flow from σ = 20 to 0.2: exactly, x' − m = √(B + σ'²) √(B + σ²)⁻¹ (x − m)."""
    path, memory = logarithmic_path(steps + 1, highest=20.0, lowest=0.2)[:-1], None
    start = PAIR.mean + 20.0 * draw_noise(torch.zeros(50, 2, 1, 1, dtype=DOUBLE), generator())
    variances, vectors = torch.linalg.eigh(PAIR.covariance)
    stretch = ((variances + 0.2**2) / (variances + 20.0**2)).sqrt()
    exact = PAIR.mean + ((((start - PAIR.mean).flatten(1) @ vectors) * stretch) @ vectors.T).view_as(start)

    def denoise(noisy: torch.Tensor, sigma: float) -> torch.Tensor:
        return PAIR(noisy, torch.full((50,), sigma, dtype=DOUBLE), noisy)

    noisy = start
    for sigma, sigma_next in pairwise(path):
        noisy, memory = stepper.step(denoise, noisy, sigma, sigma_next, memory=memory, generator=generator())
    return float((noisy - exact).square().mean().sqrt())


@pytest.mark.parametrize(
    ("stepper", "order"), [(Ancestral(0.0), 1), (Heun(), 2), (Multistep(), 2)], ids=["DDIM", "Heun", "multistep"]
)
def test_error_falls_with_the_order_of_the_method(stepper, order):
    coarse, middle, fine = (error_of_flow(stepper, steps) for steps in (40, 80, 160))
    assert math.log2(coarse / middle) == pytest.approx(order, abs=0.25)
    assert math.log2(middle / fine) == pytest.approx(order, abs=0.15)


# --- The equations of other papers ------------------------------------------------------------------------------------


def denoised_by_half(noisy: torch.Tensor, sigma: float) -> torch.Tensor:
    return 0.5 * noisy + 0.1


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ancestral_is_ddim_of_the_variance_preserving_process(eta):
    """Song et al., eq. 12 and 16, in their own variables; η = 0 is DDIM, η = 1 DDPM."""
    sigma, sigma_next, noisy = 3.0, 1.2, draw_noise(torch.zeros(5, 2, 3, 3, dtype=DOUBLE), generator(1))
    kept, kept_next = (1.0 / (1.0 + s * s) for s in (sigma, sigma_next))
    x, clean = math.sqrt(kept) * noisy, denoised_by_half(noisy, sigma)
    epsilon = (x - math.sqrt(kept) * clean) / math.sqrt(1.0 - kept)
    fresh = eta * math.sqrt((1.0 - kept_next) / (1.0 - kept) * (1.0 - kept / kept_next))
    expected = math.sqrt(kept_next) * clean + math.sqrt(1.0 - kept_next - fresh**2) * epsilon
    expected = expected + fresh * draw_noise(noisy, generator(2))
    found, _ = Ancestral(eta).step(denoised_by_half, noisy, sigma, sigma_next, memory=None, generator=generator(2))
    torch.testing.assert_close(math.sqrt(kept_next) * found, expected)


def test_multistep_without_a_memory_is_ddim_and_with_one_extrapolates():
    noisy = draw_noise(torch.zeros(5, 2, 3, 3, dtype=DOUBLE), generator(1))
    keywords = {"sigma": 3.0, "sigma_next": 1.2, "generator": generator()}
    ddim, _ = Ancestral(0.0).step(denoised_by_half, noisy, memory=None, **keywords)
    first, memory = Multistep().step(denoised_by_half, noisy, memory=None, **keywords)
    torch.testing.assert_close(first, ddim)
    second, _ = Multistep().step(denoised_by_half, first, 1.2, 0.3, memory=memory, generator=generator())
    ratio = math.log(1.2 / 0.3) / math.log(3.0 / 1.2)  # 1 / r of Lu et al.
    before, now = denoised_by_half(noisy, 3.0), denoised_by_half(first, 1.2)
    towards = (1.0 + 0.5 * ratio) * now - 0.5 * ratio * before
    torch.testing.assert_close(second, 0.25 * first - (0.25 - 1.0) * towards)


# --- The loop ---------------------------------------------------------------------------------------------------------


@dataclass
class Recording:
    """A denoiser of nought that remembers level and spread of what it was shown."""

    seen: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self, noisy: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        self.seen.append((float(sigma[0]), float(noisy.square().mean().sqrt())))
        return torch.zeros_like(noisy)


@pytest.mark.parametrize("stepper", [Ancestral(0.0), Multistep()], ids=["DDIM", "multistep"])
def test_where_the_path_rises_noise_is_put_back(stepper):
    recording, path = Recording(), (2.0, 0.5, 3.0, 1.0, 0.0)
    context = torch.zeros(1, 0, 150, 150, dtype=DOUBLE)
    answer = sample(recording, Prior(), Sampler(path, stepper), context, channels=1, generator=generator())
    levels, spreads = zip(*recording.seen, strict=True)
    assert levels == (2.0, 3.0, 1.0)  # no call for the climb
    assert spreads == pytest.approx(levels, rel=0.03)
    assert float(answer.abs().max()) == 0.0


@pytest.mark.parametrize(("stepper", "calls"), [(Ancestral(), 12), (Heun(), 23), (Multistep(1.0), 12)])
def test_number_of_calls(stepper, calls):
    recording = Recording()
    sample(recording, Prior(), Sampler(karras_path(12), stepper), nothing(1), channels=1, generator=generator())
    assert len(recording.seen) == calls


@ALL
def test_the_same_generator_gives_the_same_bits(stepper):
    sampler, (conditioning, _) = Sampler(karras_path(8), stepper), first_observed(0.5)
    first, again, other = (draws(sampler, conditioning, 16, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_members_are_told_what_their_own_context_says():
    context = torch.tensor([-2.0, 5.0], dtype=DOUBLE).view(2, 1, 1, 1).expand(2, 1, 40, 40)

    def around_context(noisy: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        return context + (noisy - context) / (1.0 + sigma.square())[:, None, None, None]

    found = sample(
        around_context, Prior(), Sampler(karras_path(20), Heun()), context, channels=1, generator=generator()
    )
    assert found.mean(dim=(1, 2, 3)).tolist() == pytest.approx([-2.0, 5.0], abs=0.15)


def test_what_is_not_finite_is_told_and_never_returned():
    sampler = Sampler(karras_path(5), Heun())
    with pytest.raises(InputError, match="context of a denoiser"):
        sample(PAIR, Prior(), sampler, torch.full((2, 1, 1, 1), math.nan), channels=2, generator=generator())
    with pytest.raises(InputError, match="noise level 80 is not finite"):
        sample(lambda x, s, c: x / 0.0, Prior(), sampler, nothing(2), channels=2, generator=generator())
    with pytest.raises(UsageError, match="a path needs"):
        Sampler((1.0, 0.5), Heun())
