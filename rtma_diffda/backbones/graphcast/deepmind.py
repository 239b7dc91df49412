"""Weights, model and task of the published GraphCast code as those of this package, and back.

Weights of linear layers are transposed (Haiku multiplies x @ w), and everything gets another name; nothing is computed.
Reference: ``deep_typed_graph_net.py`` and ``graphcast.py`` of the published code.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import GraphCastTask
from rtma_diffda.errors import InputError

ParamName = tuple[str, str]
"""Path of a module, and the array's name in it: w, b, scale or offset."""

_ENCODER = {
    "grid_embedder": "encoder_nodes_grid_nodes",
    "mesh_embedder": "encoder_nodes_mesh_nodes",
    "to_mesh_states.embedder": "encoder_edges_grid2mesh",
    "to_mesh.edge_mlp": "processor_edges_0_grid2mesh",
    "to_mesh.aggr_mlp": "processor_nodes_0_mesh_nodes",
    "encoding_grid": "processor_nodes_0_grid_nodes",
}
_DECODER = {
    "to_grid_states.embedder": "encoder_edges_mesh2grid",
    "to_grid.edge_mlp": "processor_edges_0_mesh2grid",
    "to_grid.aggr_mlp": "processor_nodes_0_grid_nodes",
    "decoding_mesh": "processor_nodes_0_mesh_nodes",
    "output_map": "decoder_nodes_grid_nodes",
}
_WITHOUT_NORM = "output_map"
_MODEL_FIELDS = {
    "mesh_size": ("mesh_size", int),
    "latent_size": ("latent_size", int),
    "message_steps": ("gnn_msg_steps", int),
    "hidden_layers": ("hidden_layers", int),
    "radius_fraction": ("radius_query_fraction_edge_length", float),
}
_FACTOR = "mesh2grid_edge_normalization_factor"
_TASK_FIELDS = ("input_variables", "target_variables", "forcing_variables", "pressure_levels")


def published_names(settings: GraphCastSettings) -> dict[str, ParamName]:
    """The published name of every weight of the network, by ours."""
    names = {}
    for own, net, block in _blocks(settings.message_steps):
        path = f"{net}/~_networks_builder/{block}"
        for layer in range(settings.hidden_layers + 1):
            names[f"{own}.{2 * layer}.weight"] = (f"{path}_mlp/~/linear_{layer}", "w")
            names[f"{own}.{2 * layer}.bias"] = (f"{path}_mlp/~/linear_{layer}", "b")
        if own != _WITHOUT_NORM:
            norm = 2 * settings.hidden_layers + 1
            names[f"{own}.{norm}.weight"] = (f"{path}_layer_norm", "scale")
            names[f"{own}.{norm}.bias"] = (f"{path}_layer_norm", "offset")
    return names


def from_deepmind(params: Mapping[ParamName, np.ndarray], settings: GraphCastSettings) -> dict[str, Tensor]:
    """The state of a ``GraphCastNetwork`` from published weights.

    Raises:
        InputError: weights are missing, or there are some that the network does not have.
    """
    names = published_names(settings)
    missing, strange = set(names.values()) - set(params), set(params) - set(names.values())
    if missing or strange:
        first = ":".join(min(missing or strange))
        raise InputError(
            f"published weights do not fit a network of {settings.message_steps} steps and {settings.hidden_layers} "
            f"hidden layers: {len(missing)} are missing, {len(strange)} are not known; the first is '{first}'"
        )
    return {own: torch.from_numpy(_turned(params[name], name).copy()) for own, name in names.items()}


def to_deepmind(state: Mapping[str, Tensor], settings: GraphCastSettings) -> dict[ParamName, np.ndarray]:
    """Published weights from the state of a ``GraphCastNetwork``.

    Raises:
        InputError: weights are missing.
    """
    names = published_names(settings)
    missing = sorted(set(names) - set(state))
    if missing:
        raise InputError(f"{len(missing)} weights of a GraphCast network are missing, the first is '{missing[0]}'")
    return {
        name: np.ascontiguousarray(_turned(state[own].detach().cpu().float().numpy(), name))
        for own, name in names.items()
    }


def settings_from(model_config: Mapping[str, Any]) -> GraphCastSettings:
    """The settings that a published ``model_config`` says; its resolution follows from the grid.

    Raises:
        InputError: a field is missing.
    """
    try:
        values = {own: kind(model_config[theirs]) for own, (theirs, kind) in _MODEL_FIELDS.items()}
        factor = model_config.get(_FACTOR)
        return GraphCastSettings(**values, **{_FACTOR: None if factor is None else float(factor)})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the model_config of a GraphCast checkpoint lacks something: {error!r}") from error


def model_config_of(settings: GraphCastSettings, *, resolution: float) -> dict[str, int | float]:
    """The published ``model_config`` of settings, on a grid of ``resolution`` degrees."""
    found = {theirs: kind(getattr(settings, own)) for own, (theirs, kind) in _MODEL_FIELDS.items()}
    factor = settings.mesh2grid_edge_normalization_factor
    return {"resolution": float(resolution), **found} | ({} if factor is None else {_FACTOR: float(factor)})


def task_from(task_config: Mapping[str, Any]) -> GraphCastTask:
    """The task that a published ``task_config`` says.

    Raises:
        InputError: a field is missing, or has values that are not known.
    """
    try:
        lists = {name: tuple(task_config[name]) for name in _TASK_FIELDS}
        lists["pressure_levels"] = tuple(map(int, lists["pressure_levels"]))
        return GraphCastTask(**lists, input_duration=str(task_config["input_duration"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the task_config of a GraphCast checkpoint lacks something: {error!r}") from error


def task_config_of(task: GraphCastTask) -> dict[str, str | tuple[str | int, ...]]:
    """The published ``task_config`` of a task."""
    return {**{name: tuple(getattr(task, name)) for name in _TASK_FIELDS}, "input_duration": task.input_duration}


def _blocks(steps: int) -> Iterator[tuple[str, str, str]]:
    """Our name of each perceptron, the published net that it is in, and the published name of its block."""
    yield from ((own, "grid2mesh_gnn", block) for own, block in _ENCODER.items())
    yield "processor.edge_embedder", "mesh_gnn", "encoder_edges_mesh"
    for k in range(steps):
        yield f"processor.steps.{k}.edge_mlp", "mesh_gnn", f"processor_edges_{k}_mesh"
        yield f"processor.steps.{k}.aggr_mlp", "mesh_gnn", f"processor_nodes_{k}_mesh_nodes"
    yield from ((own, "mesh2grid_gnn", block) for own, block in _DECODER.items())


def _turned(values: np.ndarray, name: ParamName) -> np.ndarray:
    return values.T if name[1] == "w" else values
