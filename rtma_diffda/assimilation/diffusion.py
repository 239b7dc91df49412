"""Diffusion assimilation: an ensemble of analyses drawn from p(x | background, observations) by a denoiser.

    r = (x − x_b) / s ~ p(r | background, y),        x_a,i = x_b + s r_i,   i = 1 … M

The denoiser has learned p(r | background); how the observations enter is an ``ObservationEntry``: by conditioning while
sampling (``kalman`` and others: new networks, variables and errors need no training), or through the denoiser's own
input channels. The state of the analysis is the ensemble; its mean is the best estimate, its calibrated spread the
stated error. The ensemble may be centred (``centring``) on the analysis of another method, such as a regression
network's, whose mean has the lower error. Reference: Huang et al. (2024), DiffDA, arXiv 2401.05932.
"""

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rtma_diffda.assimilation.centring import Centring, CentringSums
from rtma_diffda.assimilation.denoising_network import DenoisingNetwork
from rtma_diffda.assimilation.observation_channels import in_fixed_order
from rtma_diffda.assimilation.observation_entry import ObservationEntry
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration, SpreadSums, spread
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.backbones.precision import fast_in_bfloat16
from rtma_diffda.diffusion.sampling import Sampler, sample
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AnalysisMethod, AssimilationProblem, PointAnalysis
from rtma_diffda.observations.table import Observations

MEMBERS_AT_A_TIME = 16


@dataclass(frozen=True)
class Fitted:
    """What is fitted to a denoiser for one kind of problem; attributes as of ``DiffusionAssimilation``."""

    entry: ObservationEntry
    calibration: SpreadCalibration = field(default_factory=SpreadCalibration)
    centring: Centring = field(default_factory=Centring)


