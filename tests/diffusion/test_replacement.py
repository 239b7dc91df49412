import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from rtma_diffda.diffusion.conditioning.prior import Prior
from rtma_diffda.diffusion.conditioning.replacement import (
    Replacement,
    ReplacementSettings,
    one_a_cell,
    replacement_from,
)
from rtma_diffda.diffusion.conditioning.soft_mask import OLDER, Bumps, ObservedCells, soft_mask
from rtma_diffda.diffusion.conditioning.spread_innovations import GridPlaces, Kriging, Linear, ObservedPoints, on_sphere
from rtma_diffda.diffusion.paths import diffda_path
from rtma_diffda.diffusion.preconditioning import PreconditionedDenoiser, epsilon
from rtma_diffda.diffusion.sampling import Ancestral, Sampler, sample
from rtma_diffda.errors import InputError, UsageError

DOUBLE = torch.float64
REGION = GridPlaces.of_plane(2500.0 * np.arange(16), 2500.0 * np.arange(14))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=DOUBLE)


def no_context(members: int, shape: tuple[int, int]) -> torch.Tensor:
    return torch.zeros(members, 0, *shape, dtype=DOUBLE)


# --- A straight transcription of diffda.md §4.4 in DiffDA's own, variance-preserving variables ------------------------


def cumulative_alphas() -> list[float]:
    """ᾱ of 1000 training steps, β linear from 1e-4 to 2e-2."""
    kept, product = [], 1.0
    for step in range(1000):
        product *= 1.0 - (1e-4 + (2e-2 - 1e-4) * step / 999)
        kept.append(product)
    return kept


def repaint_schedule(steps: int, jump_length: int, passes: int) -> list[int]:
    """RePaint's list of indices into the sub-sampled chain: one below the last is denoised, one above it undone."""
    jumps = dict.fromkeys(range(0, steps - jump_length, jump_length), passes - 1)
    t, visited = steps, []
    while t >= 1:
        t -= 1
        visited.append(t)
        if jumps.get(t, 0) > 0:
            jumps[t] -= 1
            for _ in range(jump_length):
                t += 1
                visited.append(t)
    return visited


