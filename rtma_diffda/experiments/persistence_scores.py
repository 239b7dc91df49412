"""What judging the methods gathers, by number of stations; and the table of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from rtma_diffda.experiments.compared_methods import ComparedMethod
from rtma_diffda.experiments.measured import measured
from rtma_diffda.experiments.osse_cases import OsseCase
from rtma_diffda.experiments.progress import progress
from rtma_diffda.interfaces import Analysis
from rtma_diffda.verification.case_scores import GRID, WITHHELD, CaseLabel, CaseScores, Cost, Judge
from rtma_diffda.verification.case_spectra import CaseSpectra, case_spectra
from rtma_diffda.verification.comparison import comparison_table


@dataclass
class Findings:
    """Scores and spectra of every analysis, and the first case of each setting with its analyses."""

    scores: list[CaseScores] = field(default_factory=list)
    spectra: list[CaseSpectra] = field(default_factory=list)
    shown: dict[str, tuple[OsseCase, dict[str, Analysis]]] = field(default_factory=dict)

    def spectra_of(self, setting: str) -> list[CaseSpectra]:
        """The spectra of one setting."""
        return [spectra for spectra in self.spectra if spectra.label.setting == setting]


def setting_name(stations: int) -> str:
    """A number of stations as the tables show it."""
    return f"{stations} stations"


def judged(tests: Mapping[str, Sequence[OsseCase]], methods: Sequence[ComparedMethod], *, shown: bool) -> Findings:
    """Every method on every case of every setting."""
    found, judge = Findings(), Judge()
    for setting, cases in tests.items():
        for case in progress(cases, setting, shown=shown):
            analyses = {method.name: _analysed(case, method, judge, found, setting=setting) for method in methods}
            found.shown.setdefault(setting, (case, analyses))
    return found


def density_table(cases: pd.DataFrame, *, reference: str) -> pd.DataFrame:
    """RMSE (K) with intervals, its ratio to the reference's, CRPS (K) and spread over skill, by setting and method."""
    scores = comparison_table(cases, reference=reference)
    scores = scores[scores["place"].isin((GRID, WITHHELD))]
    columns = ["rmse", "rmse_low", "rmse_high", "rmse_ratio", "rmse_ratio_low", "rmse_ratio_high", "crps",
               "crps_ratio", "spread_skill", "energy_ratio"]  # fmt: skip
    return scores[["setting", "place", "method", *columns]].round(3).reset_index(drop=True)


def _analysed(case: OsseCase, method: ComparedMethod, judge: Judge, found: Findings, *, setting: str) -> Analysis:
    """One analysis, scored; its generator is the case's own."""
    local, generator = replace(method.method, static=case.known.static), case.generator("analysis")
    analysis, taken = measured(lambda: local.analyse(case.problem, generator=generator))
    calls = analysis.diagnostics.get("network_calls", float(method.network_calls))
    label = CaseLabel(setting, method.name, case.run.name, case.truth.valid_time)
    found.scores += judge.score_case(
        analysis,
        case.truth,
        withheld=case.withheld,
        label=label,
        generator=case.generator("judge"),
        cost=Cost(calls, taken.seconds, taken.memory_bytes),
    )
    found.spectra += case_spectra(analysis.state, case.truth, label=label)
    return analysis
