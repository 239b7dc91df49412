"""Forecast models as checkpoints: weights, statistics, design, and the tensors of the graph that they were trained on.

The graph is stored, not only its design: with another builder, or another order of ties, the same weights would mean
something else. On the place of the training the stored graph is used; on another place it is built from the design.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.forecast.forecast_design import ForecastDesign, ForecastPlace
from rtma_diffda.forecast.forecast_inputs import ForecastEncoding
from rtma_diffda.forecast.forecast_network import ForecastNetwork
from rtma_diffda.forecast.limited_area import LimitedAreaForecast
from rtma_diffda.geo.boundary_points import boundary_grid
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.checkpoint import Checkpoint, read_checkpoint

ARCHITECTURE = "limited_area_forecast"
_GRAPH, _MEAN, _STD = "graph.", "difference_mean", "difference_std"


def forecast_checkpoint(
    network: ForecastNetwork,
    design: ForecastDesign,
    place: ForecastPlace,
    graph: LimitedAreaGraph,
    *,
    card: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """A trained network as a checkpoint.

    Args:
        network: trained.
        design: that it was built from.
        place: where it was trained.
        graph: of the place.
        card: the model card, in Markdown.
        provenance: data sets, seeds, settings, scores; plain values.
    """
    differences = network.encoding.differences
    statistics = {_MEAN: differences.mean.double(), _STD: differences.std.double()}
    statistics |= {f"{_GRAPH}{name}": values for name, values in graph.tensors().items()}
    config = {
        "architecture": ARCHITECTURE,
        "encoding": network.encoding.settings(),
        "design": design.settings(),
        "place": place.settings(),
        "graph_key": graph.key,
    }
    return Checkpoint(dict(network.state_dict()), config, statistics, card, dict(provenance or {}))


def network_of(checkpoint: Checkpoint, place: ForecastPlace | None = None) -> tuple[ForecastNetwork, ForecastPlace]:
    """The network of a checkpoint, ready to forecast, and where it forecasts.

    Args:
        checkpoint: from ``forecast_checkpoint``.
        place: the place to forecast, with the spacings of the training; that of the training where None.

    Raises:
        InputError: it is of another architecture, its config is not understood, its statistics or graph do not belong
            to it, or the place has other spacings.
    """
    config = checkpoint.config
    if config.get("architecture") != ARCHITECTURE:
        raise InputError(f"checkpoint is of architecture '{config.get('architecture')}', expected '{ARCHITECTURE}'")
    try:
        design, trained = ForecastDesign.from_settings(config["design"]), ForecastPlace.from_settings(config["place"])
        encoding = _encoding(checkpoint)
        place = place or trained
        place.require_like(trained)
        graph = _stored_graph(checkpoint) if place.margins == trained.margins else None
        network = design.build(place, encoding, graph=graph)
    except (KeyError, TypeError, AttributeError, ValueError, UsageError) as error:
        raise InputError(f"config of the {ARCHITECTURE} checkpoint is not understood: {error!r}") from error
    checkpoint.fill(network)
    return network.eval(), place


def load_forecast(
    directory: Path, static: StaticFields, *, variables: tuple[str, ...] | None = None, without_boundary: bool = False
) -> LimitedAreaForecast:
    """The forecast model of a checkpoint for a region.

    Args:
        directory: of the checkpoint.
        static: terrain and land of the region, with the spacing of the training.
        variables: that the region's states have, in order; the model's where None.
        without_boundary: whether a forecast may be made without boundary states.

    Raises:
        InputError: the checkpoint is absent, damaged, of other variables, or does not fit the region.
    """
    checkpoint = read_checkpoint(directory)
    try:
        trained = ForecastPlace.from_settings(checkpoint.config["place"])
    except (KeyError, TypeError) as error:
        raise InputError(f"config of the checkpoint {directory} is not understood: {error!r}") from error
    network, place = network_of(checkpoint, place_for(static.grid, trained))
    if variables is not None and variables != network.encoding.names:
        raise InputError(
            f"the forecast model {directory} forecasts {', '.join(network.encoding.names)}, in this order; the states "
            f"have {', '.join(variables)}"
        )
    return LimitedAreaForecast(network, static, place, without_boundary)


def place_for(grid: ProjectedGrid, trained: ForecastPlace) -> ForecastPlace:
    """A region's place with a boundary grid like that of the training: its spacing, and at least its margin."""
    outer, known = trained.boundary_grid, trained.grid
    width = min(known.x0 - outer.x0, known.y0 - outer.y0)
    return ForecastPlace(grid, boundary_grid(grid, spacing=outer.dx, width=width))


def _encoding(checkpoint: Checkpoint) -> ForecastEncoding:
    settings, found = checkpoint.config["encoding"], checkpoint.statistics
    count = len(settings["names"])
    for name in (_MEAN, _STD):
        shape = tuple(found[name].shape) if name in found else "none"
        if shape != (count,):
            raise InputError(
                f"statistics of the forecast model do not belong to it: {name} has shape {shape}, and it forecasts "
                f"{count} variables ({', '.join(settings['names'])})"
            )
    return ForecastEncoding.from_settings(settings, found[_MEAN], found[_STD])


def _stored_graph(checkpoint: Checkpoint) -> LimitedAreaGraph:
    tensors = {name.removeprefix(_GRAPH): v for name, v in checkpoint.statistics.items() if name.startswith(_GRAPH)}
    graph = LimitedAreaGraph.from_tensors(tensors)
    if graph.key != checkpoint.config["graph_key"]:
        raise InputError(
            f"the graph stored with the forecast model ({graph.key}) is not the one that it was trained on "
            f"({checkpoint.config['graph_key']})"
        )
    return graph


def parameters(network: torch.nn.Module) -> int:
    """Number of weights."""
    return sum(values.numel() for values in network.parameters())
