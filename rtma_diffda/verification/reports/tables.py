"""Tables of a report as HTML, for screens of any width: on a narrow one less important columns are hidden."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby


@dataclass(frozen=True)
class Table:
    """A table of texts; what is not text by nature comes formatted.

    Attributes:
        header: a heading for each column.
        rows: a text for each column.
        text_columns: so many columns from the left are words, the others numbers.
        minor: positions of the columns that a narrow screen does without.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1
    minor: Collection[int] = ()

    def html(self) -> str:
        """Every row as it is; its first cell is the row's heading."""
        return _wrapped(self._head(0), f"<tbody>{''.join(self._row(row, 0) for row in self.rows)}</tbody>")

    def grouped_html(self) -> str:
        """Rows with the same first cell under one row, as wide as the table, that says it; the column is left out."""
        width = len(self.header) - 1
        bodies = (
            f'<tbody><tr class="group"><th scope="rowgroup" colspan="{width}">{escape(title)}</th></tr>'
            f"{''.join(self._row(row, 1) for row in rows)}</tbody>"
            for title, rows in groupby(self.rows, key=lambda row: row[0])
        )
        return _wrapped(self._head(1), "".join(bodies))

    def _head(self, first: int) -> str:
        columns = range(first, len(self.header))
        cells = "".join(f'<th scope="col"{self._class(i)}>{escape(self.header[i])}</th>' for i in columns)
        return f"<thead><tr>{cells}</tr></thead>"

    def _row(self, row: Sequence[str], first: int) -> str:
        cells = "".join(f"<td{self._class(i)}>{escape(row[i])}</td>" for i in range(first + 1, len(row)))
        return f'<tr><th scope="row"{self._class(first)}>{escape(row[first])}</th>{cells}</tr>'

    def _class(self, column: int) -> str:
        names = ["text"] * (column < self.text_columns) + ["minor"] * (column in self.minor)
        return f' class="{" ".join(names)}"' if names else ""


def _wrapped(head: str, body: str) -> str:
    """In a frame of its own that scrolls sideways, so that the page does not."""
    return f'<div class="wide"><table>{head}{body}</table></div>'
