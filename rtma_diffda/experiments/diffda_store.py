"""``ResultStore``: results of long experiments, kept as they are made, so that the same command goes on.

Scores are lines of JSON in one file, {"key": [...], "value": {...}}; the last line of a key counts, and a line that a
killed process left torn is passed over. Arrays are files beside it that appear whole or not at all. Both carry the
*fingerprint* of all that the results depend on in their names: results of other settings are never mixed up with these.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.io.atomic import explain_failures, remove_stale_temporaries, write_file

Key = tuple[str | int | float, ...]
"""What a result is of: experiment, case, method, number of columns, …"""


def fingerprint(*facts: object) -> str:
    """Eight characters that differ where the facts do."""
    return sha256("|".join(map(repr, facts)).encode()).hexdigest()[:8]


@dataclass(eq=False)
class ResultStore:
    """Results below one directory.

    Attributes:
        directory: made when absent.
        identity: fingerprint of what all results here depend on.
    """

    directory: Path
    identity: str
    _known: dict[Key, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        with explain_failures(f"output directory {self.directory}"):
            self.directory.mkdir(parents=True, exist_ok=True)
        remove_stale_temporaries(self.directory)
        self._known.update(_whole_lines(self.path))

    @property
    def path(self) -> Path:
        """The file of scores."""
        return self.directory / f"results_{self.identity}.jsonl"

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def get(self, key: Key) -> dict[str, Any]:
        """The value put under a key.

        Raises:
            KeyError: there is none.
        """
        return self._known[key]

    def put(self, key: Key, value: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a value of plain numbers, texts, lists and mappings; on the disk when this returns.

        Raises:
            InputError: it cannot be written.
        """
        line = json.dumps({"key": list(key), "value": value}, ensure_ascii=False) + "\n"
        with explain_failures(f"results {self.path}"), self.path.open("ab") as file:
            if file.tell() and not _ends_whole(self.path):
                file.write(b"\n")
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self._known[key] = json.loads(line)["value"]
        return self._known[key]

    def discard(self, key: Key) -> None:
        """Forget the value of a key, so that it is made again."""
        self._known.pop(key, None)

    def put_arrays(self, key: Key, arrays: Mapping[str, np.ndarray]) -> Path:
        """Keep arrays under a key.

        Raises:
            InputError: they cannot be written.
        """
        return write_file(self._arrays_path(key), lambda path: _save(path, arrays))

    def arrays(self, key: Key) -> dict[str, np.ndarray] | None:
        """The arrays put under a key; None where there are none.

        Raises:
            InputError: the file cannot be read.
        """
        path = self._arrays_path(key)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, BadZipFile) as error:
            raise InputError(f"{path} cannot be read: {error}; remove it, and it is made again") from error

    def drop_arrays(self, key: Key) -> None:
        """Remove the arrays put under a key, if any."""
        with explain_failures(f"results in {self.directory}"):
            self._arrays_path(key).unlink(missing_ok=True)

    def _arrays_path(self, key: Key) -> Path:
        words = "_".join(str(part) for part in key)
        name = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in words)
        return self.directory / f"{name}_{fingerprint(self.identity, key)}.npz"


def _whole_lines(path: Path) -> Iterator[tuple[Key, dict[str, Any]]]:
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            yield _key(row["key"]), row["value"]
        except (ValueError, KeyError, TypeError):
            continue  # torn by a process that was killed, or not ours


def _key(parts: Sequence[Any]) -> Key:
    return tuple(parts)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)
