"""Files of the published GraphCast code: weights, model and task of one network in an ``.npz``, read without pickle.

Names of arrays are paths, joined by ":". ``params:<module>:<array>`` are weights; ``model_config:<field>``,
``task_config:<field>`` (and ``task_config:<field>:<number>`` for lists), ``description`` and ``license`` are numbers
and text, as arrays without a dimension. Fields that are None are left out.
Reference: ``checkpoint.py`` of the published code.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.io.atomic import write_file

_SEPARATOR = ":"
_PARAMS, _MODEL, _TASK = "params", "model_config", "task_config"
Value = str | int | float | bool


@dataclass(frozen=True)
class DeepMindCheckpoint:
    """Attributes:
    params: weights by module path and name in it, ``(module, "w" | "b" | "scale" | "offset")``; float32.
    model_config: fields of the network by name.
    task_config: fields of the task by name; lists are tuples, in order.
    description, license: as written by its author.
    """

    params: Mapping[tuple[str, str], np.ndarray] = field(repr=False)
    model_config: Mapping[str, Value]
    task_config: Mapping[str, Value | tuple[Value, ...]]
    description: str = ""
    license: str = ""

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(values.size for values in self.params.values())


def is_deepmind_checkpoint(path: Path) -> bool:
    """Whether ``path`` is a file named like one; directories are checkpoints of this package."""
    return path.suffix == ".npz" and not path.is_dir()


def read_deepmind_checkpoint(path: Path) -> DeepMindCheckpoint:
    """The checkpoint in a file.

    Raises:
        InputError: there is none, it is damaged, or it lacks weights, the model's or the task's configuration.
    """
    arrays = _arrays(path)
    params = _params(path, arrays)
    model, task = (_fields(arrays, part) for part in (_MODEL, _TASK))
    absent = [name for name, part in ((_PARAMS, params), (_MODEL, model), (_TASK, task)) if not part]
    if absent:
        raise InputError(f"{path} is no GraphCast checkpoint: it has no arrays '{absent[0]}{_SEPARATOR}…'")
    texts = (str(arrays[name]) if name in arrays else "" for name in ("description", "license"))
    return DeepMindCheckpoint(params, model, task, *texts)


def write_deepmind_checkpoint(path: Path, checkpoint: DeepMindCheckpoint) -> Path:
    """Write a file that the published code reads, whole or not at all; an older one is replaced.

    Raises:
        InputError: the file system refused.
    """
    arrays = {_SEPARATOR.join((_PARAMS, *names)): values for names, values in checkpoint.params.items()}
    for part, fields in ((_MODEL, checkpoint.model_config), (_TASK, checkpoint.task_config)):
        for name, value in fields.items():
            items = {str(i): v for i, v in enumerate(value)} if isinstance(value, tuple) else {"": value}
            arrays |= {_SEPARATOR.join(filter(None, (part, name, i))): np.asarray(v) for i, v in items.items()}
    arrays |= {"description": np.asarray(checkpoint.description), "license": np.asarray(checkpoint.license)}

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)

    return write_file(path, save)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, MemoryError) as error:
        raise InputError(f"checkpoint {path} cannot be read: {error}") from error


def _params(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    found = {}
    for name, values in arrays.items():
        kind, _, rest = name.partition(_SEPARATOR)
        if kind != _PARAMS:
            continue
        module, _, own = rest.rpartition(_SEPARATOR)
        if not np.issubdtype(values.dtype, np.floating) or not np.isfinite(values).all():
            raise InputError(f"weight '{name}' of {path} has type {values.dtype}, or is not finite everywhere")
        found[module, own] = values.astype(np.float32, copy=False)
    return found


def _fields(arrays: Mapping[str, np.ndarray], part: str) -> dict[str, Any]:
    """Fields of one part; numbered ones are put together, sorted by number."""
    fields: dict[str, Any] = {}
    for name, values in arrays.items():
        kind, *path = name.split(_SEPARATOR)
        if kind != part or values.ndim or len(path) not in (1, 2):
            continue
        if len(path) == 1:
            fields[path[0]] = values.item()
        elif path[1].isdecimal():
            fields.setdefault(path[0], {})[int(path[1])] = values.item()
    return {name: _in_order(value) if isinstance(value, dict) else value for name, value in fields.items()}


def _in_order(numbered: Mapping[int, Value]) -> tuple[Value, ...]:
    return tuple(numbered[i] for i in sorted(numbered))