@dataclass(frozen=True)
class DiffusionAssimilation:
    """Ensembles of analyses.

    Attributes:
        static: terrain and land on the analysis grid.
        network: trained; evaluated without gradients unless the entry asks for them.
        entry: how observations enter.
        sampler: path of noise levels and stepper.
        members: M, of each member of the background.
        calibration: of the spread; the default changes nothing.
        centre: a method whose analysis the ensemble is moved towards; has a field ``static``. None: it stays.
        centring: how far.
        bfloat16: evaluate the network in bfloat16, with errors far below the spread: three times as fast on
            processors that have it, and three times as slow on others. None: where it is faster.
        without_boundary: what holds for problems without global states, of a network that is told them; None: the same.
    """

    static: StaticFields
    network: DenoisingNetwork
    entry: ObservationEntry
    sampler: Sampler
    members: int = 8
    calibration: SpreadCalibration = field(default_factory=SpreadCalibration)
    centre: AnalysisMethod | None = None
    centring: Centring = field(default_factory=Centring)
    bfloat16: bool | None = False
    without_boundary: Fitted | None = None

    def __post_init__(self) -> None:
        if self.members < 1:
            raise UsageError(f"an ensemble needs a member or more; found {self.members}")

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The ensemble, ``members`` for each member of the background, in its order.

        Raises:
            UsageError: the background has other variables than the network, or another order of them.
            InputError: a datum lies outside the grid, or sampling did not stay finite.
        """
        if problem.boundary is None and self.without_boundary is not None:
            return self._alone().analyse(problem, generator=generator)
        problem = in_fixed_order(problem)
        background = problem.background.values
        here = replace(self, network=self.network.on_grid(problem.background.layout.grid))
        values, calls = here._drawn(problem, generator)
        if self.centre is not None:
            values = self._centred(values, problem, generator)
        names = problem.background.layout.names
        members = self.calibration(values, names)
        state = problem.background.with_values(members.flatten(0, 1).to(background))
        error_std = None
        if members.shape[1] > 1:
            error_std = torch.stack([spread(part) for part in members]).square().mean(dim=0).sqrt().to(background)
        degraded = self.network.encoding.shortcomings(self.static, problem.background.layout.grid.dx)
        return Analysis(state, problem, error_std, self._diagnostics(members, background, names, calls), degraded)

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """H of the ensemble on the grid, at the places and heights of ``targets``: its mean for each background member.

        The ensemble is always the same one, drawn from seed 0.

        Raises:
            InputError: a target lies outside the grid.
        """
        analysis = self.analyse(problem, generator=torch.Generator().manual_seed(0))
        members = problem.operator(analysis.state.values.double(), targets)
        by_background = members.view(problem.background.members, self.members, -1)
        if self.members == 1:
            return PointAnalysis(by_background.mean(dim=1))
        spreads = torch.stack([spread(part[:, None, None])[0, 0] for part in by_background])
        return PointAnalysis(by_background.mean(dim=1), spreads.square().mean(dim=0).sqrt())

    def _alone(self) -> "DiffusionAssimilation":
        """The method for problems without global states."""
        other = self.without_boundary
        return replace(
            self, entry=other.entry, calibration=other.calibration, centring=other.centring, without_boundary=None
        )

    def _drawn(self, problem: AssimilationProblem, generator: torch.Generator) -> tuple[Tensor, int]:
        """Analyses (background's member, member, channel, y, x), not yet centred or calibrated, and network calls."""
        encoding, background = self.network.encoding, problem.background.values
        context = self.entry.context(encoding, problem, self.static).side_by_side()
        scale = encoding.scale(background)
        drawn, calls = [], 0
        for row in range(len(background)):
            alone = replace(problem, background=problem.background.with_values(background[row : row + 1]))
            r, made = self._sampled(alone, context[row : row + 1], scale, generator)
            drawn.append(background[row] + scale * r.to(background))
            calls += made
        return torch.stack(drawn), calls

    def _sampled(
        self, problem: AssimilationProblem, context: Tensor, scale: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, int]:
        """r (member, channel, y, x) on one background, some members at a time, and network calls of all."""
        parts, calls = [], 0
        for count in _shares(self.members):
            conditioning = self.entry.conditioning(problem, self.static, scale, members=count)
            with torch.no_grad():
                part = sample(
                    self._denoise,
                    conditioning,
                    self.sampler,
                    context.expand(count, *context.shape[1:]),
                    channels=len(scale),
                    generator=generator,
                )
            parts.append(part)
            calls += count * self.entry.calls(conditioning, self.sampler.path)
        return torch.cat(parts), calls

    def _denoise(self, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        wanted = fast_in_bfloat16(noisy.device) if self.bfloat16 is None else self.bfloat16
        with torch.autocast(noisy.device.type, dtype=torch.bfloat16, enabled=wanted):
            return self.network(noisy, sigma, context).float()

    def _centred(self, values: Tensor, problem: AssimilationProblem, generator: torch.Generator) -> Tensor:
        there = replace(self.centre, static=self.static).analyse(problem, generator=generator)
        return self.centring(values, there.state.values, problem.background.layout.names)

    def _diagnostics(self, members: Tensor, background: Tensor, names: Sequence[str], calls: int) -> dict[str, float]:
        increments = (members.mean(dim=1) - background).square().mean(dim=(0, 2, 3)).sqrt().tolist()
        diagnostics = {f"{name}_increment_rms": size for name, size in zip(names, increments, strict=True)}
        return {**diagnostics, "network_calls": float(calls)}


def fitted_ensemble(method: DiffusionAssimilation, cases: Sequence[TruthCase], *, seed: int) -> DiffusionAssimilation:
    """The method with centring and spread fitted on cases of validation runs, whose networks and densities matter.

    Raises:
        UsageError: no cases, or one member only.
    """
    if not cases or method.members < 2:
        raise UsageError(f"an ensemble is fitted on cases, with two members or more; found {len(cases)} cases")
    bare, names = replace(method, calibration=SpreadCalibration(), centre=None), method.network.encoding.names
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        replace(bare, static=case.static).analyse(case.problem, generator=generator).state.values for case in cases
    ]
    truths, centring = [case.truth.values[0] for case in cases], method.centring
    if method.centre is not None:
        centres = [
            replace(method.centre, static=case.static).analyse(case.problem, generator=generator).state.values[0]
            for case in cases
        ]
        sums = map(CentringSums.of, drawn, centres, truths)
        centring = functools.reduce(operator.add, sums).centring(names)
        drawn = [centring(members, centre, names) for members, centre in zip(drawn, centres, strict=True)]
    spreads = functools.reduce(operator.add, map(SpreadSums.of, drawn, truths))
    return replace(method, centring=centring, calibration=spreads.calibration(names))


def _shares(members: int) -> list[int]:
    """Members of each part that is sampled together."""
    whole, rest = divmod(members, MEMBERS_AT_A_TIME)
    return [MEMBERS_AT_A_TIME] * whole + ([rest] if rest else [])
