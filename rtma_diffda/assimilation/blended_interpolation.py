"""A blend of two interpolations: with the background and without it, each weighed by what it says of itself.

    x_a = (1 − w) x_1 + w x_2,     w = α σ_2⁻² / (α σ_2⁻² + (1 − α) σ_1⁻²)

x_1 is optimal interpolation, x_2 observation interpolation, σ their stated errors at the place: where no station is
near, σ_2 is large and the background stands. One number α is chosen, on the errors that each makes at every datum when
that datum is left out (leave-one-out, exact, ``tuning.leave_one_out_errors``). Between dense stations the two err
partly independently, since one trusts the background's pattern and the other the height trend of the data, and their
blend is better than both. The stated error allows for no such independence, (1 − w) σ_1 + w σ_2, times a factor that
makes the mean square of the standardised left-out errors 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError, covariance
from rtma_diffda.assimilation.observation_interpolation import ObservationInterpolation, departures_from_mean
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.places import Surroundings
from rtma_diffda.assimilation.posterior import Evidence
from rtma_diffda.assimilation.tuning import innovation_evidence
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem, PointAnalysis
from rtma_diffda.observations.table import Observations

_SHARES = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)


@dataclass(frozen=True)
class BlendedInterpolation:
    """The blend, one variable at a time.

    Attributes:
        static: terrain and land on the analysis grid; both parts are moved to it.
        with_background, without_background: the two parts, tuned.
        shares: {variable: α}; ½ where not named.
        error_factors: {variable: factor of the stated error}; 1 where not named.
    """

    static: StaticFields
    with_background: OptimalInterpolation
    without_background: ObservationInterpolation
    shares: Mapping[str, float] = field(default_factory=dict)
    error_factors: Mapping[str, float] = field(default_factory=dict)

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """The blend on the grid; no random numbers are drawn."""
        first, second = (part.analyse(problem, generator=generator) for part in self._parts())
        names, columns = problem.background.layout.names, (-1, 1, 1)
        share, factor = (
            torch.tensor([chosen.get(name, default) for name in names], dtype=torch.float64).view(columns)
            for chosen, default in ((self.shares, 0.5), (self.error_factors, 1.0))
        )
        w = weight(share, first.error_std.double(), second.error_std.double())
        values = (1.0 - w) * first.state.values.double() + w * second.state.values.double()
        error_std = factor * ((1.0 - w) * first.error_std + w * second.error_std.nan_to_num(posinf=0.0))
        state = problem.background.with_values(values.to(problem.background.values))
        return Analysis(state, problem, error_std.to(state.values), first.diagnostics, first.degraded)

    def analyse_at(self, problem: AssimilationProblem, targets: Observations) -> PointAnalysis:
        """The blend at the targets, each at its own height."""
        first, second = (part.analyse_at(problem, targets) for part in self._parts())
        names = [problem.background.layout.names[channel] for channel in targets.channel.tolist()]
        share = torch.tensor([self.shares.get(name, 0.5) for name in names], dtype=torch.float64)
        factor = torch.tensor([self.error_factors.get(name, 1.0) for name in names], dtype=torch.float64)
        w = weight(share, first.error_std, second.error_std)
        error_std = factor * ((1.0 - w) * first.error_std + w * second.error_std.nan_to_num())
        return PointAnalysis((1.0 - w) * first.mean + w * second.mean, error_std)

    def _parts(self) -> tuple[OptimalInterpolation, ObservationInterpolation]:
        return replace(self.with_background, static=self.static), replace(self.without_background, static=self.static)


def weight(share: Tensor, first_std: Tensor, second_std: Tensor) -> Tensor:
    """w of any shape; 0 where the second part states no error, having had no data."""
    first, second = (1.0 - share) / first_std**2, share / second_std**2
    return torch.where(torch.isfinite(second), second / (first + second), 0.0)


def tuned_blend(
    problems: Sequence[AssimilationProblem],
    with_background: OptimalInterpolation,
    without_background: ObservationInterpolation,
) -> BlendedInterpolation:
    """The blend with α and the factor of its error chosen on the problems' own data, each left out in turn.

    Args:
        problems: one a time, of one layout.
        with_background, without_background: tuned on the same data.
    """
    shares, factors = {}, {}
    for channel, name in enumerate(problems[0].background.layout.names):
        around = [Surroundings(p, with_background.static) for p in problems if len(p.observations.of_channel(channel))]
        if not around:
            continue
        error, ratio = with_background.background_errors[name], with_background.observation_error_factors.get(name, 1.0)
        first = _joined([left_out(error, ratio, innovation_evidence(place, channel)) for place in around])
        error, ratio = without_background.structures[name], without_background.observation_error_factors.get(name, 1.0)
        second = _joined([left_out(error, ratio, departures_from_mean(place, channel)[1]) for place in around])
        shares[name] = float(min(_SHARES, key=lambda share: float(_blended(share, first, second)[0].square().mean())))
        reports = torch.cat([innovation_evidence(place, channel).error_variance for place in around])
        factors[name] = _error_factor(*_blended(torch.tensor(shares[name]), first, second), reports)
    return BlendedInterpolation(with_background.static, with_background, without_background, shares, factors)


def _joined(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Errors and their stated std of all times."""
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def left_out(error: BackgroundError, factor: float, evidence: Evidence) -> tuple[Tensor, Tensor]:
    """Errors (n,) at every datum of the analysis without it, datum minus analysis, and their stated std (n,) there.

    With P = (B + f² R)⁻¹: e = (P d) / diag P, and σ² = 1 / diag P − f² R.
    """
    error_variance = factor**2 * evidence.error_variance
    A = covariance(error, evidence.places, evidence.places) + torch.diag(error_variance)
    P = torch.cholesky_inverse(torch.linalg.cholesky(A))
    variance = 1.0 / P.diagonal() - error_variance
    return (P @ evidence.innovations[0]) / P.diagonal(), variance.clamp_min(1e-6).sqrt()


def _blended(share: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Left-out errors of the blend, and what it states of them."""
    w = weight(share, first[1], second[1])
    return (1.0 - w) * first[0] + w * second[0], (1.0 - w) * first[1] + w * second[1]


def _error_factor(error: Tensor, std: Tensor, report_variance: Tensor) -> float:
    """c with mean(e² − R) = c² mean(σ²); never below a tenth."""
    excess = (error.square() - report_variance).mean() / std.square().mean()
    return float(excess.clamp_min(0.01).sqrt())
