"""``NeuralLamPredictor``: one step of Neural-LAM 0.7.0's models, with weights and graphs of its own.

    x_{t+1} = x_t + F([x_t, x_{t−1}, forcing, static]) · d_std + d_mean,

states standardised, d_mean and d_std statistics of one-step differences of standardised states; increments of variables
with limits are clamped; with a predicted standard deviation F answers twice as much, the second half under a softplus.
Reference: Oskarsson et al. (2023), arXiv 2309.17370.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from rtma_diffda.backbones.limited_area.clamping import Clamping
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.graph_network import GraphNetwork
from rtma_diffda.backbones.limited_area.overwrite import overwrite_rim
from rtma_diffda.backbones.limited_area.settings import LimitedAreaSettings
from rtma_diffda.errors import InputError, UsageError

MODELS = {"GraphLAM": "flat", "HiLAM": "hierarchical", "HiLAMParallel": "parallel"}
KINDS = {"InteractionNet": "interaction", "PropagationNet": "propagation"}
CLAMPING_BUFFERS = (
    "sigmoid_lower_lims",
    "sigmoid_upper_lims",
    "softplus_lower_lims",
    "softplus_upper_lims",
    "clamp_lower_upper_idx",
    "clamp_lower_idx",
    "clamp_upper_idx",
)
"""Of Neural-LAM's state; here they are values of ``Clamping``, not weights."""
_RENAMED = (
    (r"^(g2m|m2g)_embedder\.", r"\1_states.embedder."),
    (r"^(mesh_embedder|m2m_embedder|processor|mesh_(?:up|down)(?:_same)?_gnns)\.", r"mesh.\1."),
    (r"^(mesh_embedders|mesh_(?:same|up|down)_embedders|mesh_(?:init|read)_gnns)\.", r"mesh.hierarchy.\1."),
    (r"^(mesh\.processor\.module_\d+)\.edge_mlp\.mlps\.", r"\1.sets."),
    (r"^(mesh\.processor\.module_\d+\.sets\.\d+)\.(?!edge_mlp)", r"\1.edge_mlp."),
    (r"^(mesh\.processor\.module_\d+)\.aggr_mlp\.mlps\.", r"\1.receivers."),
)


@dataclass(frozen=True)
class NeuralLamSettings:
    """As Neural-LAM names them.

    Attributes:
        model: a key of ``MODELS``.
        state, forcing, static: channels; forcing over its whole window.
        hidden, hidden_layers, processor_layers: sizes.
        aggregation: sum or mean, of a flat mesh's processor alone, as there.
        grid_to_mesh, mesh_to_grid, mesh_up, mesh_down: keys of ``KINDS``.
        predicts_std: whether a standard deviation is predicted too.
        evaluation: how it is computed.
    """

    model: str
    state: int
    forcing: int
    static: int
    hidden: int = 64
    hidden_layers: int = 1
    processor_layers: int = 4
    aggregation: str = "sum"
    grid_to_mesh: str = "InteractionNet"
    mesh_to_grid: str = "InteractionNet"
    mesh_up: str = "InteractionNet"
    mesh_down: str = "InteractionNet"
    predicts_std: bool = False
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        kinds = (self.grid_to_mesh, self.mesh_to_grid, self.mesh_up, self.mesh_down)
        if self.model not in MODELS or any(kind not in KINDS for kind in kinds):
            raise UsageError(
                f"model '{self.model}' of {', '.join(kinds)}; known are {', '.join(MODELS)} of {' and '.join(KINDS)}"
            )
        if self.aggregation not in ("sum", "mean"):
            raise UsageError(f"aggregation is '{self.aggregation}'; it may be sum or mean")

    def network(self) -> LimitedAreaSettings:
        """The same in this project's terms."""
        return LimitedAreaSettings(
            2 * self.state + self.forcing + self.static,
            self.state * (2 if self.predicts_std else 1),
            mesh=MODELS[self.model],
            hidden=self.hidden,
            hidden_layers=self.hidden_layers,
            processor_layers=self.processor_layers,
            mean=self.aggregation == "mean",
            grid_to_mesh=KINDS[self.grid_to_mesh],
            mesh_to_grid=KINDS[self.mesh_to_grid],
            up=KINDS[self.mesh_up],
            down=KINDS[self.mesh_down],
            evaluation=self.evaluation,
        )


