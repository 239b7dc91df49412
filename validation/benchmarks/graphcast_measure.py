"""Time and memory of a step, with and without gradients; shared by both sides of ``graphcast.py``."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

KINDS = ("forward", "forward and backward")
_KIB = 1024


def pinned(threads: int) -> None:
    """Keep this process on so many processors: both sides then have equally many threads, whatever they ask for.

    Call it before the libraries that start threads are imported.
    """
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:threads]))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)


def timed(step: Callable[[], object], repeats: int, *, wait: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Medians of wall and processor seconds after a step that warms up; ``wait`` returns when a step is done."""
    step()
    wait()
    figures = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        wait()
        figures.append((time.perf_counter() - wall, time.process_time() - cpu))
    return {"wall": median(f[0] for f in figures), "cpu": median(f[1] for f in figures), "memory": highest_memory()}


def highest_memory() -> float:
    """GiB that this process has used at most."""
    lines = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return float(lines[0].split()[1]) * _KIB / _KIB**3
