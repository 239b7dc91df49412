"""What a run of cycles decides once and keeps: which stations verify, and what interpolation was tuned to.

It lies beside the archive, written before the first cycle and never changed, so that a run that is started again goes
on with the same numbers. A start with settings that would make other analyses is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.cycle_methods import Tuned
from rtma_diffda.io.atomic import explain_failures, write_bytes

_FORMAT = 1
_NAME = "run.json"


@dataclass(frozen=True)
class CycleMemory:
    """Attributes:
    identity: what determines the analyses: region, grid, variables, method, seed, …; plain values.
    withheld: stations that verify.
    tuned: of optimal interpolation.
    """

    identity: Mapping[str, Any]
    withheld: tuple[str, ...]
    tuned: Tuned

    def write(self, directory: Path) -> None:
        """Keep it.

        Raises:
            InputError: the file system refused.
        """
        with explain_failures(f"directory {directory}"):
            directory.mkdir(parents=True, exist_ok=True)
        content = {
            "format": _FORMAT,
            "identity": self.identity,
            "withheld": self.withheld,
            "interpolation": self.tuned.to_plain(),
        }
        write_bytes(directory / _NAME, json.dumps(content, indent=1, ensure_ascii=False).encode())


def remembered(directory: Path, identity: Mapping[str, Any]) -> CycleMemory | None:
    """What an earlier start kept; None where there was none.

    Raises:
        InputError: it was begun with other settings, or the file is damaged.
    """
    path = directory / _NAME
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = dict(content["identity"])
        memory = CycleMemory(known, tuple(content["withheld"]), Tuned.from_plain(content["interpolation"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error!r}); it says how the archive beside it was begun") from error
    wanted = json.loads(json.dumps(identity))
    differing = sorted(key for key in known.keys() | wanted.keys() if known.get(key) != wanted.get(key))
    if differing:
        told = ", ".join(f"{key} was {known.get(key)!r}, now {wanted.get(key)!r}" for key in differing)
        raise InputError(f"{directory} holds a run of other settings ({told}); choose another output")
    return memory


def digest(text: str) -> str:
    """Twelve hexadecimal digits that tell one text from another."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
