"""From a batch of pairs, or from a problem, to what a network takes: one encoding for training and for analyses.

Fields of a network's output are in units of s, by variable a typical error of the background.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.assimilation.batched_interpolation import BatchedInterpolation, coarsened
from rtma_diffda.assimilation.context_channels import (
    Landscape,
    context_channel_count,
    context_channels,
    context_vectors,
    wind_components,
)
from rtma_diffda.assimilation.correlation import BackgroundError, variance
from rtma_diffda.assimilation.observation_channels import (
    CHANNELS_A_VARIABLE,
    SIGNED_BLOCKS,
    UNSIGNED_BLOCKS,
    GridData,
    in_fixed_order,
    point_channels,
)
from rtma_diffda.assimilation.optimal_interpolation import NO_TERRAIN, OptimalInterpolation
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.assimilation.rotation import turned
from rtma_diffda.assimilation.simulated_observing import Reports
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.global_on_region import global_state
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem

_SPACING_TOLERANCE = 0.1


@dataclass(frozen=True)
class NetworkInputs:
    """What a network is given for some members.

    Attributes:
        context: (member, context, y, x) background, land and time of day.
        observed: (member, observed, y, x) ``observation_channels``; all 0 without observations.
        increment: (member, channel, y, x) optimal interpolation's, over s; 0 without observations.
        large_scale: (member, large scale, y, x) the state of a global run minus the background, over s, and 1; all 0
            where there is none.
    """

    context: Tensor
    observed: Tensor
    increment: Tensor
    large_scale: Tensor

    @classmethod
    def joined_members(cls, parts: Sequence["NetworkInputs"]) -> "NetworkInputs":
        """The members of several inputs, in order."""
        names = cls.__dataclass_fields__
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def to(self, device: torch.device | str) -> "NetworkInputs":
        """The same on another device."""
        return NetworkInputs(**{name: getattr(self, name).to(device) for name in self.__dataclass_fields__})

    def side_by_side(self) -> Tensor:
        """Context, observed and large-scale channels: (member, context + observed + large scale, y, x)."""
        return torch.cat([self.context, self.observed, self.large_scale], dim=1)

    def select(self, members: Tensor) -> "NetworkInputs":
        """The members of an index tensor (m,)."""
        return NetworkInputs(**{name: getattr(self, name)[members] for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class InputEncoding:
    """How inputs are made.

    Attributes:
        scales: s (SI) by variable, in the order of the layout's channels.
        background_errors: B by variable, of the interpolation among the inputs.
        observation_error_factors: {variable: what ``error_std`` is multiplied with in it}; 1 where not named.
        observations: False for a network that corrects the background without looking at any observation.
        spacing: of the grids (m) that the network knows; None where that was not recorded.
        large_scale: whether a network is told the state of a global run.
    """

    scales: Mapping[str, float]
    background_errors: Mapping[str, BackgroundError]
    observation_error_factors: Mapping[str, float] = field(default_factory=dict)
    observations: bool = True
    spacing: float | None = None
    large_scale: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not all(scale > 0 for scale in self.scales.values()):
            raise UsageError(f"scales of the background's error must be positive; found {dict(self.scales)}")
        missing = [name for name in self.scales if name not in self.background_errors]
        if self.observations and missing:
            raise UsageError(f"no background error for {missing}; there are some for {sorted(self.background_errors)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Variables, in the order of the channels."""
        return tuple(self.scales)

    @property
    def context_count(self) -> int:
        """Number of context channels."""
        return context_channel_count(self.names)

    @property
    def observed_count(self) -> int:
        """Number of observed channels; 0 without observations."""
        return CHANNELS_A_VARIABLE * len(self.names) if self.observations else 0

    @property
    def large_scale_count(self) -> int:
        """Number of large-scale channels; 0 for a network that is not told any."""
        return (len(self.names) + 1) if self.large_scale else 0

    def scale(self, like: Tensor) -> Tensor:
        """s as (channel, 1, 1)."""
        return torch.tensor(list(self.scales.values()), dtype=like.dtype, device=like.device)[:, None, None]

    def of_batch(self, batch: Pairs, reports: Sequence[Reports]) -> NetworkInputs:
        """Inputs of every member of a batch with its own reports; reports are not looked at without observations.

        Raises:
            UsageError: the batch has other variables, or another order of them.
        """
        self._check(batch.layout.names)
        landscape = Landscape(batch.orography, batch.land_fraction)
        context = context_channels(batch.background, landscape, batch.valid_time, batch.layout)
        bare = self._bare(context, batch.background, batch.large_scale)
        if not self.observations:
            return bare
        found = BatchedInterpolation(self.background_errors, self.observation_error_factors)(batch, reports)
        scale = self.scale(batch.background)
        data = GridData.of_reports(reports, scale.flatten())
        return self._observed(bare, data, found.increment / scale, found.explained)

    def of_problem(self, problem: AssimilationProblem, static: StaticFields) -> tuple[NetworkInputs, Tensor]:
        """Inputs of every member of the problem's background.

        Returns:
            The inputs, and optimal interpolation's own error (channel, y, x), SI, its mean over members; s without
            observations in the encoding.

        Raises:
            UsageError: the background has other variables than the encoding, or another order of them.
            InputError: a datum lies outside the grid.
        """
        bare = self.context_of_problem(problem, static)
        values, scale = problem.background.values.float(), self.scale(bare.context)
        if not self.observations:
            return bare, scale.expand(problem.background.layout.shape)
        problem = in_fixed_order(problem)
        parts = [self._interpolated(problem, member, static) for member in range(len(values))]
        increment, prior, posterior = (torch.stack(part) for part in zip(*parts, strict=True))
        data, explained = GridData.of_problem(problem, scale.flatten()), coarsened(1.0 - posterior / prior)
        return self._observed(bare, data, increment.float() / scale, explained), posterior.mean(dim=0).sqrt()

    def _interpolated(
        self, problem: AssimilationProblem, member: int, static: StaticFields
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Optimal interpolation of one member: increment, σ_b² and σ_a² (channel, y, x), float64."""
        values = problem.background.values[member : member + 1].double()
        alone = replace(problem, background=problem.background.with_values(values))
        method = OptimalInterpolation(static, self.background_errors, self.observation_error_factors)
        analysis = method.analyse(alone, generator=torch.Generator())
        surroundings, prior = Surroundings(alone, static), torch.empty_like(values[0])
        for channel, name in enumerate(self.names):
            places, background = surroundings.of_grid(channel)
            spread = variance(self.background_errors[name], with_background(places, background[0]))
            prior[channel] = spread.view_as(prior[channel])
        return analysis.increment()[0], prior, analysis.error_std.square()

    def context_of_problem(self, problem: AssimilationProblem, static: StaticFields) -> NetworkInputs:
        """Inputs of every member of the problem's background as they are without any observation.

        Raises:
            UsageError: the background has other variables than the encoding, or another order of them.
            InputError: the global states lack a variable, or do not reach over the region and the analysis time.
        """
        layout, values = problem.background.layout, problem.background.values.float()
        self._check(layout.names)
        times = np.repeat(problem.background.valid_time, len(values))
        context = context_channels(values, _landscape(static, values), times, layout)
        known = None
        if self.large_scale and problem.boundary is not None:
            known = global_state(problem.boundary, static, layout, problem.background.valid_time).values.to(values)
        return self._bare(context, values, known)

    def _bare(self, context: Tensor, background: Tensor, large_scale: Tensor | None) -> NetworkInputs:
        """Without observations; a large scale of None, or one that the network is not told, gives 0."""
        observed = context.new_zeros(len(context), self.observed_count, *context.shape[-2:])
        told = context.new_zeros(len(context), self.large_scale_count, *context.shape[-2:])
        if self.large_scale and large_scale is not None:
            told[:, :-1] = (large_scale - background) / self.scale(background)
            told[:, -1] = 1.0
        return NetworkInputs(context, observed, torch.zeros_like(background), told)

    def shortcomings(self, static: StaticFields, spacing: float) -> tuple[str, ...]:
        """Reasons to trust a network less: no terrain, or a grid of another ``spacing`` (m) than it learned from."""
        reasons = (NO_TERRAIN,) if static.orography is None else ()
        if self.spacing is None or abs(spacing - self.spacing) <= _SPACING_TOLERANCE * self.spacing:
            return reasons
        unlike = f"the network has learned from grids of {self.spacing:.0f} m, this one has {spacing:.0f} m"
        return (*reasons, unlike)

    def turned(self, inputs: NetworkInputs, turns: int) -> NetworkInputs:
        """What the same world, turned clockwise by so many right angles, would have given.

        Exact where B is the same for both wind components and in all directions.
        """
        wind, channels = wind_components(self.names), len(self.names)
        signed, unsigned = (
            [(block * channels + u, block * channels + v) for block in blocks for u, v in wind]
            for blocks in (SIGNED_BLOCKS, UNSIGNED_BLOCKS)
        )
        if not self.observations:
            signed, unsigned = [], []
        return NetworkInputs(
            turned(inputs.context, turns, vectors=context_vectors(self.names)),
            turned(inputs.observed, turns, vectors=signed, axes=unsigned),
            turned(inputs.increment, turns, vectors=wind),
            turned(inputs.large_scale, turns, vectors=wind if self.large_scale else ()),
        )

    def turned_fields(self, fields: Tensor, turns: int) -> Tensor:
        """Fields (member, channel, y, x) of the encoding's variables, turned alike."""
        return turned(fields, turns, vectors=wind_components(self.names))

    def _observed(self, bare: NetworkInputs, data: GridData, increment: Tensor, explained: Tensor) -> NetworkInputs:
        at_points = point_channels(data, tuple(increment.shape))
        observed = torch.cat([*at_points, increment, explained], dim=1).float()
        return replace(bare, observed=observed, increment=increment)

    def _check(self, names: tuple[str, ...]) -> None:
        if names != self.names:
            raise UsageError(f"this encoding is of {', '.join(self.names)}, in that order; found {', '.join(names)}")


def _landscape(static: StaticFields, values: Tensor) -> Landscape:
    """Terrain and land for every member; flat land where nothing is known."""
    flat = np.zeros(static.grid.shape)
    orography = flat if static.orography is None else static.orography
    land = flat + 1.0 if static.land_fraction is None else static.land_fraction
    shape = (len(values), *static.grid.shape)
    return Landscape(*(torch.from_numpy(np.asarray(part)).to(values).expand(shape) for part in (orography, land)))