@dataclass
class Transcription:
    """RePaint in r_t = √ᾱ_t r + √(1 − ᾱ_t) ε, with noises from a list, exact forward kernels, and nothing of ours."""

    network: torch.nn.Module
    mask: torch.Tensor
    known: torch.Tensor
    context: torch.Tensor
    noises: Iterator[torch.Tensor]
    eta: float
    steps: int
    late: bool = False  # undo with the steps that the release takes, 2 s − 1 too late
    alphas: list[float] = field(default_factory=cumulative_alphas)

    def alpha(self, index: int) -> float:
        return 1.0 if index < 0 else self.alphas[index * (1000 // self.steps)]

    def run(self, jump_length: int, passes: int) -> torch.Tensor:
        visited = repaint_schedule(self.steps, jump_length, passes)
        r = math.sqrt(1.0 - self.alpha(visited[0])) * next(self.noises)
        for before, t in pairwise([self.steps, *visited]):
            r = self.denoised(r, t) if t < before else self.undone(r, t)
        return r

    def denoised(self, r: torch.Tensor, t: int) -> torch.Tensor:
        a, a_next = self.alpha(t), self.alpha(t - 1)
        sigma = torch.full((len(r),), math.sqrt((1.0 - a) / a), dtype=DOUBLE)
        eps = self.network(torch.cat([r, self.context], dim=1), sigma)
        r0 = (r - math.sqrt(1.0 - a) * eps) / math.sqrt(a)
        v = (1.0 - a_next) / (1.0 - a) * (1.0 - a / a_next)
        unknown = math.sqrt(a_next) * r0 + math.sqrt(1.0 - a_next - self.eta**2 * v) * eps
        if self.eta > 0.0 and t > 0:
            unknown = unknown + self.eta * math.sqrt(v) * next(self.noises)
        known = math.sqrt(a_next) * self.known + math.sqrt(1.0 - a_next) * next(self.noises)
        return self.mask * known + (1.0 - self.mask) * unknown

    def undone(self, r: torch.Tensor, t: int) -> torch.Tensor:
        """To where t − 1 is next, by one aggregated kernel: the product of the √(1 − β) from where t − 2 is next."""
        kept = self.alpha(t - 1) / self.alpha(t - 2)
        if self.late:
            stride = 1000 // self.steps
            kept = self.alphas[(t + 1) * stride - 1] / self.alphas[t * stride - 1]
        return math.sqrt(kept) * r + math.sqrt(1.0 - kept) * next(self.noises)


class SmallNetwork(torch.nn.Module):
    """An ε-network: the answer for a standard normal prior, plus a random convolution of state, context and level."""

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.weights = 0.2 * normal(channels, channels + context + 1, 3, 3, seed=11)
        self.channels = channels

    def forward(self, values: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        level = (sigma / (1.0 + sigma.square()).sqrt())[:, None, None, None]
        inputs = torch.cat([values, level.expand_as(values[:, :1])], dim=1)
        return level * values[:, : self.channels] + torch.nn.functional.conv2d(inputs, self.weights, padding=1).tanh()


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("steps", "jump_length", "passes"), [(20, 3, 2), (20, 20, 5), (15, 4, 3), (12, 1, 2)])
def test_equals_a_straight_transcription_of_the_release(eta, steps, jump_length, passes):
    network, context = SmallNetwork(2, 3), normal(4, 3, 6, 7, seed=1)
    mask, known = torch.rand(2, 6, 7, generator=generator(2), dtype=DOUBLE), normal(2, 6, 7, seed=3)
    noise = generator(4)
    noises = (torch.randn(4, 2, 6, 7, generator=noise, dtype=DOUBLE) for _ in range(10_000))
    expected = Transcription(network, mask, known, context, noises, eta, steps).run(jump_length, passes)

    denoiser = PreconditionedDenoiser(network, epsilon, torch.ones(1))
    path = diffda_path(steps, jump_length=jump_length, resamplings=passes)
    sampler, ours = Sampler(path, Ancestral(eta)), generator(4)
    found = sample(denoiser, Replacement(mask, known), sampler, context, channels=2, generator=ours)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(noise.get_state(), ours.get_state())  # the same number of draws
    assert float((expected - known).abs().mean()) > 0.1  # and not for want of freedom


def test_clip_that_does_not_bind_changes_nothing_and_one_that_binds_is_kept():
    network, context = SmallNetwork(2, 0), no_context(3, (5, 5))
    denoiser = PreconditionedDenoiser(network, epsilon, torch.ones(1))
    free = Replacement(torch.full((2, 5, 5), 0.3, dtype=DOUBLE), normal(2, 5, 5).clamp(-0.9, 0.9))

    def draw(clip: float | None) -> torch.Tensor:
        sampler = Sampler(diffda_path(20, jump_length=3, resamplings=2), Ancestral(0.0))
        conditioning = replace(free, clip=clip)
        return sample(denoiser, conditioning, sampler, context, channels=2, generator=generator())

    assert torch.equal(draw(None), draw(1e9))
    assert float(draw(None).abs().max()) > 1.0
    assert float(draw(1.0).abs().max()) <= 1.0


# --- Order and number of steps ----------------------------------------------------------------------------------------


@dataclass
class Counting:
    """A denoiser of nought that remembers the levels it was asked for."""

    levels: list[float] = field(default_factory=list)

    def __call__(self, noisy: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        self.levels.append(float(sigma[0]))
        return torch.zeros_like(noisy)


@pytest.mark.parametrize(
    ("steps", "jump_length", "passes", "calls", "forward"),
    [(300, 10, 10, 2910, 2610), (300, 10, 1, 300, 0), (100, 10, 10, 910, 810), (50, 10, 10, 410, 360)],
)
def test_number_and_order_of_calls_are_the_releases(steps, jump_length, passes, calls, forward):
    path, counting = diffda_path(steps, jump_length=jump_length, resamplings=passes), Counting()
    everything = Replacement(torch.ones(1, 1, 1), torch.zeros(1, 1, 1))
    sampler, context = Sampler(path, Ancestral(0.0)), no_context(1, (1, 1))
    sample(counting, everything, sampler, context, channels=1, generator=generator())
    assert len(counting.levels) == calls
    assert sum(after > before for before, after in pairwise(path)) == forward

    visited, kept = repaint_schedule(steps, jump_length, passes), cumulative_alphas()
    asked = [t * (1000 // steps) for before, t in pairwise([steps, *visited]) if t < before]
    expected = [math.sqrt((1.0 - kept[t]) / kept[t]) for t in asked]
    assert counting.levels == pytest.approx(expected, rel=1e-9)


# --- What replacement does to the answer ------------------------------------------------------------------------------


def test_where_everything_is_known_it_comes_back():
    known, denoiser = normal(3, 2, 5, 5), PreconditionedDenoiser(SmallNetwork(2, 0), epsilon, torch.ones(1))
    sampler, context = Sampler(diffda_path(10, jump_length=2, resamplings=2), Ancestral(0.0)), no_context(3, (5, 5))
    everything = Replacement(torch.ones(2, 5, 5), known)
    assert torch.equal(sample(denoiser, everything, sampler, context, channels=2, generator=generator()), known)


def test_where_nothing_is_known_the_prior_is_drawn_from():
    denoiser = PreconditionedDenoiser(SmallNetwork(2, 0), epsilon, torch.ones(1))
    sampler, context = Sampler(diffda_path(20, resamplings=1), Ancestral(0.0)), no_context(3, (5, 5))
    nothing = Replacement(torch.zeros(2, 5, 5), normal(2, 5, 5))
    draws = [sample(denoiser, c, sampler, context, channels=2, generator=generator()) for c in (nothing, Prior())]
    assert torch.equal(*draws)


def test_known_part_has_the_noise_of_its_level_anew_at_every_visit():
    known, noise, levels = normal(1, 40, 40), generator(), torch.tensor([3.0, 0.5], dtype=DOUBLE)
    hard = Replacement(torch.ones(1, 40, 40), known)
    first, second = (hard.replace(torch.zeros(2, 1, 40, 40, dtype=DOUBLE), levels, noise) - known for _ in range(2))
    assert first.std(dim=(1, 2, 3)).tolist() == pytest.approx([3.0, 0.5], rel=0.05)
    assert abs(float((first[0] * second[0]).mean())) < 9.0 * 0.1


class PairNetwork(torch.nn.Module):
    """The exact ε of two channels with unit variances and correlation 0.9."""

    def forward(self, values: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        P, one, level = (
            torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=DOUBLE),
            torch.eye(2, dtype=DOUBLE),
            float(sigma[0]),
        )
        noisy = values.flatten(1) * math.sqrt(1.0 + level**2)
        return (noisy @ torch.linalg.inv(P + level**2 * one) * level)[:, :, None, None]


FIRST_KNOWN = torch.tensor([1.0, 0.0], dtype=DOUBLE)[:, None, None]


@pytest.mark.parametrize(
    ("calls", "passes", "eta", "mean", "std"),
    [
        (250, 1, 0.0, 0.672, 0.650),
        (250, 10, 0.0, 1.281, 0.443),
        (50, 10, 0.0, 1.174, 0.497),
        (50, 10, 1.0, 1.186, 0.465),
    ],
)
def test_resampling_tells_the_unobserved_variable(calls, passes, eta, mean, std):
    """r_1 = 1.5 is known, so r_2 is 1.350 ± 0.436; expected is what 20,000 chains make of it (±0.005)."""
    denoiser = PreconditionedDenoiser(PairNetwork(), epsilon, torch.ones(1))
    sampler, context = Sampler(diffda_path(calls, resamplings=passes), Ancestral(eta)), no_context(2000, (1, 1))
    conditioning = Replacement(FIRST_KNOWN, 1.5 * FIRST_KNOWN)
    draws = sample(denoiser, conditioning, sampler, context, channels=2, generator=generator())[:, :, 0, 0]
    assert bool((draws[:, 0] == 1.5).all())
    assert float(draws[:, 1].mean()) == pytest.approx(mean, abs=0.035)
    assert float(draws[:, 1].std()) == pytest.approx(std, abs=0.03)


@pytest.mark.parametrize(("late", "mean", "std"), [(False, 1.174, 0.497), (True, 1.048, 0.551)])
def test_published_figures_are_those_of_the_late_undo_steps(late, mean, std):
    """``guidance-and-anchors.md`` §1.1 has 1.048 ± 0.551 for 50 calls: that is the release's undoing, not RePaint's."""
    noise = generator(1)
    noises = (torch.randn(2000, 2, 1, 1, generator=noise, dtype=DOUBLE) for _ in range(10_000))
    chain = Transcription(
        PairNetwork(), FIRST_KNOWN, 1.5 * FIRST_KNOWN, no_context(2000, (1, 1)), noises, eta=0.0, steps=50, late=late
    )
    draws = chain.run(jump_length=10, passes=10)[:, 1]
    assert float(draws.mean()) == pytest.approx(mean, abs=0.035)
    assert float(draws.std()) == pytest.approx(std, abs=0.03)


def test_a_soft_mask_takes_spread_away_where_nothing_was_observed():
    """The weakness of DiffDA's mask: points independent of the observed one should keep their spread."""
    position = torch.tensor([[20e3, 15e3]], dtype=DOUBLE)
    observed = ObservedPoints(torch.zeros(1, dtype=torch.int64), position, torch.zeros(1))
    sampler, context = Sampler(diffda_path(20, jump_length=5, resamplings=3), Ancestral(0.0)), no_context(300, (14, 16))

    def spread(kernel_std: float) -> torch.Tensor:
        conditioning = replacement_from(observed, REGION, ReplacementSettings(Bumps(kernel_std)), channels=1)
        return sample(independent, conditioning, sampler, context, channels=1, generator=generator()).std(dim=0)[0]

    m = soft_mask(ObservedCells(*torch.tensor([[0], [6], [8]])), (1, 14, 16), Bumps(1.5))[0]
    beside, soft, hard = (m > 0.6) & (m < 1.0), spread(1.5), spread(0.0)
    assert int(beside.sum()) == 8
    elsewhere = float(hard[m == 0.0].mean())
    assert float(soft[m == 0.0].mean()) == pytest.approx(elsewhere, abs=0.03)
    assert float(hard[beside].mean()) == pytest.approx(elsewhere, abs=0.06)
    assert float(soft[beside].max()) < 0.4 * elsewhere


def independent(noisy: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """E[r | noisy] where all points are independent, with a variance of 1."""
    return noisy / (1.0 + sigma.square())[:, None, None, None]


# --- From data to the conditioning ------------------------------------------------------------------------------------


def observed_points(count: int = 40, members: int = 2) -> ObservedPoints:
    position = torch.rand(count, 2, generator=generator(5), dtype=DOUBLE) * torch.tensor([37.5e3, 32.5e3])
    return ObservedPoints(torch.arange(count) % 2, position, normal(members, count, seed=6))


@pytest.mark.parametrize("interpolation", [Kriging(40e3), Linear()], ids=["kriging", "linear"])
@pytest.mark.parametrize("bumps", [Bumps(1.5), Bumps(1.5, OLDER), Bumps(0.0)], ids=["newer", "older", "hard"])
def test_observed_cells_are_the_nearest_and_each_channel_has_its_own(interpolation, bumps):
    observed = observed_points()
    settings = ReplacementSettings(bumps, interpolation, clip=5.0)
    made = replacement_from(observed, REGION, settings, channels=3)
    assert made.known.shape == (2, 3, 14, 16)
    assert made.clip == 5.0
    cells = torch.round(observed.position / 2500.0).to(torch.int64)
    for channel in range(3):
        expected = {(row, column) for column, row in cells[observed.channel == channel].tolist()}
        assert set(map(tuple, torch.nonzero(made.soft_mask[channel] == 1.0).tolist())) == expected
    assert float(made.known[:, 2].abs().max()) == 0.0


def test_the_order_of_data_does_not_matter():
    observed, settings = observed_points(), ReplacementSettings(interpolation=Kriging(40e3))
    order = torch.randperm(40, generator=generator(7))
    shuffled = ObservedPoints(observed.channel[order], observed.position[order], observed.value[:, order])
    one, other = (replacement_from(points, REGION, settings, channels=2) for points in (observed, shuffled))
    assert torch.equal(one.soft_mask, other.soft_mask)
    torch.testing.assert_close(one.known, other.known)


def test_data_of_a_cell_are_averaged():
    position = torch.tensor([[5000.0, 5000.0], [5600.0, 4800.0], [20e3, 20e3]], dtype=DOUBLE)
    observed = ObservedPoints(torch.zeros(3, dtype=torch.int64), position, torch.tensor([1.0, 3.0, 7.0]))
    averaged, cells = one_a_cell(observed, REGION)
    assert cells.tolist() == [2 * 16 + 2, 8 * 16 + 8]
    assert averaged.value.tolist() == [2.0, 7.0]
    assert averaged.position.tolist() == [[5300.0, 4900.0], [20e3, 20e3]]


def test_values_on_grid_points_less_the_background_are_innovations_there():
    cells, background = torch.tensor([17, 60, 130, 200]), normal(1, 14, 16)
    position, values = REGION.position.flatten(0, 1)[cells], normal(4, seed=8)
    observed = ObservedPoints(torch.zeros(4, dtype=torch.int64), position, values)
    settings = ReplacementSettings(interpolation=Kriging(40e3, constant_drift=True))
    made = replacement_from(observed, REGION, settings, channels=1, background=background)
    expected = (values - background.flatten()[cells]).float()
    torch.testing.assert_close(made.known.flatten()[cells], expected, atol=1e-6, rtol=0.0)


def test_on_the_globe_bumps_cross_the_seam():
    globe = GridPlaces.of_latitudes(np.linspace(-90.0, 90.0, 37), 5.0 * np.arange(72), periodic=True)
    observed = ObservedPoints(torch.zeros(1, dtype=torch.int64), on_sphere([0.0], [359.0]), torch.ones(1))
    made = replacement_from(observed, globe, ReplacementSettings(), channels=1)
    across = math.exp(-(1.05**2) / 4.5)
    assert made.soft_mask[0, 18, [71, 0, 1]].tolist() == pytest.approx([across, 1.0, across])
    release = replacement_from(observed, replace(globe, periodic=False), ReplacementSettings(), channels=1)
    assert release.soft_mask[0, 18, [71, 0, 1]].tolist() == pytest.approx([0.0, 1.0, across])


def test_without_data_the_prior_is_left():
    nothing = ObservedPoints(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2, dtype=DOUBLE), torch.zeros(0))
    made = replacement_from(nothing, REGION, ReplacementSettings(), channels=2)
    assert not bool(made.soft_mask.any() or made.known.any())


def test_refuses_what_makes_no_sense():
    with pytest.raises(InputError, match="expected"):
        Replacement(torch.zeros(1, 4, 5), torch.zeros(2, 4, 5))
    with pytest.raises(InputError, match="0 … 1"):
        Replacement(torch.full((1, 4, 5), 1.5), torch.zeros(1, 4, 5))
    with pytest.raises(InputError, match="finite"):
        Replacement(torch.zeros(1, 4, 5), torch.full((1, 4, 5), math.nan))
    with pytest.raises(UsageError, match="clipped"):
        Replacement(torch.zeros(1, 4, 5), torch.zeros(1, 4, 5), clip=0.0)
