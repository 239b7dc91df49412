"""``RunDraws``: everything random of one run, drawn from the run's own generator.

Truth and twin are drawn by the same calls from streams of their own, after what they share.
"""

from dataclasses import dataclass

import numpy as np
import torch

from rtma_diffda.dynamics.nature_settings import NatureSettings, RunClock
from rtma_diffda.dynamics.random_fields import split_generator
from rtma_diffda.dynamics.slab.convection import ConvectiveEvents
from rtma_diffda.dynamics.slab.large_scale import (
    Climate,
    LargeScaleSeries,
    ModeLaw,
    draw_common,
    draw_own,
    draw_own_numbers,
)
from rtma_diffda.dynamics.slab.parameters import SlabParameters
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.geo.sun import declination_of

_FORECAST_DRIFT = 3.0
"""A forecast that has lost its memory is this much further off in wind, position and pressure than the background."""


@dataclass(frozen=True)
class ModelDraws:
    """What one model, truth or twin, has of its own: its large scale, its convection, its parameters."""

    series: LargeScaleSeries
    events: ConvectiveEvents
    parameters: SlabParameters


@dataclass(frozen=True)
class RunDraws:
    """Attributes:
    climate: shared.
    truth, twin: of the two models.
    terrains: generators of the truth's and of the twin's terrain.
    forecasts, large_scale: generators of the lagged forecasts, and of the errors of the large-scale states.
    """

    climate: Climate
    truth: ModelDraws
    twin: ModelDraws
    terrains: tuple[torch.Generator, torch.Generator]
    forecasts: torch.Generator
    large_scale: torch.Generator

    @classmethod
    def of(
        cls, static: StaticFields, clock: RunClock, settings: NatureSettings, *, generator: torch.Generator
    ) -> "RunDraws":
        """Of the run on ``static``; the generator is advanced by six draws."""
        shared, truth, twin, terrain, forecasts, large_scale = (split_generator(generator) for _ in range(6))
        law = mode_law(static, clock, settings)
        latitude = float(static.grid.latitude().mean())
        season = float(np.sign(latitude) * declination_of(clock.times[:1])[0] / np.deg2rad(23.44))
        climate = Climate.draw(settings.law, latitude=latitude, season=season, generator=shared)
        common = draw_common(law, climate, clock.nodes, generator=shared)
        seconds = clock.nodes * clock.interval
        events = ConvectiveEvents.draw(settings.convection, extent=law.extent, seconds=seconds, generator=shared)

        def model(own: torch.Generator) -> ModelDraws:
            return ModelDraws(
                draw_own(law, common, generator=own),
                events.own(settings.convection, generator=own),
                SlabParameters.draw(settings.parameter_spread, generator=own),
            )

        terrains = (split_generator(terrain), split_generator(terrain))
        return cls(climate, model(truth), model(twin), terrains, forecasts, large_scale)

    def forecast(
        self, launch: int, nodes: int, law: ModeLaw, settings: NatureSettings
    ) -> tuple[LargeScaleSeries, ConvectiveEvents]:
        """The twin's large scale and convection from node ``launch`` on, gradually replaced by others of the same law.

        Args:
            launch: node of the start.
            nodes: of the forecast; those beyond the run repeat its last large scale.
            law: of the modes.
            settings: how fast the large scale is lost.
        """
        twin = self.twin.series
        window = torch.arange(launch, launch + nodes).clamp(max=twin.modes.shape[1] - 1)
        lead = torch.arange(nodes, dtype=torch.float64) * law.interval
        kept = torch.exp(-lead / float(settings.forecast_memory / np.timedelta64(1, "s")))
        lost = torch.sqrt(1.0 - kept**2)
        other = law.draw_modes(nodes, generator=self.forecasts)[None]
        by_time = (1, -1, 1, 1, 1)
        modes = kept.float().reshape(by_time) * twin.modes[:, window] + lost.float().reshape(by_time) * other
        drift = _FORECAST_DRIFT * lost[:, None] * draw_own_numbers(law, nodes, generator=self.forecasts)
        events = self.twin.events.own(settings.convection, generator=self.forecasts)
        series = LargeScaleSeries(modes, twin.numbers[:, window] + drift[None])
        return series, events.delayed(-launch * law.interval)


def mode_law(static: StaticFields, clock: RunClock, settings: NatureSettings) -> ModeLaw:
    """Law of the large scale's modes on the extended domain of a region."""
    extent = (max(static.grid.shape) + 2 * settings.margin) * static.grid.dx
    return ModeLaw.of(extent, clock.interval, settings.law)
