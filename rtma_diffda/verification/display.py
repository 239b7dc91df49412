"""Display units of fields and of differences, and scores as a plain-text table for the terminal.

A field is shown as value × scale + offset; a difference or an error as value × scale, without the offset: 2 K of error
are 2 K, not −271 °C.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from rtma_diffda.variables import variable
from rtma_diffda.verification.scores import VECTOR_WIND

_PRETTY_UNITS = {"m s-1": "m/s", "kg m-2": "kg/m²", "1": "", "degree": "°"}
_VECTOR_TITLE = "10 m wind vector"


def title_of(name: str) -> str:
    """A variable in words."""
    return _VECTOR_TITLE if name == VECTOR_WIND else variable(name).long_name


def display_field(name: str, values: np.ndarray) -> tuple[np.ndarray, str]:
    """SI values as shown on maps, and the unit's text."""
    unit, scale, offset = _display(name)
    return np.asarray(values) * scale + offset, pretty_unit(unit)


def display_difference(name: str, values: np.ndarray) -> tuple[np.ndarray, str]:
    """SI differences (increments, errors, error standard deviations) as shown, and the unit's text."""
    unit, scale, _ = _display(name)
    # A difference of temperatures is a temperature interval: in K whatever the scale the field is shown on.
    return np.asarray(values) * scale, pretty_unit("K" if unit == "°C" else unit)


def pretty_unit(unit: str) -> str:
    """A unit as people write it; empty for pure numbers."""
    return _PRETTY_UNITS.get(unit, unit)


def source_title(name: str) -> str:
    """The name of a source in words: underscores become blanks."""
    return name.replace("_", " ")


def format_interval(low: float, high: float, *, digits: int = 2) -> str:
    """``[low, high]``, or a dash where no interval could be made."""
    return f"[{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite([low, high]).all() else "–"


def format_number(value: float, *, digits: int = 2) -> str:
    """A number with fixed digits, or a dash where it is not finite."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def display_rows(scores: pd.DataFrame) -> Iterable[tuple[str, ...]]:
    """Rows of a table of scores as text in display units; columns as in ``DISPLAY_HEADER``."""
    for row in scores.to_dict("records"):
        scale, unit = display_difference(row["variable"], 1.0)
        title = title_of(row["variable"]) + (f" ({unit})" if unit else "")
        yield (
            title,
            source_title(row["source"]),
            f"{row['n']:,}",
            f"{row['blocks']:,}",
            format_number(row["bias"] * scale),
            format_number(row["mae"] * scale),
            format_number(row["rmse"] * scale),
            format_interval(row["rmse_low"] * scale, row["rmse_high"] * scale),
            format_number(row["ratio_to_background"]),
            format_interval(row["ratio_low"], row["ratio_high"]),
        )


DISPLAY_HEADER = ("variable", "source", "n", "blocks", "bias", "MAE", "RMSE", "interval", "ratio", "interval")
"""Headings of ``display_rows``; the ratio is RMSE over the background's."""


def format_table(scores: pd.DataFrame) -> str:
    """A table of scores as aligned text in display units; a variable's name stands once."""
    return aligned_text(DISPLAY_HEADER, list(display_rows(scores)))


def aligned_text(header: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int = 2) -> str:
    """Rows of texts under their header, the first columns as words, the others as numbers; a word of the first column
    that is repeated stands once."""
    shown = [("" if i and row[0] == rows[i - 1][0] else row[0], *row[1:]) for i, row in enumerate(rows)]
    widths = [max(map(len, column)) for column in zip(header, *shown, strict=True)]
    return "\n".join(_aligned(row, widths, text_columns) for row in [header, *shown])


def _aligned(row: Sequence[str], widths: list[int], text_columns: int) -> str:
    words = [text.ljust(width) for text, width in zip(row[:text_columns], widths, strict=False)]
    numbers = [text.rjust(width) for text, width in zip(row[text_columns:], widths[text_columns:], strict=True)]
    return "  ".join([*words, *numbers]).rstrip()


def _display(name: str) -> tuple[str, float, float]:
    if name == VECTOR_WIND:
        return _display("u10m")
    found = variable(name)
    return found.display or (found.unit, 1.0, 0.0)
