"""Rows of a comma-separated file, read line by line: a broken line is told and cannot swallow those after it."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from rtma_diffda.errors import InputError


@dataclass(frozen=True)
class DelimitedRows:
    """What a file of rows holds.

    Attributes:
        frame: columns of text, as written.
        rejected: (reason, line) of the lines that are no row.
    """

    frame: pd.DataFrame
    rejected: list[tuple[str, str]] = field(default_factory=list)


def header_of(path: Path) -> list[str]:
    """The column names of a file: its first line that is not empty and not a comment (``#``); [] for an empty one.

    Raises:
        InputError: no such file, or it cannot be read.
    """
    for line in _lines(path):
        return _cells(line)
    return []


def read_rows(path: Path) -> DelimitedRows:
    """All rows of a file with a header. Bytes that are no UTF-8 are replaced, which spoils only their cell.

    Raises:
        InputError: no such file, it is empty, or a column name repeats.
    """
    lines = _lines(path)
    if not lines:
        raise InputError(f"{path} is empty; expected a line of column names and rows")
    names = _cells(lines[0])
    if len(set(names)) != len(names):
        raise InputError(f"{path}: column names repeat: {names}")
    rows, rejected = [], []
    for line in lines[1:]:
        cells = _cells(line)
        if len(cells) == len(names):
            rows.append(cells)
        else:
            rejected.append((f"{len(cells)} cells instead of {len(names)}", line))
    return DelimitedRows(pd.DataFrame(rows, columns=names, dtype=object), rejected)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"file {path} cannot be read: {error.strerror}") from error
    return [line for line in text.replace("\x00", "").splitlines() if line.strip() and not line.startswith("#")]


def _cells(line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line]))]
    except (csv.Error, StopIteration):
        return [line]
