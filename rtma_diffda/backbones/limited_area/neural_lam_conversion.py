"""Models of Neural-LAM as checkpoints of this package: weights, statistics, static fields and the graph together."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from rtma_diffda.backbones.limited_area.clamping import Clamping
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.neural_lam import NeuralLamPredictor, NeuralLamSettings
from rtma_diffda.errors import InputError
from rtma_diffda.io.checkpoint import Checkpoint
from rtma_diffda.io.neural_lam_checkpoint import NeuralLamStatistics, sizes_of

ARCHITECTURE = "neural_lam"
_OPTIONS = {
    "aggregation": "mesh_aggr",
    "grid_to_mesh": "g2m_gnn_type",
    "mesh_to_grid": "m2g_gnn_type",
    "mesh_up": "mesh_up_gnn_type",
    "mesh_down": "mesh_down_gnn_type",
}
_LIMITS = (
    ("clamp_lower_upper_idx", "sigmoid_lower_lims", "sigmoid_upper_lims"),
    ("clamp_lower_idx", "softplus_lower_lims", None),
    ("clamp_upper_idx", None, "softplus_upper_lims"),
)
_OWN_STATISTICS = ("static", "difference_mean", "difference_std", "state_mean", "state_std")


def settings_from(
    weights: Mapping[str, Tensor], options: Mapping[str, Any], *, state: int, static: int
) -> NeuralLamSettings:
    """Settings of the model that ``weights`` belong to.

    Args:
        weights: by Neural-LAM's names.
        options: Neural-LAM's; only kinds of message passing and aggregation are taken, which shapes do not tell.
        state, static: channels of the state, and of static fields.

    Raises:
        InputError: the weights are of no such model, or do not fit the channels.
    """
    sizes = sizes_of(weights)
    forcing = sizes.entering - 2 * state - static
    if forcing < 0 or sizes.leaving not in (state, 2 * state):
        raise InputError(
            f"weights take {sizes.entering} channels and answer {sizes.leaving}; that does not fit {state} variables "
            f"and {static} static fields"
        )
    return NeuralLamSettings(
        sizes.model,
        state,
        forcing,
        static,
        hidden=sizes.hidden,
        hidden_layers=sizes.hidden_layers,
        processor_layers=sizes.processor_layers,
        predicts_std=sizes.leaving == 2 * state,
        **{own: options[theirs] for own, theirs in _OPTIONS.items() if options.get(theirs) is not None},
    )


def clamping_from(weights: Mapping[str, Tensor], state: int) -> Clamping | None:
    """Limits of ``state`` variables, from the clamping buffers among the weights; None where there are none."""
    lower, upper = torch.full((state,), -math.inf), torch.full((state,), math.inf)
    for index, below, above in _LIMITS:
        where = weights.get(index, torch.empty(0)).long()
        if below is not None and where.numel():
            lower[where] = weights[below].float()
        if above is not None and where.numel():
            upper[where] = weights[above].float()
    limited = bool(lower.isfinite().any() or upper.isfinite().any())
    return Clamping(lower, upper) if limited else None


def predictor_from(
    weights: Mapping[str, Tensor],
    settings: NeuralLamSettings,
    graph: LimitedAreaGraph,
    statistics: NeuralLamStatistics,
) -> NeuralLamPredictor:
    """The model with its weights.

    Raises:
        InputError: the weights do not fit.
    """
    made = NeuralLamPredictor(
        settings,
        graph,
        static=statistics.static,
        difference_mean=statistics.difference_mean,
        difference_std=statistics.difference_std,
        clamping=clamping_from(weights, settings.state),
    )
    return made.load_neural_lam(weights)


def as_checkpoint(
    predictor: NeuralLamPredictor, graph: LimitedAreaGraph, statistics: NeuralLamStatistics, *, source: str
) -> Checkpoint:
    """Everything that is needed to run the model, to be written by ``io.checkpoint``.

    Args:
        predictor: the model.
        graph: that it runs on.
        statistics: that it was trained with.
        source: where the weights come from, for the model card.
    """
    s = predictor.settings
    values = {name: getattr(statistics, name) for name in _OWN_STATISTICS}
    values["xy"] = torch.as_tensor(statistics.xy)
    if predictor.clamping is not None:
        values |= {"clamping.lower": predictor.clamping.lower, "clamping.upper": predictor.clamping.upper}
    values |= {f"graph.{name}": tensor for name, tensor in graph.tensors().items()}
    settings = {name: value for name, value in asdict(s).items() if name != "evaluation"}
    card = (
        f"# {s.model} of Neural-LAM\n\nConverted from {source}. {s.state} variables, {s.forcing} forcing and "
        f"{s.static} static channels, {s.processor_layers} processor layers of width {s.hidden}, on a graph of "
        f"{graph.interior_count} grid nodes and {graph.levels} mesh level(s). How it was trained and judged is not in "
        "the file that it was converted from.\n"
    )
    config = {"architecture": ARCHITECTURE, "settings": settings, "graph": graph.key}
    return Checkpoint(predictor.state_dict(), config, values, card, {"converted_from": source})


def predictor_of(checkpoint: Checkpoint, *, evaluation: Evaluation | None = None) -> NeuralLamPredictor:
    """The model that ``as_checkpoint`` made ``checkpoint`` of.

    Args:
        checkpoint: as ``io.checkpoint.read_checkpoint`` returns it.
        evaluation: how the model is computed.

    Raises:
        InputError: it is a checkpoint of something else, or parts of it do not fit together.
    """
    if checkpoint.config.get("architecture") != ARCHITECTURE:
        raise InputError(f"checkpoint is of {checkpoint.config.get('architecture')}, expected {ARCHITECTURE}")
    stored = checkpoint.statistics
    prefix = "graph."
    tensors = {name.removeprefix(prefix): v for name, v in stored.items() if name.startswith(prefix)}
    try:
        settings = NeuralLamSettings(**checkpoint.config["settings"], evaluation=evaluation or Evaluation())
        limits = [stored[name] for name in ("clamping.lower", "clamping.upper") if name in stored]
        static, mean, std = (stored[name] for name in ("static", "difference_mean", "difference_std"))
    except (KeyError, TypeError) as error:
        raise InputError(f"checkpoint of a Neural-LAM model lacks something: {error!r}") from error
    graph = LimitedAreaGraph.from_tensors(tensors)
    clamping = Clamping(*limits) if limits else None
    made = NeuralLamPredictor(
        settings, graph, static=static, difference_mean=mean, difference_std=std, clamping=clamping
    )
    return checkpoint.fill(made)
