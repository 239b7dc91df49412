"""Directories in which Neural-LAM keeps a graph: one ``.pt`` file of tensors for each part, and ``metainfo.yaml``.

The files are read without running any code from them. Directories without ``metainfo.yaml`` are older ("legacy").
"""

import pickle
from pathlib import Path

import torch
import yaml
from torch import Tensor

from rtma_diffda.errors import InputError

LEGACY = "legacy"
_EDGES = ("g2m", "m2g", "m2m", "mesh_up", "mesh_down")
_HIERARCHICAL = ("mesh_up", "mesh_down")
_PER_LEVEL = ("m2m", "mesh_up", "mesh_down", "mesh")


def read_neural_lam_graph(directory: Path) -> tuple[dict[str, Tensor | list[Tensor]], str]:
    """The tensors of a stored graph by the names of their files, and the version of the format.

    Args:
        directory: holds ``g2m_edge_index.pt``, ``mesh_features.pt`` and so on.

    Returns:
        A mapping of names without ``.pt`` to tensors, or to lists of tensors over mesh levels; and the version,
        "legacy" where the directory states none. Parts that only hierarchical graphs have may be missing.

    Raises:
        InputError: a file is missing, damaged, or holds anything but tensors.
    """
    names = ["mesh_features", *(f"{edges}_{part}" for edges in _EDGES for part in ("edge_index", "features"))]
    paths = {name: directory / f"{name}.pt" for name in names}
    optional = {name for name in names if name.startswith(_HIERARCHICAL)}
    wanted = {name: path for name, path in paths.items() if path.is_file() or name not in optional}
    return {name: _read(name, path) for name, path in wanted.items()}, _version(directory / "metainfo.yaml")


def _read(name: str, path: Path) -> Tensor | list[Tensor]:
    if not path.is_file():
        raise InputError(f"graph file {path} does not exist")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise InputError(f"graph file {path} is damaged, or holds more than tensors: {error}") from error
    per_level = name.removesuffix("_edge_index").removesuffix("_features") in _PER_LEVEL
    if per_level and isinstance(found, list) and all(isinstance(part, Tensor) for part in found):
        return found
    if not per_level and isinstance(found, Tensor):
        return found
    raise InputError(f"graph file {path} holds a {type(found).__name__}; expected {_expected(per_level)}")


def _expected(per_level: bool) -> str:
    return "a list of tensors, one a mesh level" if per_level else "one tensor"


def _version(path: Path) -> str:
    if not path.is_file():
        return LEGACY
    try:
        return str(yaml.safe_load(path.read_text(encoding="utf-8"))["spec_version"])
    except (KeyError, TypeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"graph file {path} states no spec_version: {error!r}") from error
