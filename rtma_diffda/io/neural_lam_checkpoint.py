"""Lightning checkpoints of Neural-LAM: weights of the step predictor, sizes that follow from them, plain options.

Weights are under ``state_dict``; since 2026 their names begin with ``forecaster.predictor.``, before they had no
prefix, and very old ones say ``g2m_gnn.grid_mlp`` for ``encoding_grid_mlp``. Graph, statistics and static fields are
not in a checkpoint. Nothing in the file is executed (``inert_file``). Reference: Neural-LAM 0.7.0.
"""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.io.inert_file import Inert, read_inert

_PREFIX = "forecaster.predictor."
_OF_THE_MODULE = ("forecaster.boundary_mask", "forecaster.interior_mask", "interior_mask_bool", "per_var_std")
_OLD, _NEW = "g2m_gnn.grid_mlp.", "encoding_grid_mlp."
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class NeuralLamCheckpoint:
    """Attributes:
    weights: by the names of Neural-LAM 0.7.0's step predictor.
    options: what it was trained with, of plain values; may be empty.
    """

    weights: Mapping[str, Tensor] = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NeuralLamSizes:
    """What the shapes of weights say.

    Attributes:
        model: GraphLAM, HiLAM or HiLAMParallel.
        entering, leaving: channels of the grid input, and of the answer.
        hidden, hidden_layers, processor_layers, levels: sizes; ``levels`` of the mesh.
    """

    model: str
    entering: int
    leaving: int
    hidden: int
    hidden_layers: int
    processor_layers: int
    levels: int


@dataclass(frozen=True)
class NeuralLamStatistics:
    """What goes with a checkpoint and is not in it.

    Attributes:
        xy: (node, 2) plane coordinates of the grid, in the order of its nodes.
        static: (node, static) standardised static fields.
        state_mean, state_std: (state,) of the state, in physical units.
        difference_mean, difference_std: (state,) of one-step differences of the standardised state.
    """

    xy: np.ndarray = field(repr=False)
    static: Tensor = field(repr=False)
    state_mean: Tensor
    state_std: Tensor
    difference_mean: Tensor
    difference_std: Tensor


def read_neural_lam_checkpoint(path: Path) -> NeuralLamCheckpoint:
    """Weights and options of a ``.ckpt`` file.

    Raises:
        InputError: the file cannot be read, or holds no weights of a Neural-LAM model.
    """
    found = read_inert(path)
    state = found.get("state_dict") if isinstance(found, Mapping) else None
    if not isinstance(state, Mapping):
        raise InputError(f"{path} is no Lightning checkpoint: it has no state_dict")
    weights = {_current(name): values for name, values in state.items() if name not in _OF_THE_MODULE}
    odd = [name for name, values in weights.items() if not isinstance(values, Tensor)]
    if odd or "grid_embedder.0.weight" not in weights:
        what = f"'{odd[0]}' is no tensor" if odd else "it has no grid_embedder"
        raise InputError(f"{path} holds no weights of a Neural-LAM model: {what}")
    return NeuralLamCheckpoint(weights, _options(found.get("hyper_parameters")))


def sizes_of(weights: Mapping[str, Tensor]) -> NeuralLamSizes:
    """Model and sizes, from names and shapes of Neural-LAM's weights.

    Raises:
        InputError: the weights are not those of one of its models.
    """
    try:
        linears = [name for name in weights if re.fullmatch(r"grid_embedder\.\d+\.weight", name)]
        last = max(int(name.split(".")[1]) for name in weights if re.fullmatch(r"output_map\.\d+\.weight", name))
        hidden, entering = weights["grid_embedder.0.weight"].shape
        levels = _count(weights, r"mesh_embedders\.(\d+)\.") or 1
        parallel = "processor.module_0.edge_mlp.mlps.0.0.weight" in weights
        return NeuralLamSizes(
            "GraphLAM" if levels == 1 else "HiLAMParallel" if parallel else "HiLAM",
            entering,
            len(weights[f"output_map.{last}.weight"]),
            hidden,
            hidden_layers=sum(weights[name].ndim == 2 for name in linears) - 1,
            processor_layers=_count(weights, r"processor\.module_(\d+)\.") or _count(weights, r"mesh_up_gnns\.(\d+)\."),
            levels=levels,
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"weights are not those of a model of Neural-LAM: {error!r}") from error


def read_neural_lam_statistics(path: Path) -> NeuralLamStatistics:
    """Statistics and static fields from a ``.npz`` file of arrays.

    Args:
        path: with ``xy``, ``static``, ``state_mean``, ``state_std``, ``state_diff_mean_standardized`` and
            ``state_diff_std_standardized``; what stands before a ``/`` in a name does not matter.

    Raises:
        InputError: the file is missing or damaged, or lacks one of them.
    """
    names = ("xy", "static", "state_mean", "state_std", "state_diff_mean_standardized", "state_diff_std_standardized")
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = {name.rsplit("/", 1)[-1]: name for name in stored.files}
            xy, *others = (stored[found[name]] for name in names)
            return NeuralLamStatistics(xy, *(torch.as_tensor(np.asarray(values, np.float32)) for values in others))
    except KeyError as error:
        raise InputError(f"statistics {path} lack {error}; expected {', '.join(names)}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"statistics {path} cannot be read: {error}") from error


def _current(name: str) -> str:
    name = name.removeprefix(_PREFIX)
    return name.replace(_OLD, _NEW, 1) if name.startswith(_OLD) else name


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the highest number that ``pattern`` finds at the beginning of names; 0 where it finds none."""
    found = [re.match(pattern, name) for name in weights]
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _options(stored: Any) -> dict[str, Any]:
    """Hyper-parameters of plain values; those that came on the command line are kept together under ``args``."""
    given = dict(stored) if isinstance(stored, Mapping) else {}
    arguments = given.pop("args", None)
    given |= arguments.attributes if isinstance(arguments, Inert) else {}
    return {str(name): value for name, value in given.items() if isinstance(value, _PLAIN)}
