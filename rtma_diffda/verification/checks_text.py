"""What should not be, as text: unreliable uncertainty, members too smooth or too rough, variables that got worse.

A number outside its limits ends with ``FLAG``.
"""

from collections.abc import Iterator, Sequence

import pandas as pd

from rtma_diffda.verification.case_scores import GRID, WITHHELD
from rtma_diffda.verification.case_spectra import furthest_octaves
from rtma_diffda.verification.comparison_text import PLACE_TITLES
from rtma_diffda.verification.display import aligned_text, format_number, source_title
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.worse_variables import worse_variables, worst_variables

FLAG = "!"
"""Ends a number that is outside its limits."""

WORSE_HEADER = ("place", "method", "worse than background", "worst", "worse than reference", "worst")
"""Headings of ``worse_rows``."""


def reliability_rows(table: pd.DataFrame, variables: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Spread/skill and rank deviation: a row for each kind of place and method of ``reliability.reliability_table`` of
    one setting, a column for each variable."""
    for (place, method), group in table.groupby(["place", "method"], sort=False):
        cells = {}
        for row in group.to_dict("records"):
            spread = format_number(row["spread_skill"]) + FLAG * row["spread_off"]
            ranks = format_number(100.0 * row["rank_deviation"], digits=0) + " %" + FLAG * row["ranks_off"]
            cells[row["variable"]] = f"{spread}, {ranks}"
        yield (PLACE_TITLES[place], source_title(method), *(cells.get(name, "–") for name in variables))


def octave_rows(furthest: pd.DataFrame, variables: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The octave that is furthest off: a row for each method of ``case_spectra.furthest_octaves`` of one setting, a
    column for each variable."""
    for method, group in furthest.groupby("method", sort=False):
        cells = {row["variable"]: f"{row['members']:.2f} ({octave_title(row)})" for row in group.to_dict("records")}
        yield (source_title(method), *(cells.get(name, "–") for name in variables))


def worse_rows(worst: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Rows of ``worse_variables.worst_variables``; columns as in ``WORSE_HEADER``."""
    for row in worst.to_dict("records"):
        cells = []
        for other in ("background", "reference"):
            count, ratio = row[f"worse_than_{other}"], row[f"{other}_worst"]
            cells.append(f"{count} of {row['checked']}{FLAG * (count > 0)}")
            where = f"{row[f'{other}_variable']}, {row[f'{other}_setting']}"
            cells.append(f"{format_number(ratio, digits=3)} ({where})" if ratio == ratio else "–")
        yield (PLACE_TITLES[row["place"]], source_title(row["method"]), *cells)


def octave_title(row: dict[str, float]) -> str:
    """The wavelengths of a row of ``case_spectra.octave_table`` in words."""
    return f"{row['shortest'] / 1e3:.0f} – {row['longest'] / 1e3:.0f} km"


def format_checks(judgement: Judgement, octaves: pd.DataFrame, *, setting: str) -> str:
    """What the terminal shows of the checks: of uncertainty and spectra in one setting, of worse variables in all.

    Args:
        judgement: of all settings.
        octaves: from ``case_spectra.octave_table``.
        setting: which.
    """
    one = judgement.of_setting(setting)
    variables = list(one.scores["variable"].unique())
    reliable = one.reliability[one.reliability["place"].isin([GRID, WITHHELD])]
    furthest = furthest_octaves(octaves[octaves["setting"] == setting])
    worse = worse_variables(judgement.scores)
    worst = worst_variables(worse[worse["place"].isin([GRID, WITHHELD])])
    by_chance = format_number(100.0 * reliable["chance"].max(), digits=0)
    return "\n".join(
        (
            f"spread/skill, and largest deviation of a rank's count ({FLAG} beyond 0.9 to 1.1, beyond 30 %; by chance "
            f"alone, were places independent, up to {by_chance} %):",
            aligned_text(("place", "method", *variables), list(reliability_rows(reliable, variables))),
            "",
            "members' variance over the truth's where it is furthest from 1, the last octave aside:",
            aligned_text(("method", *variables), list(octave_rows(furthest, variables)), text_columns=1),
            "",
            f"RMSE by variable and setting, largest ratio ({FLAG} where any is above 1):",
            aligned_text(WORSE_HEADER, list(worse_rows(worst))),
        )
    )
