"""``BoundaryWindow``: which global states a boundary node sees, and how they become its features.

The window is centred on the *target*, the valid time that is predicted or analysed, for every kind of store:

    current = the latest stored state at or before the target ("pad"), less than ``interval`` old;
    window  = current + k · interval,  k = −past … future;

so a boundary of 6 h with a model of 1 h repeats the same states six times, and says so by the offsets of the window's
times from the target, in model steps. An offset o enters as sine and cosine of o / (2 T)^(2 i / D), i = 1 … D / 2,
where T is the largest |o| that can occur. With ``interpolate`` the states are linear in time, the window is centred
exactly on the target, and the offsets are the same for all targets.

Features of a node: each variable over the window, variable after variable; then the D numbers of each window time;
then what never changes (terrain in km, land fraction).
Reference: Adamov et al. (2025), arXiv 2504.09340 (boundary nodes, time offsets).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.times import format_time

_METRES_PER_KM = 1000.0
_LISTED_TIMES = 4
_SECOND = np.timedelta64(1, "s")
_LONGEST_GAP = np.timedelta64(6, "h")


@dataclass(frozen=True)
class WindowPlan:
    """Which stored states make the windows of some targets.

    Attributes:
        lower, upper: (target, window) int64 positions among the stored states; equal where a state is taken as it is.
        share: (target, window) float64, 0 … 1: the part of ``upper``; 0 where a state is taken as it is.
        offsets: (target, window) float64: window time − target, in model steps.
        encoded: (target, window, D) float32: the offsets as sines and cosines.
    """

    lower: Tensor = field(repr=False)
    upper: Tensor = field(repr=False)
    share: Tensor = field(repr=False)
    offsets: Tensor = field(repr=False)
    encoded: Tensor = field(repr=False)

    def shifted(self, positions: int) -> "WindowPlan":
        """The plan for the same states stored ``positions`` further on, as in several runs joined along time."""
        return WindowPlan(self.lower + positions, self.upper + positions, self.share, self.offsets, self.encoded)

    def features(self, values: Tensor, static: Tensor | None = None) -> Tensor:
        """Features of every node.

        Args:
            values: (time, channel, node…) standardised stored states; further axes count as nodes.
            static: (node, static) features that never change; None for none.

        Returns:
            (target, node, feature) in the dtype and on the device of ``values``.
        """
        states = self._windows(values.flatten(2))
        targets, _, _, nodes = states.shape
        parts = [states.permute(0, 3, 2, 1).reshape(targets, nodes, -1)]
        encoded = self.encoded.to(states).flatten(1)
        parts.append(encoded[:, None].expand(targets, nodes, encoded.shape[1]))
        if static is not None:
            parts.append(static.to(states).expand(targets, *static.shape))
        return torch.cat(parts, dim=-1)

    def _windows(self, values: Tensor) -> Tensor:
        """States (target, window, channel, node)."""
        states = values[self.lower.to(values.device)]
        if not bool(self.share.any()):
            return states
        later = values[self.upper.to(values.device)]
        return torch.lerp(states, later, self.share.to(values)[..., None, None])


@dataclass(frozen=True, kw_only=True)
class BoundaryWindow:
    """Attributes:
    interval: between the states of the window; may be coarser than the stored states, of which some are then left out.
    step: of the model; the unit of offsets.
    past, future: number of states before and after the current one.
    encoding: D, numbers for each window time; even; 0 for none.
    interpolate: states linear in time, centred exactly on the target.
    longest_gap: the longest time between two stored states that ``interpolate`` bridges.
    """

    interval: np.timedelta64
    step: np.timedelta64
    past: int = 1
    future: int = 1
    encoding: int = 8
    interpolate: bool = False
    longest_gap: np.timedelta64 = _LONGEST_GAP

    def __post_init__(self) -> None:
        if self.past < 0 or self.future < 0:
            raise UsageError(f"a boundary window needs past, future ≥ 0; found {self.past} and {self.future}")
        if self.encoding < 0 or self.encoding % 2:
            raise UsageError(f"the encoding of time offsets must be even and not negative; found {self.encoding}")
        for name in ("interval", "step", "longest_gap"):
            if not getattr(self, name) > np.timedelta64(0, "s"):
                raise UsageError(f"{name} of a boundary window must be longer than 0; found {getattr(self, name)}")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "BoundaryWindow":
        """The window of which ``settings`` were taken."""
        seconds = {name: int(settings[f"{name}_seconds"]) * _SECOND for name in ("interval", "step", "longest_gap")}
        counts = {name: int(settings[name]) for name in ("past", "future", "encoding")}
        return cls(**seconds, **counts, interpolate=bool(settings["interpolate"]))

    def settings(self) -> dict[str, Any]:
        """Plain numbers, for the configuration of a checkpoint."""
        seconds = {f"{name}_seconds": getattr(self, name) // _SECOND for name in ("interval", "step", "longest_gap")}
        counts = {name: getattr(self, name) for name in ("past", "future", "encoding", "interpolate")}
        return {name: int(value) for name, value in seconds.items()} | counts

    @property
    def size(self) -> int:
        """Number of states of a window."""
        return self.past + 1 + self.future

    @property
    def largest_offset(self) -> float:
        """T: the largest |window time − target| that can occur, in model steps.

        Without interpolation the current state may be up to ``interval`` − ``step`` older than the target.
        """
        age = np.timedelta64(0, "s") if self.interpolate else max(self.interval - self.step, np.timedelta64(0, "s"))
        return max(float((self.past * self.interval + age) / self.step), float(self.future * self.interval / self.step))

    def channels(self, variables: int, static: int = 0) -> int:
        """Features that a boundary node gets from ``variables`` standardised fields and ``static`` fixed ones."""
        return self.size * (variables + self.encoding) + static

    def times(self, target: np.datetime64, available: np.ndarray, *, source: str = "the boundary") -> np.ndarray:
        """(window,) datetime64[ns]: the valid times of the window's states, past to future.

        Args:
            target: the time that is predicted or analysed.
            available: (time,) valid times of the stored states, increasing.
            source: the run that made them, for messages.

        Raises:
            InputError: the stored states do not reach; the message names what is missing and what is there.
        """
        return self._wanted(_nanoseconds(target), _nanoseconds(available), source)[0][0].view("datetime64[ns]")

    def needed(
        self, targets: np.ndarray | np.datetime64, available: np.ndarray, *, source: str = "the boundary"
    ) -> np.ndarray:
        """(n,) datetime64[ns], increasing: the stored times that the windows of all targets are made from.

        Raises:
            InputError: as for ``times``.
        """
        plan = self.plan(targets, available, source=source)
        used = torch.cat([plan.lower.flatten(), plan.upper.flatten()]).unique().numpy()
        return np.asarray(available).astype("datetime64[ns]")[used]

    def plan(
        self, targets: np.ndarray | np.datetime64, available: np.ndarray, *, source: str = "the boundary"
    ) -> WindowPlan:
        """Which stored states make the windows of ``targets`` (target,); arguments and errors as for ``times``."""
        moments, stored = _nanoseconds(targets), _nanoseconds(available)
        wanted, lower, upper = self._wanted(moments, stored, source)
        length = stored[upper] - stored[lower]
        share = (wanted - stored[lower]) / np.where(length > 0, length, 1)
        offsets = torch.from_numpy((wanted - moments[:, None]) / _nanoseconds_of(self.step))
        return WindowPlan(
            torch.from_numpy(lower), torch.from_numpy(upper), torch.from_numpy(share), offsets, self.encode(offsets)
        )

    def encode(self, offsets: Tensor) -> Tensor:
        """Sines, then cosines, of offsets (…,) in model steps over (2 T)^(2 i / D): (…, D) float32."""
        half = self.encoding // 2
        powers = torch.arange(1, half + 1, dtype=torch.float64) / max(half, 1)
        angles = offsets.double()[..., None] / (2.0 * max(self.largest_offset, 1.0)) ** powers
        return torch.cat([angles.sin(), angles.cos()], dim=-1).float()

    def features(
        self,
        values: Tensor,
        available: np.ndarray,
        target: np.datetime64,
        *,
        static: Tensor | None = None,
        source: str = "the boundary",
    ) -> Tensor:
        """Features (node, feature) of every node for one target.

        Args:
            values: (time, channel, node…) standardised stored states.
            available, target, source: as for ``times``.
            static: (node, static) features that never change; None for none.

        Raises:
            InputError: the stored states do not reach, or are not as many as ``available``.
        """
        return self.batch(values, available, np.atleast_1d(target), static=static, source=source)[0]

    def batch(
        self,
        values: Tensor,
        available: np.ndarray,
        targets: np.ndarray,
        *,
        static: Tensor | None = None,
        source: str = "the boundary",
    ) -> Tensor:
        """Features (target, node, feature) for many targets at once; arguments and errors as for ``features``."""
        if len(values) != len(available):
            raise InputError(f"{source} has {len(values)} states and {len(available)} valid times")
        return self.plan(targets, available, source=source).features(values, static)

    def _wanted(
        self, targets: np.ndarray, stored: np.ndarray, source: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times of the windows (target, window), and the positions of the stored states before and after each."""
        _require_increasing(stored, source)
        centres = targets if self.interpolate else self._current(targets, stored, source)
        wanted = centres[:, None] + np.arange(-self.past, self.future + 1) * _nanoseconds_of(self.interval)
        lower = np.searchsorted(stored, wanted, side="right") - 1
        exact = stored[lower.clip(0)] == wanted
        upper = np.where(exact, lower, lower + 1)
        found = (lower >= 0) & (upper < len(stored))
        lower, upper = lower.clip(0), upper.clip(0, len(stored) - 1)
        bridged = self.interpolate & (stored[upper] - stored[lower] <= _nanoseconds_of(self.longest_gap))
        found &= exact | bridged
        if not found.all():
            row = int(np.flatnonzero(~found.all(axis=1))[0])
            what = "state at " + _listed(wanted[row][~found[row]])
            if self.interpolate:
                what = f"states within {_words(self.longest_gap)} of each other around {what.removeprefix('state at ')}"
            raise InputError(self._missing(what, targets[row], stored, source))
        return wanted, lower, upper

    def _current(self, targets: np.ndarray, stored: np.ndarray, source: str) -> np.ndarray:
        """The latest stored time at or before each target."""
        position = np.searchsorted(stored, targets, side="right") - 1
        age = targets - stored[position.clip(0)]
        late = (position < 0) | (age >= _nanoseconds_of(self.interval))
        if late.any():
            target = targets[late][0]
            what = f"state in the {_words(self.interval)} up to {_listed(target[None])}"
            raise InputError(self._missing(what, target, stored, source))
        return stored[position]

    def _missing(self, what: str, target: np.int64, stored: np.ndarray, source: str) -> str:
        return (
            f"{source} has no {what}, which the window around {_listed(target[None])} needs ({self.past} before and "
            f"{self.future} after the current one, {_words(self.interval)} apart); it has {len(stored)} states from "
            f"{_listed(stored[:1])} to {_listed(stored[-1:])}"
        )


