"""Scores of one analysis, against a simulated truth: a row for each variable and each kind of place.

Three kinds of place, never mixed: the *grid*; the *withheld* stations, against the truth at the station's position and
height; and the *reports* of the withheld stations, as they would be scored in reality, with the reports' errors added
to what the method states. A method is known by its name alone.

Several members are a method's statement of uncertainty, whatever error its analysis states beside them: CRPS, spread,
coverage, ranks and the joint scores are of the members. The joint scores (``joint_scores``) are against the truth only.

What is kept are means over the places of one case, so that any number of cases fits in memory; ``run_moments`` puts
them together. Points of the grid weigh the same: over a limited area a projection's cells differ by well under 1 %.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import Analysis
from rtma_diffda.observations.table import Observations
from rtma_diffda.verification.ensemble_scores import (
    Departures,
    coverage,
    crps,
    mean_error,
    rank_counts,
    spread_variance,
)
from rtma_diffda.verification.joint_scores import (
    Pairs,
    block_energy_score,
    drawn_members,
    energy_score,
    variogram_score,
)
from rtma_diffda.verification.roughness import laplacian_power

GRID, WITHHELD, REPORTS = "grid", "withheld", "reports"
PLACES = (GRID, WITHHELD, REPORTS)
"""Kinds of place: against the truth over the grid, against it at withheld stations, and against their reports."""


@dataclass(frozen=True)
class CaseLabel:
    """Which analysis was scored.

    Attributes:
        setting: of the experiment, in words that the tables show: ``default``, ``30 stations``, …
        method: name of the method.
        run: the independent run that the truth is from; runs are what intervals resample.
        valid_time: of the analysis.
    """

    setting: str
    method: str
    run: str
    valid_time: np.datetime64


@dataclass(frozen=True)
class Cost:
    """What one analysis took; NaN where it was not measured.

    Attributes:
        network_calls: evaluations of a network, members counted singly.
        seconds: wall-clock time.
        memory_bytes: peak memory above what was held before.
    """

    network_calls: float = float("nan")
    seconds: float = float("nan")
    memory_bytes: float = float("nan")


@dataclass(frozen=True)
class CaseScores:
    """Scores of one variable of one analysis at one kind of place; SI units.

    Attributes:
        label: which analysis.
        variable: short name.
        place: one of ``PLACES``.
        n: number of grid points or data.
        members: of the analysis.
        bias, mse: of the mean over members.
        crps: mean over the places.
        spread_variance: what ``mse`` should be by the method's own statement; NaN where it makes none.
        within_1, within_2: shares of errors within one and two spreads; NaN without a statement.
        laplacian_truth, laplacian_mean, laplacian_members: mean squared Laplacian of the truth, of the members' mean,
            and of the members; NaN except over the grid.
        energy: energy score, of all stations together or the mean over blocks of the grid; NaN for reports.
        variogram: variogram score; NaN except at withheld stations against the truth.
        ranks: counts of the rank histogram; None without a statement of uncertainty.
        cost: of the analysis; the same for all of its variables and places.
    """

    label: CaseLabel
    variable: str
    place: str
    n: int
    members: int
    bias: float
    mse: float
    crps: float
    spread_variance: float
    within_1: float
    within_2: float
    laplacian_truth: float = float("nan")
    laplacian_mean: float = float("nan")
    laplacian_members: float = float("nan")
    energy: float = float("nan")
    variogram: float = float("nan")
    ranks: tuple[int, ...] | None = None
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True)
class Judge:
    """How analyses are scored.

    Attributes:
        rank_bins: bins of the rank histogram of methods that state a Gaussian: as many as the ensembles have ranks.
        rim: so many rows of grid points along each edge are left out.
        gaussian_members: so many are drawn for the energy score of methods that state a Gaussian: as many as the
            ensembles have.
    """

    rank_bins: int = 9
    rim: int = 0
    gaussian_members: int = 8

    def __post_init__(self) -> None:
        if self.rank_bins < 2 or self.gaussian_members < 2 or self.rim < 0:
            raise UsageError(
                "a judge needs at least 2 rank bins, 2 drawn members and a rim ≥ 0; found "
                f"{self.rank_bins}, {self.gaussian_members} and {self.rim}"
            )

    def score_case(
        self,
        analysis: Analysis,
        truth: State,
        *,
        withheld: Observations,
        label: CaseLabel,
        generator: torch.Generator,
        cost: Cost | None = None,
    ) -> list[CaseScores]:
        """Scores of an analysis at every kind of place.

        Args:
            analysis: of any number of members; its problem's operator takes it and the truth to the stations.
            truth: one member, same layout and valid time.
            withheld: data that the method has not seen, with values and errors, and without those that quality control
                rejected: a gross error says nothing of an analysis. None at all: the grid alone is scored.
            label: which analysis this is.
            generator: for ties of ranks, for the reports' errors in them, and for members of Gaussians.
            cost: of the analysis, where measured.

        Raises:
            InputError: the truth has another layout, time or number of members.
        """
        _require_match(analysis.state, truth)
        scores = [*self._over_grid(analysis, truth, label, generator)]
        if len(withheld):
            scores += self._at_stations(analysis, truth, withheld, label, generator)
        return [replace(score, cost=cost or Cost()) for score in scores]

    def _over_grid(
        self, analysis: Analysis, truth: State, label: CaseLabel, generator: torch.Generator
    ) -> Iterable[CaseScores]:
        inner = (..., slice(self.rim, -self.rim or None), slice(self.rim, -self.rim or None))
        members, exact = (_numbers(state.values)[inner] for state in (analysis.state, truth))
        stated = None if analysis.error_std is None else _numbers(analysis.error_std)[inner]
        for i, name in enumerate(truth.layout.names):
            errors = (members[:, i] - exact[:, i]).reshape(len(members), -1)
            departures = Departures(errors, None if stated is None else stated[i].ravel())
            drawn = drawn_members(departures, count=self.gaussian_members, generator=generator)
            fields = {
                "laplacian_truth": laplacian_power(exact[0, i]),
                "laplacian_mean": laplacian_power(members[:, i].mean(axis=0)),
                "laplacian_members": laplacian_power(members[:, i]),
                "energy": block_energy_score(drawn.reshape(-1, *exact.shape[-2:])),
            }
            yield self.score(departures, label, variable=name, place=GRID, generator=generator, **fields)

    def _at_stations(
        self, analysis: Analysis, truth: State, withheld: Observations, label: CaseLabel, generator: torch.Generator
    ) -> Iterable[CaseScores]:
        operator = analysis.problem.operator
        members, exact = (_numbers(operator(s.values.double(), withheld)) for s in (analysis.state, truth))
        stated = analysis.error_std
        stated = None if stated is None else _numbers(operator.tangent(stated[None].double(), withheld))[0]
        reported, report_std = _numbers(withheld.value), _numbers(withheld.error_std)
        channel = withheld.channel.cpu().numpy()
        for i, name in enumerate(truth.layout.names):
            rows = channel == i
            if not rows.any():
                continue
            error_std = None if stated is None else stated[rows]
            to_truth = Departures(members[:, rows] - exact[0, rows], error_std)
            to_reports = Departures(members[:, rows] - reported[rows], error_std, report_std[rows])
            joint = self._jointly(to_truth, exact[0, rows], withheld.of_channel(i), generator)
            yield self.score(to_truth, label, variable=name, place=WITHHELD, generator=generator, **joint)
            yield self.score(to_reports, label, variable=name, place=REPORTS, generator=generator)

    def _jointly(
        self, departures: Departures, truth: np.ndarray, stations: Observations, generator: torch.Generator
    ) -> dict[str, float]:
        """The joint scores of one variable at stations."""
        drawn = drawn_members(departures, count=self.gaussian_members, generator=generator)
        pairs = Pairs.of(_numbers(stations.latitude), _numbers(stations.longitude))
        return {"energy": float(energy_score(drawn)), "variogram": variogram_score(departures, truth, pairs)}

    def score(
        self,
        departures: Departures,
        label: CaseLabel,
        *,
        variable: str,
        place: str,
        generator: torch.Generator,
        **further: float,
    ) -> CaseScores:
        """Scores of one variable from its departures, for callers that have them: analyses at points, say.

        Args:
            departures: of one variable.
            label: which analysis this is.
            variable: short name.
            place: one of ``PLACES``.
            generator: for ties of ranks, and for the reports' errors in them.
            further: what departures do not tell: ``CaseScores``' Laplacians and joint scores, by name.
        """
        error = mean_error(departures)
        ranks = rank_counts(departures, bins=self.rank_bins, generator=generator)
        return CaseScores(
            label,
            variable,
            place,
            n=error.size,
            members=departures.members,
            bias=float(error.mean()),
            mse=float(np.mean(error**2)),
            crps=float(crps(departures).mean()),
            spread_variance=float(spread_variance(departures).mean()),
            within_1=coverage(departures, within=1.0),
            within_2=coverage(departures, within=2.0),
            ranks=None if ranks is None else tuple(ranks.tolist()),
            **further,
        )


LABEL_COLUMNS = ("setting", "method", "run", "valid_time", "variable", "place")
"""What one row of a table of case scores is about."""


def case_table(scores: Sequence[CaseScores]) -> pd.DataFrame:
    """One row a score record: ``LABEL_COLUMNS``, then the record's numbers, ``ranks``, and the parts of its cost."""
    rows = []
    for score in scores:
        record = {name: value for name, value in vars(score).items() if name not in ("label", "cost")}
        rows.append(asdict(score.label) | record | asdict(score.cost))
    names = [name for name in CaseScores.__dataclass_fields__ if name not in ("label", "cost", "variable", "place")]
    return pd.DataFrame(rows, columns=[*LABEL_COLUMNS, *names, *Cost.__dataclass_fields__])


def _require_match(state: State, truth: State) -> None:
    if truth.layout != state.layout or truth.valid_time != state.valid_time or truth.members != 1:
        raise InputError(
            f"an analysis of {state.layout.names} at {state.valid_time} cannot be scored against {truth.members} "
            f"member(s) of {truth.layout.names} at {truth.valid_time}: layout and time must agree, and the "
            "truth is one member"
        )


def _numbers(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
