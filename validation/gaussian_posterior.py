"""Every way in of the observations against posteriors known in closed form, with the exact denoiser of the prior.

    python validation/gaussian_posterior.py [--output validation]

Priors: two variables of correlation 0.9 (the pair), one variable on 32 × 32 points (SOAR, 4 points), and two such of
correlation 0.6. With a denoiser that is exact, what misses the posterior is the way in or the sampler, not the
training. A call is an evaluation of the denoiser or a vector–Jacobian product of it; both are counted as they happen.

Error is the rms distance of means of 8 members to the exact mean, over that of exact draws (the sampling floor); spread
is over the exact one; bias, where members are many, is that of their mean in exact standard deviations. Limits, for
`kalman` with the true covariance and `moment_matching`: error ≤ 1.2, spread 0.90–1.10 within 30 calls and 0.95–1.05
with 256. RePaint's dependence on resampling and its loss of spread must be reproduced, and nothing guarded may leave
the finite. Writes the tables and a figure; exits 0 only if every limit holds, and names those that do not.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from gaussian_posterior_cases import DOUBLE, LENGTH, Case, cases, grid_of, pair_case, small_case
from torch import Tensor

from rtma_diffda.diffusion.conditioning.dense_gain import DenseGain
from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.diffusion.conditioning.kalman import Kalman
from rtma_diffda.diffusion.conditioning.moment_matching import MomentMatching, conjugate_gradients
from rtma_diffda.diffusion.conditioning.replacement import ReplacementSettings, replacement_from
from rtma_diffda.diffusion.conditioning.score_guidance import PosteriorSampling, ScoreGuidance
from rtma_diffda.diffusion.conditioning.soft_mask import Bumps
from rtma_diffda.diffusion.conditioning.spread_innovations import Kriging
from rtma_diffda.diffusion.gaussian import Gaussian
from rtma_diffda.diffusion.paths import diffda_path, karras_path, logarithmic_path
from rtma_diffda.diffusion.sampling import Ancestral, Heun, Multistep, Sampler, sample
from rtma_diffda.errors import InputError
from rtma_diffda.interfaces import Conditioning
from rtma_diffda.verification.reports.canvas import legend_below, panels, save_png, source_colours, tidy

ENSEMBLE = 8
Entry = Callable[[Evidence], Conditioning]


@dataclass(frozen=True)
class Way:
    """How observations enter, and the sampler chosen for it; with limits where ``judged``."""

    name: str
    conditioning: Callable[[Case], Conditioning]
    sampler: Sampler
    judged: bool = False


@dataclass(frozen=True)
class Figure:
    """What one way made of one case."""

    case: str
    way: Way
    calls: int
    error: float
    spread: float
    bias: float
    mean: float
    std: float


@dataclass
class Counted:
    """The denoiser, counting evaluations and vector–Jacobian products."""

    denoiser: Callable[[Tensor, Tensor, Tensor], Tensor]
    calls: int = 0

    def __call__(self, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        answer = self.denoiser(noisy, sigma, context)
        self._count()
        if answer.requires_grad:
            answer.register_hook(self._count)
        return answer

    def _count(self, gradient: Tensor | None = None) -> None:
        self.calls += 1


# --- Ways in ----------------------------------------------------------------------------------------------------------


def kalman(case: Case) -> Conditioning:
    return Kalman(case.evidence, DenseGain(case.prior.covariance, case.evidence, affine=case.observed is not None))


def moment_matching(case: Case) -> Conditioning:
    return MomentMatching(case.evidence, iterations=few_iterations(case), isotropic_above=math.inf)


def sda(gamma: float) -> Callable[[Case], Conditioning]:
    return lambda case: ScoreGuidance(case.evidence, gamma)


def replaced(kernel_std: float) -> Callable[[Case], Conditioning]:
    settings = ReplacementSettings(Bumps(kernel_std), Kriging(length=2.0 * LENGTH, radius=10.0 * LENGTH))
    return lambda case: replacement_from(case.observed, grid_of(case.prior), settings, channels=len(case.prior.mean))


def few_iterations(case: Case) -> int:
    """As many as data, or 3: one datum is one dimension of the Krylov space."""
    return min(3, len(case.evidence))


def matching_sampler(case: Case, calls: int) -> Sampler:
    """The path that so many calls afford; so few levels as three iterations leave are better spent below 30."""
    levels = calls // (1 + few_iterations(case))
    few = {"highest": 30.0, "lowest": 0.1} if levels < 10 else {"lowest": 0.03 if calls <= 30 else 0.01}
    return Sampler(logarithmic_path(levels, **few), Multistep(1.0))


def ways(case: Case) -> tuple[Way, ...]:
    """The chosen sampler of each way: ``Multistep(1)`` forgets what was wrong at large noise levels, as ancestral steps
    do, and keeps the spread, as they do not."""
    forgetful, plain, released = Multistep(1.0), Ancestral(), Ancestral(0.0)
    few, many = logarithmic_path(15), logarithmic_path(128, lowest=0.01)
    guided = (
        Way("kalman", kalman, Sampler(logarithmic_path(30), forgetful), judged=True),
        Way("kalman", kalman, Sampler(logarithmic_path(256, lowest=0.01), forgetful), judged=True),
        Way("moment_matching", moment_matching, matching_sampler(case, 30), judged=True),
        Way("moment_matching", moment_matching, matching_sampler(case, 256), judged=True),
        Way("SDA, γ = 0.01", sda(0.01), Sampler(few, plain)),
        Way("SDA, γ = 0.01", sda(0.01), Sampler(many, plain)),
        Way("SDA, γ = 1", sda(1.0), Sampler(few, plain)),
        Way("DPS", lambda case: PosteriorSampling(case.evidence), Sampler(few, plain)),
    )
    if case.observed is None:
        return guided
    soft = Way("replacement, 10 × 10, soft", replaced(1.5), Sampler(diffda_path(50), released))
    return (
        *guided,
        Way("replacement, no jumps", replaced(0.0), Sampler(diffda_path(30, resamplings=1), released)),
        Way("replacement, 10 × 10", replaced(0.0), Sampler(diffda_path(50), released)),
        *((soft,) if case.prior.mean[0].numel() > 1 else ()),
    )


def draw(case: Case, conditioning: Conditioning, sampler: Sampler, denoiser=None) -> tuple[Tensor, int]:
    """Members (member, channel, y, x), and the calls that they took."""
    counted = Counted(denoiser or case.prior)
    context = torch.zeros(case.members, 0, *case.prior.mean.shape[1:], dtype=DOUBLE)
    generator = torch.Generator().manual_seed(0)
    channels = len(case.prior.mean)
    return sample(counted, conditioning, sampler, context, channels=channels, generator=generator), counted.calls


def measure(case: Case, way: Way) -> Figure:
    drawn, calls = draw(case, way.conditioning(case), way.sampler)
    members, exact, std = drawn[:, case.scored], case.exact.mean[case.scored], case.exact.std[case.scored]
    exact_spread = float(std.square().mean().sqrt())
    means = members.unflatten(0, (-1, ENSEMBLE)).mean(dim=1)
    error = float((means - exact).square().mean().sqrt()) / (exact_spread / math.sqrt(ENSEMBLE))
    spread = float(members.var(dim=0).mean().sqrt())
    bias = float((members.mean(dim=0) - exact).square().mean().sqrt()) / exact_spread
    mean = float(members.mean())
    return Figure(case.name, way, calls, error, spread / exact_spread, bias, mean, spread)


# --- Tables -----------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """Lines of the result, printed as they come, and the limits."""

    lines: list[str] = field(default_factory=list)
    limits: list[tuple[str, bool]] = field(default_factory=list)

    def write(self, line: str = "") -> None:
        print(line, flush=True)
        self.lines.append(line)

    def table(self, *columns: str) -> None:
        self.write()
        self.row(*columns)
        self.row(*("---" for _ in columns))

    def row(self, *cells: str) -> None:
        self.write(f"| {' | '.join(cells)} |")

    def limit(self, text: str, ok: bool) -> None:
        self.limits.append((text, ok))

    @property
    def missed(self) -> list[str]:
        return [text for text, ok in self.limits if not ok]


def main_table(report: Report) -> list[Figure]:
    figures = []
    for case in cases():
        exact, std = (values[case.scored].double() for values in (case.exact.mean, case.exact.std))
        report.table(f"{case.name} ({case.members} members)", "calls", "mean error / floor", "spread / exact", "bias")
        if case.scored.sum() == 1:
            report.row(f"exact: {float(exact[0]):.3f} ± {float(std[0]):.3f}", "", "1", "1", "0")
        for way in ways(case):
            one = measure(case, way)
            figures.append(one)
            values = f": {one.mean:.3f} ± {one.std:.3f}" if case.scored.sum() == 1 else ""
            cells = (f"{one.error:.2f}", f"{one.spread:.3f}", f"{one.bias:.3f}" if case.members > 1000 else "")
            report.row(f"{way.name}{values}", str(one.calls), *cells)
            judge(report, one)
    return figures


def judge(report: Report, one: Figure) -> None:
    if not one.way.judged:
        return
    low, high = (0.90, 1.10) if one.calls <= 30 else (0.95, 1.05)
    name = f"{one.case}, {one.way.name}, {one.calls} calls"
    report.limit(f"{name}: at most 30 or 256 calls", one.calls <= 30 or 31 < one.calls <= 256)
    report.limit(f"{name}: error {one.error:.3f} ≤ 1.2 × the floor", one.error <= 1.2)
    report.limit(f"{name}: spread {one.spread:.3f} within {low}–{high}", low <= one.spread <= high)


def sampler_table(report: Report) -> None:
    """Which sampler keeps the spread within 30 calls; `kalman`, whose conditioning is exact."""
    case = pair_case(0.5)
    report.table("sampler, `kalman`, pair, error 0.5", "calls", "mean error / floor", "spread / exact", "bias")
    samplers = {
        "ancestral, Karras 14 (the shipped default; its spread is calibrated)": Sampler(karras_path(14), Ancestral()),
        "ancestral, Karras 30": Sampler(karras_path(30), Ancestral()),
        "DDIM, Karras 30": Sampler(karras_path(30), Ancestral(0.0)),
        "Heun, Karras 15": Sampler(karras_path(15), Heun()),
        "multistep, Karras 30": Sampler(karras_path(30), Multistep()),
        "stochastic multistep, Karras 30": Sampler(karras_path(30), Multistep(1.0)),
        "stochastic multistep, logarithmic 30": Sampler(logarithmic_path(30), Multistep(1.0)),
        "stochastic multistep, logarithmic 14": Sampler(logarithmic_path(14), Multistep(1.0)),
    }
    for name, sampler in samplers.items():
        one = measure(case, Way(name, kalman, sampler))
        report.row(name, str(one.calls), f"{one.error:.2f}", f"{one.spread:.3f}", f"{one.bias:.3f}")


REPAINT = (  # levels, passes, η; mean ± std of the reference; ours with exact kernels, of 20,000 chains
    (250, 1, 0.0, "0.662 ± 0.660", (0.672, 0.650)),
    (250, 10, 0.0, "1.236 ± 0.479", (1.281, 0.443)),
    (250, 10, 1.0, "1.281 ± 0.445", None),
    (50, 1, 0.0, "", None),
    (50, 2, 0.0, "", None),
    (50, 5, 0.0, "", None),
    (50, 10, 0.0, "1.048 ± 0.551", (1.174, 0.497)),
    (50, 20, 0.0, "", None),
)


def repaint_table(report: Report) -> list[tuple[int, float, float]]:
    """RePaint's dependence on resampling; r₁ = 1.5 without error. The passes, mean and std of 50 calls are returned."""
    case, falling = replace(pair_case(1e-9), members=20_000), []
    exact = f"{float(case.exact.mean[1]):.3f} ± {float(case.exact.std[1]):.3f}"
    report.table(f"RePaint, pair without error: exact {exact}", "calls", "η", "here", "reference")
    for calls, passes, eta, reference, expected in REPAINT:
        way = Way("", replaced(0.0), Sampler(diffda_path(calls, resamplings=passes), Ancestral(eta)))
        one = measure(case, way)
        report.row(
            f"{calls} levels, {passes} passes", str(one.calls), f"{eta:g}", f"{one.mean:.3f} ± {one.std:.3f}", reference
        )
        if calls == 50:
            falling.append((passes, one.mean, one.std))
        if expected:
            near = max(abs(one.mean - expected[0]), abs(one.std - expected[1])) < 0.02
            found = f"{one.mean:.3f} ± {one.std:.3f}"
            report.limit(f"RePaint, {calls} levels, {passes} passes: {found}, expected {expected}", near)
    means = [mean for _, mean, _ in falling]
    report.limit(f"RePaint's mean grows with its passes: {[round(m, 3) for m in means]}", means == sorted(means))
    return falling


