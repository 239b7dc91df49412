"""``World``: the models of a batch of runs and what drives them, and their integration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.model_terrain import model_terrain
from rtma_diffda.dynamics.nature_draws import RunDraws, mode_law
from rtma_diffda.dynamics.nature_settings import NatureSettings, RunClock
from rtma_diffda.dynamics.slab.convection import ConvectiveEvents
from rtma_diffda.dynamics.slab.diagnosis import near_surface, sky
from rtma_diffda.dynamics.slab.forcing import ForcingSchedule
from rtma_diffda.dynamics.slab.landscape import SlabLandscape
from rtma_diffda.dynamics.slab.large_scale import Climate, LargeScaleSeries
from rtma_diffda.dynamics.slab.model import SlabModel
from rtma_diffda.dynamics.slab.parameters import SlabParameters
from rtma_diffda.dynamics.slab.state import SlabForcing, SlabState
from rtma_diffda.geo.static_fields import StaticFields


@dataclass(frozen=True)
class World:
    """Attributes:
    runs: number of runs; members 0 … runs − 1 of the model are truths, as many that follow are twins, if any.
    model: of all members.
    schedule: their forcing.
    true_terrain: (member, y, x) m: the map's, that every member's fields are brought to; each model feels its own.
    steps: time steps between nodes.
    """

    runs: int
    model: SlabModel
    schedule: ForcingSchedule
    true_terrain: Tensor
    steps: int

    @classmethod
    def of(
        cls,
        statics: Sequence[StaticFields],
        draws: Sequence[RunDraws],
        clock: RunClock,
        settings: NatureSettings,
        *,
        twins: bool,
    ) -> "World":
        """Of runs on ``statics``, with or without their twins."""
        maps = SlabLandscape.of_regions(statics, settings.margin, device=settings.device)
        models = [draw.truth for draw in draws] + ([draw.twin for draw in draws] if twins else [])
        copies = len(models) // len(draws)
        width = settings.terrain_smoothing / maps.spacing
        terrains = [
            [model_terrain(z, width, generator=draw.terrains[i]) for z, draw in zip(maps.terrain, draws, strict=True)]
            for i in range(copies)
        ]
        landscape = maps.with_terrains(terrains)
        climates = [draw.climate for draw in draws] * copies
        schedule = ForcingSchedule(
            np.full(len(models), clock.start),
            clock.interval,
            Climate.joined(climates),
            LargeScaleSeries.joined([model.series for model in models]),
            ConvectiveEvents.joined([model.events for model in models]),
            landscape,
            settings.law,
        )
        steps = settings.steps_per_interval(landscape.spacing)
        slab = SlabModel(
            landscape,
            SlabParameters.joined([model.parameters for model in models]),
            settings.slab.with_time_step(clock.interval / steps),
        )
        return cls(len(draws), slab, schedule, maps.terrain.repeat(copies, 1, 1), steps)

    @property
    def has_twins(self) -> bool:
        """True when the members after the truths are twins."""
        return self.true_terrain.shape[0] > self.runs

    def forecasts(
        self,
        draws: Sequence[RunDraws],
        clock: RunClock,
        settings: NatureSettings,
        *,
        statics: Sequence[StaticFields],
        nodes: int,
    ) -> "World":
        """Free continuations of the twins from every launch: members in the order run, launch."""
        twins = torch.arange(self.runs).repeat_interleave(len(clock.launch_nodes)) + self.runs
        law = mode_law(statics[0], clock, settings)
        own = [draw.forecast(launch, nodes, law, settings) for draw in draws for launch in clock.launch_nodes]
        landscape = self.schedule.landscape.select(twins)
        schedule = ForcingSchedule(
            np.array([clock.time(launch) for _ in draws for launch in clock.launch_nodes]),
            clock.interval,
            self.schedule.climate.select(twins),
            LargeScaleSeries.joined([series for series, _ in own]),
            ConvectiveEvents.joined([events for _, events in own]),
            landscape,
            settings.law,
        )
        model = SlabModel(landscape, self.model.parameters.select(twins), self.model.settings)
        return World(len(twins), model, schedule, self.true_terrain[twins], self.steps)

    def start(self) -> SlabState:
        """The large scale's state, from which runs spin up."""
        return self.model.at_rest(self.schedule.at(0))

    def advanced(self, state: SlabState, forcing: SlabForcing) -> SlabState:
        """The state at the next node."""
        for _ in range(self.steps):
            state = self.model.step(state, forcing)
        return state

    def near_surface(self, state: SlabState, node: int, forcing: SlabForcing) -> Tensor:
        """Near-surface fields (member, 5, y, x) on the extended grid and the true terrain."""
        pressure = self.schedule.pressure(node)
        return near_surface(self.model, state, forcing, terrain=self.true_terrain, domain_pressure=pressure)


@dataclass(frozen=True)
class Record:
    """What an integration left.

    Attributes:
        near_surface: (member, time, 5, y, x) of the region.
        sky: (run, time, 4, y, x) of the truths.
        extended: (run, large-scale time, 5, y, x) of the truths, margin included.
        launched: node → prognostic fields of the twins, where forecasts start.
    """

    near_surface: Tensor
    sky: Tensor
    extended: Tensor
    launched: dict[int, Tensor]


def integrate(world: World, clock: RunClock) -> Record:
    """All members from the start of the spin-up to the last time."""
    state, fields, skies, extended, launched = world.start(), [], [], [], {}
    runs, cut = world.runs, world.model.landscape.cut
    for node in range(clock.nodes):
        forcing = world.schedule.at(node)
        if node in clock.output_nodes or node in clock.large_scale_nodes:
            near = world.near_surface(state, node, forcing)
            if node in clock.output_nodes:
                fields.append(cut(near).cpu())
                skies.append(cut(sky(world.model, state, forcing, near_ground=near))[:runs].cpu())
            if node in clock.large_scale_nodes:
                extended.append(near[:runs].cpu())
        if node in clock.launch_nodes:
            launched[node] = state.values[runs:].clone()
        if node + 1 < clock.nodes:
            state = world.advanced(state, forcing)
    return Record(torch.stack(fields, 1), torch.stack(skies, 1), torch.stack(extended, 1), launched)


def integrate_forecasts(world: World, start: SlabState, *, leads: Sequence[int], interval: float) -> dict[int, Tensor]:
    """Lead (hours) → (member, 5, y, x) of the region, of forecasts from ``start``; ``interval`` in s between nodes."""
    wanted = {round(lead * 3600.0 / interval): lead for lead in leads}
    state, result = start, {}
    for node in range(max(wanted) + 1):
        forcing = world.schedule.at(node)
        if node in wanted:
            result[wanted[node]] = world.model.landscape.cut(world.near_surface(state, node, forcing)).cpu()
        if node < max(wanted):
            state = world.advanced(state, forcing)
    return result
