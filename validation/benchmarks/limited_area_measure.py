"""Time and memory of one step of a network, in a process of its own; shared by both sides of ``limited_area.py``."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

_KIB = 1024


def worker_arguments() -> argparse.ArgumentParser:
    """What both sides are told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    return parser


def measure(
    forward: Callable[[], torch.Tensor], target: torch.Tensor, module: torch.nn.Module, *, steps: int
) -> dict[str, float | list[float]]:
    """Figures of ``forward``, alone and with the gradient of its mean squared distance from ``target``.

    The fastest of some steps after one that warms up; memory is the highest above what was in use before the first,
    libraries that a first operation loads included in what was.
    """
    small = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.SiLU(), torch.nn.LayerNorm(64))
    small(torch.randn(512, 64)).sum().backward()
    start = _status("VmRSS")

    def predict() -> float:
        with torch.no_grad():
            return float((forward() - target).square().mean())

    def train() -> float:
        module.zero_grad(set_to_none=True)
        loss = (forward() - target).square().mean()
        loss.backward()
        return float(loss.detach())

    found = {"predict": _timed(predict, start, steps), "train": _timed(train, start, steps)}
    norm = sum(float(p.grad.double().square().sum()) for p in module.parameters() if p.grad is not None) ** 0.5
    with torch.no_grad():
        output = forward()
    return found | {"loss": train(), "gradient": norm, "output": output.flatten()[::97].tolist()}


def report(found: dict) -> None:
    """The last line of a worker's output."""
    print(json.dumps(found))


def _timed(step: Callable[[], float], start: float, steps: int) -> dict[str, float]:
    step()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest memory so far
    figures = []
    for _ in range(steps):
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        figures.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = min(figures)
    return {"cpu": cpu, "wall": wall, "memory": (_status("VmHWM") - start) / _KIB**3}


def _status(name: str) -> float:
    """A size in bytes, as Linux states it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return float(line.split()[1]) * _KIB
    raise RuntimeError(f"this system does not state {name}")
