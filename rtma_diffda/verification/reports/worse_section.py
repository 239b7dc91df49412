"""The section of a comparison's page that asks whether any variable is worse than before in any setting."""

from collections.abc import Iterator

import pandas as pd

from rtma_diffda.verification.case_scores import GRID, WITHHELD
from rtma_diffda.verification.checks_text import FLAG, WORSE_HEADER, worse_rows
from rtma_diffda.verification.comparison_text import PLACE_TITLES
from rtma_diffda.verification.display import format_number, source_title, title_of
from rtma_diffda.verification.judgement import Judgement
from rtma_diffda.verification.reports.page import PageSection
from rtma_diffda.verification.reports.tables import Table
from rtma_diffda.verification.worse_variables import worse_variables, worst_variables

_PLACES = (GRID, WITHHELD)


def worse_section(judgement: Judgement) -> PageSection:
    """Every setting and variable, over the grid and at withheld stations."""
    table = worse_variables(judgement.scores)
    table = table[table["place"].isin(_PLACES)]
    variables = list(table["variable"].unique())
    tables = [("", Table(WORSE_HEADER, list(worse_rows(worst_variables(table))), text_columns=2))]
    for place in _PLACES:
        rows = [_row(key, group, variables) for key, group in _groups(table[table["place"] == place])]
        header = ("method", "setting", *map(title_of, variables))
        if rows:
            title = PLACE_TITLES[place][:1].upper() + PLACE_TITLES[place][1:]
            tables.append((title, Table(header, rows, text_columns=2)))
    remark = (
        "In each cell the RMSE over the background's and, after the comma, over that of "
        f"{source_title(judgement.reference)}, in the same setting. {FLAG}: above 1, whether by chance or not."
    )
    return PageSection("Is any variable worse?", tables=tuple(tables), remark=remark)


def _groups(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """By method, then setting, each in order of appearance."""
    for method in table["method"].unique():
        for setting, group in table[table["method"] == method].groupby("setting", sort=False):
            yield (method, setting), group


def _row(key: tuple[str, str], group: pd.DataFrame, variables: list[str]) -> tuple[str, ...]:
    cells = {}
    for row in group.to_dict("records"):
        to_background = format_number(row["background_ratio"]) + FLAG * row["worse_than_background"]
        to_reference = format_number(row["rmse_ratio"]) + FLAG * row["worse_than_reference"]
        cells[row["variable"]] = f"{to_background}, {to_reference}"
    return (source_title(key[0]), key[1], *(cells.get(name, "–") for name in variables))
