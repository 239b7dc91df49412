"""``MetricsFile``: what happened in a training, one JSON object a line; values that are not finite are null.

{"update": 12, "loss": 0.41, "learning_rate": 0.0001, "gradient_norm": 0.8, "seconds": 3.1, "cpu_seconds": 5.9, …}
{"update": 12, "validation": {"loss": 0.44, …}, "best": true}
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from rtma_diffda.io.atomic import explain_failures, write_bytes


class MetricsFile:
    """An open file of metrics, or none (for processes that do not write)."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row."""
        if self._file is not None:
            with explain_failures("training metrics"):
                self._file.write(json.dumps(finite(row)) + "\n")

    def flush(self) -> None:
        """Let others see what was written."""
        if self._file is not None:
            with explain_failures("training metrics"):
                self._file.flush()


@contextmanager
def opened_metrics(path: Path | None, *, after: int) -> Iterator[MetricsFile]:
    """Metrics at ``path`` that go on after update ``after``; rows of later updates, which are made again, are removed.

    Args:
        path: the file, made when absent; None for a process that does not write.
        after: the last update to keep.

    Raises:
        InputError: the file system refused.
    """
    if path is None:
        yield MetricsFile(None)
        return
    kept = [row for row in read_metrics(path) if row["update"] <= after]
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in kept).encode())
    with path.open("a", encoding="utf-8") as file:
        yield MetricsFile(file)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of metrics, in order; none if there is no file. A torn last line is passed over."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("update"), int):
            rows.append(row)
    return rows


def finite(value: Any) -> Any:
    """Plain values with None in the place of numbers that are not finite, which JSON cannot say."""
    if isinstance(value, Mapping):
        return {name: finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
