"""Forecasts of a global archive's states, stored as their errors; written in order, resumable.

DIRECTORY/errors.npy     (time, channel, y, x) float16, memory-mapped: (forecast − truth) / unit
DIRECTORY/design.json    what they are: channels, valid times, lead time, unit of each channel, which model made them
DIRECTORY/done.json      how many times are there, from the first one

The error is rounded to float16, three decimal digits of it, so that a forecast is known far better than its error. The
truth is not stored again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.io.atomic import explain_failures, write_bytes
from rtma_diffda.times import format_time

_FORMAT = 1
_ERRORS, _DESIGN, _DONE = "errors.npy", "design.json", "done.json"
_HOUR = np.timedelta64(1, "h")


class StatesByTime(Protocol):
    """Global states by valid time, such as ``io.weatherbench.GlobalArchive``."""

    layout: Layout
    valid_times: np.ndarray

    def values(self, valid_times: np.ndarray) -> Tensor:
        """(time, channel, y, x) float32."""


@dataclass(frozen=True)
class BackgroundsDesign:
    """What forecasts are stored.

    Attributes:
        layout: of the states.
        valid_times: (time,) datetime64[ns], ascending.
        lead: of the forecasts.
        unit: (channel,) float32, SI: what errors are divided by.
        source: the model and the archive, in words; forecasts of another source are not added to these.
    """

    layout: Layout
    valid_times: np.ndarray = field(repr=False)
    lead: np.timedelta64
    unit: Tensor = field(repr=False)
    source: str

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, channel, y, x)."""
        return (len(self.valid_times), *self.layout.shape)

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "format": _FORMAT,
            "channels": list(self.layout.names),
            "grid": self.layout.grid.key,
            "lead_hours": float(self.lead / _HOUR),
            "unit": [float(value) for value in self.unit],
            "source": self.source,
            "valid_times": np.datetime_as_string(self.valid_times, unit="m").tolist(),
        }


class BackgroundsWriter:
    """Writes forecasts in the order of the valid times, or goes on where an earlier writer stopped.

    Args:
        directory: of this set alone; made when absent.
        design: of all of it.

    Raises:
        UsageError: other forecasts lie there.
        InputError: the file system refused.
    """

    def __init__(self, directory: Path, design: BackgroundsDesign) -> None:
        self._directory, self._design = directory, design
        with explain_failures(f"backgrounds {directory}"):
            directory.mkdir(parents=True, exist_ok=True)
            stored = directory / _DESIGN
            if stored.exists():
                _require_same(_read(stored), design.facts(), directory)
            path, new = directory / _ERRORS, not stored.exists()
            mode = "w+" if new else "r+"
            self._errors = np.lib.format.open_memmap(path, mode, None if not new else np.float16, design.shape)
            if new:
                _write(directory / _DONE, {"times": 0})
                _write(stored, design.facts())
        self.done = int(_read(directory / _DONE)["times"])

    def append(self, forecasts: Tensor, truths: Tensor) -> None:
        """The forecasts (time, channel, y, x) of the next valid times, and the truths.

        Raises:
            InputError: a forecast is not finite, or farther from the truth than float16 reaches.
        """
        errors = ((forecasts.double() - truths.double()) / self._design.unit[:, None, None].double()).half()
        if not bool(torch.isfinite(errors).all()):
            first = self._design.valid_times[self.done]
            raise InputError(f"the forecasts valid from {format_time(first)} on are not finite, or far from any truth")
        with explain_failures(f"backgrounds {self._directory}"):
            self._errors[self.done : self.done + len(errors)] = errors.cpu().numpy()
            self._errors.flush()
            self.done += len(errors)
            _write(self._directory / _DONE, {"times": self.done})


@dataclass(frozen=True)
class StoredBackgrounds:
    """Forecasts by valid time: truth plus stored error.

    Attributes:
        truth: what the errors are of.
        lead: of the forecasts.
        valid_times: (time,) datetime64[ns], ascending.
        errors: (time, channel, y, x) float16, memory-mapped.
        unit: (channel,) float32.
    """

    truth: StatesByTime
    lead: np.timedelta64
    valid_times: np.ndarray = field(repr=False)
    errors: np.ndarray = field(repr=False)
    unit: Tensor = field(repr=False)

    @property
    def layout(self) -> Layout:
        """Of the states."""
        return self.truth.layout

    def values(self, valid_times: np.ndarray) -> Tensor:
        """The forecasts (time, channel, y, x) float32 valid at some of the times."""
        rows = np.searchsorted(self.valid_times, valid_times)
        errors = torch.from_numpy(np.asarray(self.errors[rows], np.float32))
        return self.truth.values(valid_times) + errors * self.unit[:, None, None]


def read_backgrounds(directory: Path, truth: StatesByTime) -> StoredBackgrounds:
    """The forecasts in a directory, as far as they are done.

    Raises:
        InputError: there are none, they are damaged, or of other channels or another grid than ``truth``.
    """
    if not (directory / _DESIGN).exists():
        raise InputError(f"{directory} holds no forecasts; rtma-diffda train target=graphcast_pairs makes them")
    facts, done = _read(directory / _DESIGN), int(_read(directory / _DONE)["times"])
    expected = {"format": _FORMAT, "channels": list(truth.layout.names), "grid": truth.layout.grid.key}
    _require_same({name: facts.get(name) for name in expected}, expected, directory, error=InputError)
    try:
        errors = np.load(directory / _ERRORS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{directory / _ERRORS} cannot be read: {error}") from error
    times = np.array(facts["valid_times"], "datetime64[ns]")
    if errors.shape != (len(times), *truth.layout.shape):
        raise InputError(
            f"{directory / _ERRORS} has shape {errors.shape}; expected {(len(times), *truth.layout.shape)}"
        )
    lead = np.timedelta64(round(facts["lead_hours"] * 60), "m")
    return StoredBackgrounds(truth, lead, times[:done], errors[:done], torch.tensor(facts["unit"]))


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    write_bytes(path, json.dumps(facts).encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}") from error


def _require_same(
    found: Mapping[str, Any], expected: Mapping[str, Any], directory: Path, error: type[Exception] = UsageError
) -> None:
    differing = [name for name in expected if found.get(name) != expected[name]]
    if differing:
        name = differing[0]
        raise error(
            f"{directory} holds other forecasts: {', '.join(differing)} differ ({name} is {str(found.get(name))[:80]} "
            f"there, expected {str(expected[name])[:80]}); choose another directory"
        )
