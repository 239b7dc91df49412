"""``GraphCastForecastNetwork``: a GraphCast network with its statistics, terrain and land: states in, states out.

    input       (x − mean) / std of states, forcings and static fields
    state       x(t + Δ) = x(t) + σ_Δ f        of variables that are inputs; σ_Δ their change's standard deviation
    diagnostic  x(t + Δ) = std f + mean        of those that are answered only (precipitation of the operational model)

all in float32; only f may be computed in bfloat16. A roll-out feeds states back, not diagnostics. The loss is the mean
of GraphCast's over the steps. References: Lam et al. (2023), arXiv 2212.12794, section 4; ``normalization.py`` and
``autoregressive.py`` of the published code.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.stacking import Stacking
from rtma_diffda.backbones.graphcast.task import FORCINGS, STATICS, Key
from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_forcings import global_forcings
from rtma_diffda.fields.global_layout import global_layout, key_label, keys_of
from rtma_diffda.fields.global_pairs import terrain_and_land
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.fields.global_windows import GlobalWindows
from rtma_diffda.fields.layout import Layout
from rtma_diffda.forecast.graphcast_loss import GraphCastLoss
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields

TIME_STEP = np.timedelta64(6, "h")
HISTORY = 2
"""States that a forecast begins with."""
GRAVITY = 9.80665
"""m s⁻²: from terrain height to surface geopotential."""


@dataclass(frozen=True)
class GlobalFrames:
    """What a step begins with.

    Attributes:
        earlier, later: (member, channel, y, x) SI: states a time step before, and at, the initial time.
        valid_times: (member,) datetime64[ns]: of ``later``; (1,) where it is that of all members.
    """

    earlier: Tensor
    later: Tensor
    valid_times: np.ndarray

    def followed_by(self, state: Tensor) -> "GlobalFrames":
        """A time step later."""
        return GlobalFrames(self.later, state, self.valid_times + TIME_STEP)


@dataclass(frozen=True)
class GlobalAnswer:
    """What a step gives.

    Attributes:
        raw: (member, out, y, x) of the network, normalised, in the task's order of outputs.
        state: (member, channel, y, x) SI, of the prognostic channels.
        diagnostics: (member, diagnostic, y, x) SI, of the others.
    """

    raw: Tensor
    state: Tensor
    diagnostics: Tensor


class GraphCastForecastNetwork(nn.Module):
    """The network, and its loss.

    Args:
        backbone: network, task and grid.
        statistics: what fields are normalised by.
        static: terrain and land on the grid.
        bfloat16: whether the network (not the normalisation) is computed in bfloat16 where it is called outside of an
            autocast of its own.
        forcings: fields (time, 5, y, x) at times on a grid, as ``global_forcings`` computes them.

    Raises:
        InputError: terrain or land are not known, or on another grid.
    """

    def __init__(
        self,
        backbone: GraphCastBackbone,
        statistics: GlobalStatistics,
        static: StaticFields,
        *,
        bfloat16: bool = False,
        forcings: Callable[[np.ndarray, LatLonGrid], Tensor] = global_forcings,
    ) -> None:
        super().__init__()
        if static.grid != backbone.grid:
            raise InputError(f"terrain on {static.grid.shape} points; the model is on {backbone.grid.shape}")
        self.backbone, self.statistics, self.bfloat16 = backbone, statistics, bfloat16
        self._forcings = forcings
        self.network = backbone.network()
        task = backbone.task
        self.keys = task.prognostic
        self.diagnostic_keys = tuple(key for key in task.outputs if key not in self.keys)
        self.layout = global_layout(self.keys, backbone.grid)
        self.diagnostic_layout = global_layout(self.diagnostic_keys, backbone.grid)
        self._stacking = Stacking(task, self.keys)
        normalised = {"states": self.keys, "forcings": _single(FORCINGS), "diagnostics": self.diagnostic_keys}
        for name, wanted in normalised.items():
            self._keep(f"{name}_mean", _column(statistics.mean_of(wanted)))
            self._keep(f"{name}_std", _column(statistics.std_of(wanted)))
        self._keep("change_std", _column(statistics.change_std_of(self.keys)))
        self._keep("state_answers", self._stacking.answers(self.keys))
        self._keep("diagnostic_answers", self._stacking.answers(self.diagnostic_keys))
        self._keep("static", _normalised_static(static, statistics))

    def forward(self, frames: GlobalFrames) -> GlobalAnswer:
        """The step after ``frames``."""
        with torch.autocast(frames.later.device.type, enabled=False):  # pressures need float32
            stacked = self.stacked(frames)
        raw = self._raw(stacked).float()
        with torch.autocast(frames.later.device.type, enabled=False):
            state = frames.later + self.change_std * raw[:, self.state_answers]
            diagnostics = self.diagnostics_mean + self.diagnostics_std * raw[:, self.diagnostic_answers]
        return GlobalAnswer(raw, state, diagnostics)

    def stacked(self, frames: GlobalFrames) -> Tensor:
        """The network's input (member, in, y, x), normalised."""
        earlier, later = ((x.float() - self.states_mean) / self.states_std for x in (frames.earlier, frames.later))
        times = frames.valid_times[:, None] + np.arange(-1, 2) * TIME_STEP
        forcings = self._forcings(times.reshape(-1), self.backbone.grid).to(later.device)
        forcings = ((forcings - self.forcings_mean) / self.forcings_std).unflatten(0, times.shape)
        return self._stacking(earlier, later, forcings, self.static)

    def roll_out(self, frames: GlobalFrames, steps: int) -> Iterator[GlobalAnswer]:
        """Answers after 1, 2, …, ``steps`` steps.

        Activations of all steps but the last are computed again in a backward pass rather than kept.
        """
        for step in range(steps):
            if torch.is_grad_enabled() and step < steps - 1:
                answer = checkpoint(self, frames, use_reentrant=False)
            else:
                answer = self(frames)
            yield answer
            frames = frames.followed_by(answer.state)

    def loss(
        self, batch: GlobalWindows, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Mean over members and steps; nothing is drawn.

        Args:
            batch: two states of history, then one a step; it has the prognostic channels, and may have diagnostics.
            generator: see ``Trainable``.

        Returns:
            The loss, and for the log the loss of each variable (``loss_geopotential`` …) before its weight.

        Raises:
            InputError: the batch lacks a channel, or has no target.
        """
        history, names, totals = self._history(batch), (), []
        figures: list[Tensor] = []
        for step, answer in enumerate(self.roll_out(history, batch.values.shape[1] - HISTORY)):
            error, keys = self._error(answer, history, batch, HISTORY + step)
            loss = _loss(keys, self.backbone.grid)
            by_variable = loss.by_variable(error)
            totals.append(loss.total(by_variable).mean())
            figures.append(by_variable.detach().mean(dim=0))
            history, names = history.followed_by(answer.state), loss.names
        means = torch.stack(figures).mean(dim=0).tolist()
        return torch.stack(totals).mean(), {f"loss_{n}": mean for n, mean in zip(names, means, strict=True)}

    def _raw(self, stacked: Tensor) -> Tensor:
        kind = stacked.device.type
        if not self.bfloat16 or torch.is_autocast_enabled(kind):
            return self.network(stacked)
        with torch.autocast(kind, dtype=torch.bfloat16):
            return self.network(stacked)

    def _history(self, batch: GlobalWindows) -> GlobalFrames:
        if batch.layout.grid != self.backbone.grid or batch.values.shape[1] <= HISTORY:
            raise InputError(
                f"a batch of {batch.values.shape[1]} states on {batch.layout.grid.shape} points; expected more than "
                f"{HISTORY} on {self.backbone.grid.shape}"
            )
        values = batch.values[:, :HISTORY, list(channel_rows(batch.layout, self.keys))].float()
        return GlobalFrames(values[:, 0], values[:, 1], batch.valid_times[:, 1])

    def _error(
        self, answer: GlobalAnswer, frames: GlobalFrames, batch: GlobalWindows, time: int
    ) -> tuple[Tensor, tuple[Key, ...]]:
        """Normalised answer minus normalised target: (member, channel, y, x), and its channels."""
        there, truth = keys_of(batch.layout), batch.values[:, time].float()
        change = truth[:, list(channel_rows(batch.layout, self.keys))] - frames.later
        error = answer.raw[:, self.state_answers] - change / self.change_std
        known = [i for i, key in enumerate(self.diagnostic_keys) if key in there]
        if not known:
            return error, self.keys
        keys = tuple(self.diagnostic_keys[i] for i in known)
        departure = truth[:, list(channel_rows(batch.layout, keys))] - self.diagnostics_mean[known]
        diagnostic = answer.raw[:, self.diagnostic_answers[known]] - departure / self.diagnostics_std[known]
        return torch.cat([error, diagnostic], dim=1), (*self.keys, *keys)

    def _keep(self, name: str, values: Tensor) -> None:
        """Moves with the module; is no weight of a checkpoint."""
        self.register_buffer(name, values, persistent=False)


@lru_cache(maxsize=64)
def channel_rows(layout: Layout, keys: tuple[Key, ...]) -> tuple[int, ...]:
    """Where ``keys`` stand among the channels of a layout.

    Raises:
        InputError: it lacks some; all are named.
    """
    there = keys_of(layout)
    missing = [key_label(key) for key in keys if key not in there]
    if missing:
        raise InputError(f"the global model needs {', '.join(missing)}; the states have {', '.join(layout.names)}")
    return tuple(there.index(key) for key in keys)


@lru_cache(maxsize=8)
def _loss(keys: tuple[Key, ...], grid: object) -> GraphCastLoss:
    return GraphCastLoss(keys, grid)


def _single(names: tuple[str, ...]) -> list[Key]:
    return [(name, None) for name in names]


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]


def _normalised_static(static: StaticFields, statistics: GlobalStatistics) -> Tensor:
    """(2, y, x) of ``STATICS``."""
    terrain, land = terrain_and_land(static)
    mean, std = (_column(of(_single(STATICS))) for of in (statistics.mean_of, statistics.std_of))
    return (torch.stack([GRAVITY * terrain, land]) - mean) / std
