"""``StoredPairs``: the pairs of a simulated data set that does not fit in memory, read batch by batch.

It has the length and the ``select`` of ``fields.pairs.Pairs``. A member costs the reading of the chunks of time that
hold it; members of one batch are read by several threads, since decompression does without Python's lock.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import zarr
from torch import Tensor
from zarr.errors import BaseZarrError

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.global_on_region import global_state
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.simulation_store import read_run, stored_runs

_THREADS = 8
_EPOCH = np.datetime64("1970-01-01T00:00:00", "ns")


@dataclass(frozen=True)
class _StoredRun:
    """One run: its small fields and, where wanted, its coarse states in memory, its states on disk."""

    path: Path
    number: int
    truth: zarr.Array
    background: zarr.Array
    orography: Tensor
    land_fraction: Tensor
    valid_times: np.ndarray
    static: StaticFields | None
    boundary: Boundary | None

    def large_scale(self, position: int, layout: Layout) -> Tensor:
        """The global state on the region (channel, y, x) at one time."""
        return global_state(self.boundary, self.static, layout, self.valid_times[position]).values[0]

    def values(self, position: int) -> tuple[Tensor, Tensor]:
        """Truth and background (channel, y, x) at one time."""
        try:
            truth, background = (np.asarray(array[position]) for array in (self.truth, self.background))
        except (BaseZarrError, OSError, ValueError, RuntimeError) as error:
            raise InputError(f"run {self.path} cannot be read: {type(error).__name__}: {error}") from error
        return torch.from_numpy(truth), torch.from_numpy(background)


class StoredPairs:
    """The pairs of some runs of a data set, of one layout.

    Args:
        data_set: a directory made by ``rtma-diffda simulate``.
        split: such as ``train``.
        runs: use only the first so many.
        large_scale: whether they have the large scale on the region.

    Raises:
        InputError: the split has no run, a damaged one, one without large scale where that is wanted, or runs of
            different shapes.
    """

    def __init__(self, data_set: Path, split: str, *, runs: int | None = None, large_scale: bool = False) -> None:
        paths = stored_runs(data_set, split)[:runs]
        if not paths:
            raise InputError(f"data set {data_set} has no runs of split '{split}'; make them with rtma-diffda simulate")
        self.layout: Layout = read_run(paths[0]).layout
        self._large_scale = large_scale
        self._runs = [_opened(path, self.layout, large_scale=large_scale) for path in paths]
        lengths = [len(run.valid_times) for run in self._runs]
        self._run_of = np.repeat(np.arange(len(lengths)), lengths)
        self._time_of = np.concatenate([np.arange(length) for length in lengths])

    def __len__(self) -> int:
        return len(self._run_of)

    @property
    def bytes(self) -> int:
        """What truths, backgrounds and large scales would take in memory."""
        return (3 if self._large_scale else 2) * 4 * len(self) * int(np.prod(self.layout.shape))

    def select(self, members: np.ndarray) -> Pairs:
        """The members of an index array (m,), read from the disk."""
        runs = [self._runs[i] for i in self._run_of[members]]
        times = self._time_of[members]
        with ThreadPoolExecutor(_THREADS) as threads:
            values = list(threads.map(lambda run, time: run.values(int(time)), runs, times))
        return Pairs(
            torch.stack([truth for truth, _ in values]),
            torch.stack([background for _, background in values]),
            torch.stack([run.orography for run in runs]),
            torch.stack([run.land_fraction for run in runs]),
            np.array([run.valid_times[time] for run, time in zip(runs, times, strict=True)]),
            np.array([run.number for run in runs], np.int64),
            self.layout,
            torch.stack([run.large_scale(int(time), self.layout) for run, time in zip(runs, times, strict=True)])
            if self._large_scale
            else None,
        )


def _opened(path: Path, layout: Layout, *, large_scale: bool) -> _StoredRun:
    whole = read_run(path, only=("large_scale",)) if large_scale else None
    if whole is not None and whole.large_scale is None:
        raise InputError(f"run {path} has no large scale; make the data set again")
    try:
        group = zarr.open_group(path, mode="r")
        run = _StoredRun(
            path,
            int(path.stem),
            group["truth"],
            group["background"],
            torch.from_numpy(np.asarray(group["orography"][...])),
            torch.from_numpy(np.asarray(group["land_fraction"][...])),
            _EPOCH + np.asarray(group["truth_time"][...]) * np.timedelta64(1, "s"),
            whole and whole.static,
            whole and whole.boundary(),
        )
    except (BaseZarrError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"run {path} cannot be read: {type(error).__name__}: {error}") from error
    expected = (len(run.valid_times), *layout.shape)
    if run.truth.shape != expected or run.background.shape != expected:
        raise InputError(f"run {path} has truths of shape {run.truth.shape}, expected {expected} as in the first run")
    return run
