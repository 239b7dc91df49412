"""Named tensors in one safetensors file, with JSON facts in its header: no pickle, so reading runs no code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.io.atomic import write_file


def write_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
    """Write a file, whole or not at all; an older one is replaced.

    Args:
        path: the file; its directory must exist.
        tensors: any number of tensors, of any device.
        facts: plain values for JSON.

    Raises:
        InputError: the file system refused.
    """
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {"facts": json.dumps(facts)}
    return write_file(path, lambda temporary: _save(temporary, stored, header))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What ``write_tensors`` wrote: tensors on the CPU, and facts.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    if not path.is_file():
        raise InputError(f"tensor file {path} does not exist")
    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            header = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        return tensors, json.loads(header.get("facts", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"tensor file {path} is damaged: {error}") from error


def _save(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    try:
        save_file(tensors, path, metadata=header)
    except SafetensorError as error:  # the library hides the reason (a full disk, say) in its text
        raise InputError(f"cannot write tensor file {path}: {error}") from error