def judge_loss_of_spread(report: Report, figures: Sequence[Figure]) -> None:
    """On the field with accurate data a soft mask keeps less than 0.7 of the spread; jumps bring the mean nearer."""
    accurate = [one for one in figures if one.case.startswith("field, points")]
    bare, hard, soft = (one for one in accurate if one.way.name.startswith("replacement"))
    report.limit(f"a soft mask loses spread: {soft.spread:.2f} ≤ 0.7 of exact", soft.spread <= 0.7)
    report.limit(
        f"jumps bring the mean nearer: {hard.error:.2f} ≤ 0.7 × {bare.error:.2f}", hard.error <= 0.7 * bare.error
    )


# --- Guards -----------------------------------------------------------------------------------------------------------


def wrong(prior: Gaussian) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The exact denoiser and an error of 0.2 that turns quickly: its Jacobian, times σ², is mostly error."""
    return lambda noisy, sigma, context: prior(noisy, sigma, context) + 0.2 * torch.sin(9.0 * noisy.flip(-1))


def guard_table(report: Report) -> None:
    """Largest value of any member; the prior's own is about 4. ``limit`` bounds what absurd data do in one call."""
    report.table("guards: largest value, 36 ancestral steps, 16 data on 8 × 8 points", "without", "with", "limit")
    sampler, exact, useless = Sampler(karras_path(36), Ancestral()), small_case(1e-3), small_case(1e6)
    absurd, usual = small_case(0.1, 1e8), small_case(0.1)
    free = {"guarded": False, "limit": math.inf}
    bare = {"solver": conjugate_gradients, "isotropic_above": math.inf, "limit": math.inf}
    two = pair_case(0.1)
    sda_bare, dps_bare = (partial(made, **free) for made in (ScoreGuidance, PosteriorSampling))
    rows: tuple[tuple[str, Case, Entry | None, Entry, float], ...] = (
        ("SDA γ = 0.01, the pair, error 0.1", two, sda_bare, ScoreGuidance, 20.0),
        ("SDA γ = 0.01, errors 0.001", exact, sda_bare, ScoreGuidance, 20.0),
        ("DPS, errors 0.001", exact, dps_bare, PosteriorSampling, 20.0),
        ("moment_matching, errors 0.001", exact, partial(MomentMatching, **bare), MomentMatching, 20.0),
        ("moment_matching, errors 10⁶", useless, None, MomentMatching, 20.0),
        ("kalman, errors 0.001", exact, None, lambda _: kalman(exact), 20.0),
        ("kalman, errors 10⁶", useless, None, lambda _: kalman(useless), 20.0),
        ("SDA, values × 10⁸", absurd, sda_bare, ScoreGuidance, 400.0),
        ("moment_matching, values × 10⁸", absurd, None, MomentMatching, 400.0),
    )
    for name, case, unguarded, guarded, limit in rows:
        without = largest(case, unguarded(case.evidence), sampler) if unguarded else math.nan
        judge_guard(report, name, without, largest(case, guarded(case.evidence), sampler), limit)
    for name, steps in (
        ("a wrong Jacobian, 36 levels", sampler),
        ("the same, Heun 20", Sampler(karras_path(20), Heun())),
    ):
        denoiser, guarded = wrong(usual.prior), MomentMatching(usual.evidence, iterations=3)
        unguarded = replace(guarded, **bare)
        without = largest(usual, unguarded, steps, denoiser)
        judge_guard(report, f"moment_matching, {name}", without, largest(usual, guarded, steps, denoiser), 20.0)


