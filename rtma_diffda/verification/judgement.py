"""``Judgement``: every table of a comparison, made from the same cases with the same reference and the same draws."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rtma_diffda.verification.case_scores import GRID, WITHHELD
from rtma_diffda.verification.comparison import comparison_table, cost_table, mean_ratio_table, rank_table
from rtma_diffda.verification.display import format_interval, format_number, source_title
from rtma_diffda.verification.paired import (
    ALL_VARIABLES,
    PAIRED_SCORES,
    SIGNIFICANCE_COLUMNS,
    significance_table,
)
from rtma_diffda.verification.reliability import reliability_table
from rtma_diffda.verification.run_moments import RunBootstrap

_TABLES = ("scores", "ratios", "significance", "joint_significance", "ensembles", "ranks", "reliability", "cost")


@dataclass(frozen=True)
class Judgement:
    """What came out.

    Attributes:
        reference: name of the method that the others are compared with.
        bootstrap: how intervals are made.
        scores: from ``comparison.comparison_table``.
        ratios: from ``comparison.mean_ratio_table``.
        significance: from ``paired.significance_table``, of the RMSE.
        joint_significance: the same of the CRPS and the joint scores, which judge the uncertainty too.
        ensembles: the same of all these scores, all variables together, with each ensemble for the reference; empty
            where there is none.
        ranks: from ``comparison.rank_table``.
        reliability: from ``reliability.reliability_table``.
        cost: from ``comparison.cost_table``.
    """

    reference: str
    bootstrap: RunBootstrap
    scores: pd.DataFrame
    ratios: pd.DataFrame
    significance: pd.DataFrame
    joint_significance: pd.DataFrame
    ensembles: pd.DataFrame
    ranks: pd.DataFrame
    reliability: pd.DataFrame
    cost: pd.DataFrame

    @classmethod
    def of(cls, cases: pd.DataFrame, *, reference: str, bootstrap: RunBootstrap | None = None) -> "Judgement":
        """From ``case_scores.case_table``, any number of settings.

        Raises:
            UsageError: no method of the reference's name.
            InputError: a case stands twice, or none is common to all methods of a setting.
        """
        bootstrap = bootstrap or RunBootstrap()
        how = {"reference": reference, "bootstrap": bootstrap}
        scores, ranks = comparison_table(cases, **how), rank_table(cases)
        differences = significance_table(cases, **how, scores=PAIRED_SCORES)
        return cls(
            reference,
            bootstrap,
            scores=scores,
            ratios=mean_ratio_table(cases, **how),
            significance=differences[differences["score"] == "rmse"],
            joint_significance=differences[differences["score"] != "rmse"],
            ensembles=_against_ensembles(cases, bootstrap),
            ranks=ranks,
            reliability=reliability_table(scores, ranks),
            cost=cost_table(cases),
        )

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings, in order of appearance."""
        return tuple(self.ratios["setting"].unique().tolist())

    def of_setting(self, setting: str) -> "Judgement":
        """The rows of one setting."""
        tables = {name: getattr(self, name) for name in _TABLES}
        chosen = {name: table[table["setting"] == setting] for name, table in tables.items()}
        return Judgement(self.reference, self.bootstrap, **chosen)

    def chance(self, method: str, *, setting: str, place: str, score: str, variable: str = ALL_VARIABLES) -> float:
        """Holm's p of a method's difference from the reference in one of ``PAIRED_SCORES``; NaN where not tested."""
        rows = self.significance if score == "rmse" else self.joint_significance
        sought = {"setting": setting, "place": place, "score": score, "variable": variable, "method": method}
        found = rows[np.logical_and.reduce([rows[name] == value for name, value in sought.items()])]
        return float(found["p_holm"].iloc[0]) if len(found) else float("nan")

    def ratio(self, method: str, *, setting: str, place: str, score: str = "rmse") -> float:
        """Mean over variables of a method's ratio to the reference; NaN where it was not scored."""
        rows = self.ratios
        found = rows[(rows["setting"] == setting) & (rows["place"] == place) & (rows["method"] == method)]
        return float(found[f"{score}_ratio"].iloc[0]) if len(found) else float("nan")

    def sentences(self, setting: str) -> list[str]:
        """A sentence for each method but the reference, about one setting."""
        one = self.of_setting(setting)
        methods = [method for method in one.ratios["method"].unique() if method != self.reference]
        return [text for method in methods if (text := one._sentence(method))]

    def _sentence(self, method: str) -> str:
        rows = self.ratios[self.ratios["method"] == method].set_index("place")
        parts = [
            f"{format_number(rows.loc[place, 'rmse_ratio'])} "
            f"{format_interval(rows.loc[place, 'rmse_ratio_low'], rows.loc[place, 'rmse_ratio_high'])} {words}"
            for place, words in ((GRID, "over the grid"), (WITHHELD, "at withheld stations"))
            if place in rows.index
        ]
        if not parts:
            return ""
        against = f"times the RMSE of {source_title(self.reference)} (mean over variables)"
        return f"{source_title(method)}: {', '.join(parts)} {against}{self._decision(method)}."

    def _decision(self, method: str) -> str:
        """Whether that is more than chance, over all variables: over the grid, or where else it was scored."""
        rows = self.significance
        found = rows[(rows["method"] == method) & (rows["variable"] == ALL_VARIABLES)]
        if found.empty or not np.isfinite(found["p_holm"].iloc[0]):
            return ""
        row = found.iloc[0]
        chance = "p < 0.001" if row["p_holm"] < 0.001 else f"p = {row['p_holm']:.3f}"
        return f"; better in {row['better_runs']} of {row['runs']} runs, {row['verdict']} ({chance})"


def _against_ensembles(cases: pd.DataFrame, bootstrap: RunBootstrap) -> pd.DataFrame:
    """Every other method against each method of several members."""
    names = cases.loc[cases["members"] > 1, "method"].unique()
    tables = [significance_table(cases, reference=name, bootstrap=bootstrap, scores=PAIRED_SCORES) for name in names]
    if not tables:
        return pd.DataFrame(columns=list(SIGNIFICANCE_COLUMNS))
    table = pd.concat(tables, ignore_index=True)
    return table[table["variable"] == ALL_VARIABLES]
