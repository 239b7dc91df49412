"""``Judgement``: every table of a comparison, made from the same cases with the same reference and the same draws."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rtma_diffda.verification.case_scores import GRID, WITHHELD
from rtma_diffda.verification.comparison import comparison_table, cost_table, mean_ratio_table, rank_table
from rtma_diffda.verification.display import format_interval, format_number, source_title
from rtma_diffda.verification.paired import ALL_VARIABLES, significance_table
from rtma_diffda.verification.run_moments import RunBootstrap


@dataclass(frozen=True)
class Judgement:
    """What came out.

    Attributes:
        reference: name of the method that the others are compared with.
        bootstrap: how intervals are made.
        scores: from ``comparison.comparison_table``.
        ratios: from ``comparison.mean_ratio_table``.
        significance: from ``paired.significance_table``.
        ranks: from ``comparison.rank_table``.
        cost: from ``comparison.cost_table``.
    """

    reference: str
    bootstrap: RunBootstrap
    scores: pd.DataFrame
    ratios: pd.DataFrame
    significance: pd.DataFrame
    ranks: pd.DataFrame
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
        return cls(
            reference,
            bootstrap,
            scores=comparison_table(cases, **how),
            ratios=mean_ratio_table(cases, **how),
            significance=significance_table(cases, **how),
            ranks=rank_table(cases),
            cost=cost_table(cases),
        )

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings, in order of appearance."""
        return tuple(self.ratios["setting"].unique().tolist())

    def of_setting(self, setting: str) -> "Judgement":
        """The rows of one setting."""
        tables = {name: getattr(self, name) for name in ("scores", "ratios", "significance", "ranks", "cost")}
        chosen = {name: table[table["setting"] == setting] for name, table in tables.items()}
        return Judgement(self.reference, self.bootstrap, **chosen)

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