def largest(case: Case, conditioning: Conditioning, sampler: Sampler, denoiser=None) -> float:
    """Largest value of any member; infinite where sampling did not stay finite."""
    try:
        return float(draw(case, conditioning, sampler, denoiser)[0].abs().max())
    except InputError:
        return math.inf


def judge_guard(report: Report, name: str, without: float, found: float, limit: float) -> None:
    words = "" if math.isnan(without) else "not finite" if math.isinf(without) else f"{without:.3g}"
    report.row(name, words, f"{found:.3g}", f"≤ {limit:g}")
    report.limit(f"guarded {name}: largest value {found:.3g} ≤ {limit:g}", found <= limit)


# --- Figure and main --------------------------------------------------------------------------------------------------


def picture(figures: Sequence[Figure], repaint: Sequence[tuple[int, float, float]], path: Path) -> None:
    """Error and spread against calls on the field, and RePaint against its passes."""
    figure, (left, middle, right) = panels(3, width=4.4, height=3.6)
    shown = [one for one in figures if one.case.startswith("field, between")]
    colours = source_colours(list(dict.fromkeys(one.way.name for one in shown)))
    for name, colour in colours.items():
        calls, error, spread = zip(*((o.calls, o.error, o.spread) for o in shown if o.way.name == name), strict=True)
        left.plot(calls, error, "o-", color=colour, label=name)
        middle.plot(calls, spread, "o-", color=colour, label=name)
    for axis, title in ((left, "error of 8-member means / sampling floor"), (middle, "spread / exact spread")):
        axis.axhline(1.0, color="black", linewidth=0.9)
        axis.set(xscale="log", xlabel="calls")
        axis.set_xticks([30, 100, 256, 410], ["30", "100", "256", "410"])
        axis.minorticks_off()
        tidy(axis, title)
    passes, mean, std = zip(*repaint, strict=True)
    right.errorbar(passes, mean, yerr=std, fmt="o-", capsize=3)
    right.axhline(1.35, color="black", linewidth=0.9)
    right.axhspan(1.35 - 0.436, 1.35 + 0.436, color="black", alpha=0.1)
    right.set(xlabel="passes", ylabel="unobserved variable", xticks=passes)
    tidy(right, "RePaint, 50 levels: mean ± std, exact in grey")
    legend_below(figure, left, columns=4)
    save_png(figure, path)


def main() -> int:
    """Print and write the tables and a summary line; 0 when every limit holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started, report = time.perf_counter(), Report()
    report.write("Made by `python validation/gaussian_posterior.py`, whose first lines say what the columns are.")
    figures = main_table(report)
    sampler_table(report)
    repaint = repaint_table(report)
    judge_loss_of_spread(report, figures)
    guard_table(report)
    report.write()
    for text in report.missed:
        report.write(f"missed: {text}")
    good, count = len(report.limits) - len(report.missed), len(report.limits)
    report.write(f"gaussian posterior: {good} of {count} limits hold: {'FAILED' if report.missed else 'passed'}")
    (arguments.output / "gaussian_posterior.md").write_text("\n".join(report.lines) + "\n")
    picture(figures, repaint, arguments.output / "figures" / "gaussian_posterior.png")
    print(f"{time.perf_counter() - started:.0f} s")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
