"""A ``GraphCastBackbone`` as plain values for the config of a checkpoint, with tensors beside them, and back.

The graph follows from grid and settings, and is built again; only a choice of mesh-to-grid edges that was made
elsewhere goes into the tensors.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.graph import CORNERS
from rtma_diffda.backbones.graphcast.graph_builder import build_graph
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import GraphCastTask
from rtma_diffda.errors import InputError, RtmaDiffdaError
from rtma_diffda.geo.grid import LatLonGrid

KIND = "graphcast"
_EDGES = "graph.mesh_to_grid"
_AXES = ("latitudes", "longitudes")


def graphcast_config(backbone: GraphCastBackbone) -> dict[str, Any]:
    """Plain values from which ``graphcast_from`` makes the backbone again."""
    network = {name: value for name, value in asdict(backbone.settings).items() if name != "evaluation"}
    task = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(backbone.task).items()}
    axes = {name: _plain_axis(getattr(backbone.grid, name)) for name in _AXES}
    return {"kind": KIND, "network": network, "task": task, "grid": {**axes, "periodic": backbone.grid.periodic}}


def graphcast_tensors(backbone: GraphCastBackbone) -> dict[str, Tensor]:
    """What goes beside the weights: mesh-to-grid edges that were chosen elsewhere; nothing where they were not."""
    if backbone.stored is None:
        return {}
    return {_EDGES: backbone.stored.mesh_to_grid.senders.view(-1, CORNERS).int()}


def graphcast_from(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> GraphCastBackbone:
    """The backbone of ``graphcast_config``; ``tensors`` are those of ``graphcast_tensors``, among others.

    Raises:
        InputError: the config is of something else, incomplete or not understood.
    """
    if config.get("kind") != KIND:
        raise InputError(f"the checkpoint holds a network of kind '{config.get('kind')}', expected '{KIND}'")
    try:
        settings = GraphCastSettings(**config["network"])
        task = GraphCastTask(**{n: tuple(v) if isinstance(v, list) else v for n, v in config["task"].items()})
        axes = [_axis(config["grid"][name]) for name in _AXES]
        grid = LatLonGrid(*axes, periodic=bool(config["grid"]["periodic"]))
        edges = tensors.get(_EDGES)
        stored = None if edges is None else build_graph(grid, settings, edges.cpu().numpy())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, RtmaDiffdaError):
            raise
        raise InputError(f"the config of a GraphCast network is incomplete or not understood: {error!r}") from error
    return GraphCastBackbone(settings, task, grid, stored)


def given_mesh_to_grid(backbone: GraphCastBackbone, mesh2grid: np.ndarray | Tensor) -> GraphCastBackbone:
    """The backbone with mesh-to-grid edges (grid point, 3) that were chosen elsewhere, such as by the published code.

    Raises:
        InputError: they do not fit its grid and mesh.
    """
    chosen = mesh2grid.cpu().numpy() if isinstance(mesh2grid, Tensor) else mesh2grid
    graph = build_graph(backbone.grid, backbone.settings, chosen)
    return GraphCastBackbone(backbone.settings, backbone.task, backbone.grid, graph)


def _plain_axis(values: np.ndarray) -> dict[str, float | int] | list[float]:
    """An even axis by its ends, any other by its values."""
    even = np.linspace(values[0], values[-1], len(values))
    if np.array_equal(even, values):
        return {"first": float(values[0]), "last": float(values[-1]), "count": len(values)}
    return [float(value) for value in values]


def _axis(stored: Mapping[str, Any] | list[float]) -> np.ndarray:
    if isinstance(stored, Mapping):
        return np.linspace(float(stored["first"]), float(stored["last"]), int(stored["count"]))
    return torch.tensor(stored, dtype=torch.float64).numpy()
