"""What a call costs: wall-clock seconds and, where the system tells, the peak of memory above what was held before."""

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # resets VmHWM to the present resident size (Linux, proc(5))

Result = TypeVar("Result")


@dataclass(frozen=True)
class Consumption:
    """Of one call; memory is NaN where the system does not tell it."""

    seconds: float
    memory_bytes: float


def measured(call: Callable[[], Result]) -> tuple[Result, Consumption]:
    """The call's result, and what it took."""
    before = _resident_after_reset()
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    return result, Consumption(seconds, _peak() - before)


def _resident_after_reset() -> float:
    with contextlib.suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)
        return _field("VmRSS")
    return float("nan")


def _peak() -> float:
    with contextlib.suppress(OSError):
        return _field("VmHWM")
    return float("nan")


def _field(name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), flags=re.MULTILINE)
    return 1024.0 * float(found[1]) if found else float("nan")