def static_features(static: StaticFields) -> Tensor:
    """Terrain height (km) and land fraction of the points of a boundary grid, row by row: (node, 2) float32.

    Raises:
        InputError: one of them is not known.
    """
    fields = {"terrain": static.orography, "land fraction": static.land_fraction}
    absent = [name for name, values in fields.items() if values is None]
    if absent:
        raise InputError(f"the boundary's static fields ({static.source}) lack {' and '.join(absent)}")
    columns = (static.orography / _METRES_PER_KM, static.land_fraction)
    return torch.stack([torch.from_numpy(np.asarray(values, np.float32)).flatten() for values in columns], dim=1)


def _nanoseconds(times: np.ndarray | np.datetime64) -> np.ndarray:
    return np.atleast_1d(times).astype("datetime64[ns]").view(np.int64)


def _nanoseconds_of(interval: np.timedelta64) -> int:
    return int(interval.astype("timedelta64[ns]").astype(np.int64))


def _require_increasing(stored: np.ndarray, source: str) -> None:
    if not len(stored):
        raise InputError(f"{source} has no states at all")
    if (np.diff(stored) <= 0).any():
        raise InputError(f"the valid times of {source} must increase; found {_listed(stored)}")


def _listed(times: np.ndarray) -> str:
    moments = [format_time(time) for time in times.view("datetime64[ns]")]
    return ", ".join(moments[:_LISTED_TIMES]) + (" …" if len(moments) > _LISTED_TIMES else "")


def _words(interval: np.timedelta64) -> str:
    minutes = float(interval / np.timedelta64(1, "m"))
    return f"{minutes / 60:g} h" if minutes % 60 == 0 else f"{minutes:g} min"