class NeuralLamPredictor(nn.Module):
    """A model of Neural-LAM; tensors are (batch, node, channel), standardised.

    Args:
        settings: its shape.
        graph: that its weights were trained on.
        static: (node, static).
        difference_mean, difference_std: (state,).
        clamping: limits; None: none.
    """

    def __init__(
        self,
        settings: NeuralLamSettings,
        graph: LimitedAreaGraph,
        *,
        static: Tensor,
        difference_mean: Tensor,
        difference_std: Tensor,
        clamping: Clamping | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.clamping = settings, clamping
        expected = {
            "static fields": (tuple(static.shape), (graph.interior_count, settings.static)),
            "means of differences": (tuple(difference_mean.shape), (settings.state,)),
            "standard deviations of differences": (tuple(difference_std.shape), (settings.state,)),
        }
        for what, (found, wanted) in expected.items():
            if found != wanted:
                raise UsageError(f"{what} have shape {found}; expected {wanted}")
        self.network = GraphNetwork(settings.network(), graph)
        for name, values in (("static", static), ("mean", difference_mean), ("std", difference_std)):
            self.register_buffer(name, values.float(), persistent=False)

    def forward(self, state: Tensor, previous: Tensor, forcing: Tensor) -> tuple[Tensor, Tensor | None]:
        """State one step after ``state``, and its standard deviation where one is predicted.

        Args:
            state, previous: (batch, node, state) x_t and x_{t−1}.
            forcing: (batch, node, forcing) over its window.
        """
        answer = self.network(self.inputs(state, previous, forcing)).transpose(0, 1)
        change, spread = answer.chunk(2, dim=-1) if self.settings.predicts_std else (answer, None)
        increment = change * self.std + self.mean
        after = state + increment if self.clamping is None else self.clamping.added(state, increment)
        return after, None if spread is None else softplus(spread)

    def inputs(self, state: Tensor, previous: Tensor, forcing: Tensor) -> Tensor:
        """What the network takes (node, batch, 2 · state + forcing + static)."""
        static = self.static.expand(len(state), -1, -1)
        return torch.cat([state, previous, forcing, static], dim=-1).transpose(0, 1)

    def load_neural_lam(self, weights: Mapping[str, Tensor]) -> "NeuralLamPredictor":
        """Take the weights of a Neural-LAM state; returns self.

        Raises:
            InputError: names or shapes differ; the message gives the first and counts them.
        """
        given = {name: values for name, values in weights.items() if name not in CLAMPING_BUFFERS}
        found = {own_name(name): tuple(values.shape) for name, values in given.items()}
        expected = {name: tuple(values.shape) for name, values in self.network.state_dict().items()}
        differing = [name for name in expected | found if expected.get(name) != found.get(name)]
        if differing:
            name = differing[0]
            raise InputError(
                f"weights do not fit {self.settings.model} of these settings and this graph: '{name}' has shape "
                f"{found.get(name, 'none')}, expected {expected.get(name, 'none')} ({len(differing)} weights differ)"
            )
        self.network.load_state_dict({own_name(name): values for name, values in given.items()})
        return self

    def neural_lam_gradients(self, names: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
        """Gradients of the weights that Neural-LAM calls ``names``, by those names; None where there is none."""
        own = dict(self.network.named_parameters())
        return {name: own[own_name(name)].grad for name in names if name not in CLAMPING_BUFFERS}


def own_name(name: str) -> str:
    """What a weight of Neural-LAM is called in ``GraphNetwork``.

    >>> own_name("g2m_embedder.0.weight"), own_name("processor.module_1.aggr_mlp.mlps.0.2.bias")
    ('g2m_states.embedder.0.weight', 'mesh.processor.module_1.receivers.0.2.bias')
    """
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def roll_out(
    predictor: NeuralLamPredictor, initial: Tensor, forcing: Tensor, *, truth: Tensor, rim_mask: Tensor
) -> Tensor:
    """States (batch, step, node, state) of an autoregressive forecast, the rim overwritten after every step.

    Args:
        predictor: of one step.
        initial: (batch, 2, node, state) x_{t−1} and x_t.
        forcing: (batch, step, node, forcing).
        truth: (batch, step, node, state); what it has off the rim does not matter.
        rim_mask: (node,) bool, as from ``overwrite.rim_mask``.
    """
    previous, state = initial.unbind(dim=1)
    states = []
    for step in range(forcing.shape[1]):
        predicted, _ = predictor(state, previous, forcing[:, step])
        previous, state = state, overwrite_rim(predicted, truth[:, step], rim_mask)
        states.append(state)
    return torch.stack(states, dim=1)
