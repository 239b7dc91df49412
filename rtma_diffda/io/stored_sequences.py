"""``StoredSequences``: the sequences of a simulated data set, in memory where they fit, else read batch by batch.

Every run of T states gives the sequences that begin at its first, second, … state and whose boundary it has in full.
They overlap, and share the memory of their run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.sequences import Sequences
from rtma_diffda.io.simulation_store import SimulatedRun, read_run, stored_runs

MEMORY_LIMIT = 4 * 2**30
"""Bytes of runs that are held in memory."""

_NEEDED = ("large_scale",)


@dataclass(frozen=True)
class SequenceDesign:
    """What belongs to one sequence.

    Attributes:
        history: states that a forecast begins with.
        targets: states after them.
        before, after: from the first target backward, and from the last one onward, the boundary reaches.
    """

    history: int
    targets: int
    before: np.timedelta64
    after: np.timedelta64

    @property
    def length(self) -> int:
        """States of one sequence."""
        return self.history + self.targets

    def firsts(self, run: SimulatedRun) -> np.ndarray:
        """(sequence,) positions in the run of the first states of its sequences.

        Raises:
            InputError: the run has no large scale.
        """
        if run.large_scale is None or run.large_scale_static is None:
            raise InputError(f"run {run.name} has no large scale to force a region with; make the data set again")
        firsts = np.arange(len(run.times) - self.length + 1)
        covered = run.large_scale.valid_times
        begin = run.times[firsts + self.history] - self.before
        end = run.times[firsts + self.length - 1] + self.after
        return firsts[(begin >= covered[0]) & (end <= covered[-1])]

    def boundary_rows(self, run: SimulatedRun, first: int) -> slice:
        """Positions of the boundary's states of one sequence: as many for all, some outside its reach."""
        covered = run.large_scale.valid_times
        begin = run.times[first + self.history] - self.before
        end = run.times[first + self.length - 1] + self.after
        count = min(len(covered), 1 - int((begin - end) // np.diff(covered).min()))
        start = int(np.searchsorted(covered, begin, side="right")) - 1
        start = min(start, len(covered) - count)
        return slice(start, start + count)


class _Runs(Protocol):
    def __getitem__(self, number: int) -> SimulatedRun: ...


class _OnDisk:
    """Runs that are read each time they are asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __getitem__(self, number: int) -> SimulatedRun:
        return read_run(self._paths[number], only=_NEEDED)


class StoredSequences:
    """All sequences of some runs of a data set.

    Args:
        data_set: a directory made by ``rtma-diffda simulate``.
        split: such as ``train``.
        design: of a sequence.
        runs: use only the first so many.
        memory_limit: bytes; more than that stays on disk.

    Raises:
        InputError: the split has no run, a damaged one, runs of different grids, or runs too short for one sequence.
    """

    def __init__(
        self,
        data_set: Path,
        split: str,
        design: SequenceDesign,
        *,
        runs: int | None = None,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        paths = stored_runs(data_set, split)[:runs]
        if not paths:
            raise InputError(f"data set {data_set} has no runs of split '{split}'; make them with rtma-diffda simulate")
        first = read_run(paths[0], only=_NEEDED)
        design.firsts(first)
        self.design, self.layout, self.boundary_layout = design, first.layout, first.large_scale.layout
        self._numbers = np.array([int(path.stem) for path in paths], np.int64)
        in_memory = first.truth.values.nbytes * len(paths) <= memory_limit
        self._runs: _Runs = [read_run(path, only=_NEEDED) for path in paths] if in_memory else _OnDisk(paths)
        firsts = [design.firsts(self._runs[i]) for i in range(len(paths))]
        self._run_of = np.repeat(np.arange(len(paths)), [len(found) for found in firsts])
        self._first_of = np.concatenate(firsts)
        if not len(self._first_of):
            raise InputError(
                f"runs of {len(first.times)} states in {data_set} are too short for sequences of {design.length} "
                f"states with a boundary from {design.before} before to {design.after} after the targets"
            )

    def __len__(self) -> int:
        return len(self._first_of)

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self._numbers)

    def select(self, members: np.ndarray) -> Sequences:
        """The members of an index array (m,)."""
        members = np.atleast_1d(np.asarray(members))
        runs = {i: self._runs[i] for i in np.unique(self._run_of[members])}
        return Sequences.joined(
            [self._sequence(runs[self._run_of[m]], self._numbers[self._run_of[m]], self._first_of[m]) for m in members]
        )

    def _sequence(self, run: SimulatedRun, number: int, first: int) -> Sequences:
        rows, outer = slice(first, first + self.design.length), self.design.boundary_rows(run, int(first))
        coarse, coarse_static = run.large_scale, run.large_scale_static
        return Sequences(
            run.truth.values[rows][None],
            coarse.values[outer][None],
            _field(run.static.orography),
            _field(run.static.land_fraction),
            _field(coarse_static.orography),
            _field(coarse_static.land_fraction),
            run.times[rows][None],
            coarse.valid_times[outer][None],
            np.array([number], np.int64),
            self.layout,
            self.boundary_layout,
        )


def _field(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))[None]
