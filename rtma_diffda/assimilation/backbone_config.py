"""Backbones as plain values for the config of a checkpoint, with their graphs as tensors, and back."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from rtma_diffda.assimilation.encoding_config import unet_from
from rtma_diffda.backbones.backbone import Backbone
from rtma_diffda.backbones.limited_area.backbone import LimitedAreaBackbone
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.settings import LimitedAreaSettings
from rtma_diffda.backbones.unet import UNetSettings
from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import ProjectedGrid

_GRAPH = "graph."


def backbone_config(backbone: Backbone) -> dict[str, Any]:
    """Plain values from which ``backbone_from`` makes the backbone again, with its kind."""
    return _KINDS[type(backbone)][0](backbone)


def backbone_tensors(backbone: Backbone) -> dict[str, Tensor]:
    """What of the backbone goes beside the weights: its graph; nothing where it has none."""
    return _KINDS[type(backbone)][1](backbone)


def backbone_from(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Backbone:
    """The backbone of a config and of the tensors beside the weights.

    Raises:
        KeyError, TypeError, AttributeError, UsageError: the config is incomplete or not understood.
        InputError: the graph is damaged, or another one than the config says.
    """
    return _MAKERS[config["kind"]](config, tensors)


def _unet_config(backbone: UNetSettings) -> dict[str, Any]:
    settings = asdict(backbone) | {"widths": list(backbone.widths)}
    del settings["beneath"]  # a U-Net by itself has nothing beneath it
    return {"kind": "unet", **settings}


def _unet(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> UNetSettings:
    del tensors
    return unet_from({name: value for name, value in config.items() if name != "kind"})


def _limited_area_config(backbone: LimitedAreaBackbone) -> dict[str, Any]:
    settings = asdict(backbone.settings) | {"convolutions": list(backbone.settings.convolutions)}
    del settings["evaluation"]  # how it is computed is not part of what it is
    grid = {name: getattr(backbone.grid, name) for name in ("projection", "nx", "ny", "dx", "dy", "x0", "y0")}
    mesh = backbone.design.settings()
    return {"kind": "limited_area", "network": settings, "mesh": mesh, "grid": grid, "graph": backbone.graph.key}


def _limited_area_tensors(backbone: LimitedAreaBackbone) -> dict[str, Tensor]:
    return {_GRAPH + name: values for name, values in backbone.graph.tensors().items()}


def _limited_area(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> LimitedAreaBackbone:
    own = {name.removeprefix(_GRAPH): values for name, values in tensors.items() if name.startswith(_GRAPH)}
    graph = LimitedAreaGraph.from_tensors(own)
    if graph.key != config["graph"]:
        raise InputError(f"the checkpoint holds graph {graph.key}; its weights were trained on graph {config['graph']}")
    network = config["network"] | {"convolutions": tuple(config["network"]["convolutions"])}
    settings = LimitedAreaSettings(**network, evaluation=Evaluation())
    design = MeshDesign.from_settings(config["mesh"])
    return replace(LimitedAreaBackbone(settings, design, ProjectedGrid(**config["grid"])), stored=graph)


_KINDS: Mapping[type, tuple[Callable[[Any], dict[str, Any]], Callable[[Any], dict[str, Tensor]]]] = {
    UNetSettings: (_unet_config, lambda backbone: {}),
    LimitedAreaBackbone: (_limited_area_config, _limited_area_tensors),
}
_MAKERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Tensor]], Backbone]] = {
    "unet": _unet,
    "limited_area": _limited_area,
}
