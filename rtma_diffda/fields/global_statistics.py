"""``GlobalStatistics``: what GraphCast normalises by: mean and standard deviation of each variable on each level, and
the standard deviation of its change in six hours.

Statistics are matched by name and by the level's value. A variable without them passes as it is (mean 0, deviation 1),
with a warning, as in the published code (``normalization.py``).
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_layout import Key, key_label

logger = logging.getLogger(__name__)

_KINDS = ("mean", "std", "change_std")
_FIXED = ("geopotential_at_surface", "land_sea_mask")
"""Fields that do not change: files may say so."""


@dataclass(frozen=True)
class GlobalStatistics:
    """Statistics by variable and level.

    Attributes:
        mean: SI, of states, forcings and static fields.
        std: likewise; positive.
        change_std: standard deviation of the change in six hours; of states.
    """

    mean: Mapping[Key, float] = field(repr=False)
    std: Mapping[Key, float] = field(repr=False)
    change_std: Mapping[Key, float] = field(repr=False)

    def __post_init__(self) -> None:
        for kind in _KINDS:
            plain = {_key(*key): float(value) for key, value in getattr(self, kind).items()}
            object.__setattr__(self, kind, MappingProxyType(plain))
        for kind in ("std", "change_std"):
            fixed = _FIXED if kind == "change_std" else ()
            wrong = [key for key, value in getattr(self, kind).items() if not value > 0.0 and key[0] not in fixed]
            if wrong:
                raise InputError(f"{kind} of {key_label(wrong[0])} is {getattr(self, kind)[wrong[0]]}; it must be > 0")

    def mean_of(self, keys: Sequence[Key]) -> Tensor:
        """(k,) float32; 0 where there is none."""
        return _values(self.mean, keys, absent=0.0, what="mean")

    def std_of(self, keys: Sequence[Key]) -> Tensor:
        """(k,) float32; 1 where there is none."""
        return _values(self.std, keys, absent=1.0, what="standard deviation")

    def change_std_of(self, keys: Sequence[Key]) -> Tensor:
        """(k,) float32; 1 where there is none."""
        return _values(self.change_std, keys, absent=1.0, what="standard deviation of change")

    def selected(self, keys: Sequence[Key]) -> "GlobalStatistics":
        """With those of ``keys`` only."""
        wanted = {_key(*key) for key in keys}
        return GlobalStatistics(*({k: v for k, v in getattr(self, kind).items() if k in wanted} for kind in _KINDS))

    def tensors(self) -> dict[str, Tensor]:
        """``{"mean:geopotential:500": 0-d float64, …}``, for checkpoints."""
        return {
            ":".join((kind, name, "" if level is None else f"{level:g}")): torch.tensor(value, dtype=torch.float64)
            for kind in _KINDS
            for (name, level), value in getattr(self, kind).items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "GlobalStatistics":
        """The inverse of ``tensors``; other names are left out.

        Raises:
            InputError: there are none.
        """
        found: dict[str, dict[Key, float]] = {kind: {} for kind in _KINDS}
        for text, value in tensors.items():
            kind, *rest = text.split(":")
            if kind in found and len(rest) == 2:
                found[kind][(rest[0], float(rest[1]) if rest[1] else None)] = float(value)
        if not all(found.values()):
            raise InputError("statistics of a global model need means, standard deviations, and those of changes")
        return cls(**found)


def _key(name: str, level: float | None) -> Key:
    return name, None if level is None else float(level)


def _values(statistics: Mapping[Key, float], keys: Sequence[Key], *, absent: float, what: str) -> Tensor:
    missing = tuple(key for key in keys if _key(*key) not in statistics)
    if missing:
        _warn_once(what, tuple(map(key_label, missing)), absent)
    return torch.tensor([statistics.get(_key(*key), absent) for key in keys], dtype=torch.float32)


@lru_cache(maxsize=256)
def _warn_once(what: str, names: tuple[str, ...], absent: float) -> None:
    logger.warning("no %s of %s; %g is taken", what, ", ".join(names), absent)
