"""``NatureSettings``: how nature runs are simulated; ``RunClock``: when what is done in them."""

from dataclasses import dataclass, field

import numpy as np

from rtma_diffda.dynamics.slab.convection import ConvectionLaw
from rtma_diffda.dynamics.slab.large_scale import LargeScaleLaw
from rtma_diffda.dynamics.slab.model import SlabSettings
from rtma_diffda.errors import UsageError

_STEP_PER_METRE = 0.036
"""Seconds of time step per metre of spacing: 180 s at 5 km, so that winds of 27 m/s pass one cell a step."""


def _hours(hours: int) -> np.timedelta64:
    return np.timedelta64(hours, "h")


@dataclass(frozen=True)
class NatureSettings:
    """How nature is simulated.

    Attributes:
        margin: points beyond the region on every side, where the domain closes on itself.
        spin_up: how long runs go before the first time asked for.
        forcing_interval: between renewals of the forcing; output times are multiples of it.
        terrain_smoothing: L of the models' terrains (m).
        parameter_spread: 0 … 1, how far parameters spread about their typical values.
        leads: lead times (whole hours) of lagged forecasts; none by default, as they cost as much as the runs.
        launch_interval: between starts of lagged forecasts, the first at the first time.
        forecast_memory: after which a forecast's large scale has lost most of what the background knows.
        coarsening: grid cells along either side of a cell of the large-scale states.
        large_scale_interval: between large-scale states.
        slab, law, convection: of the slab, the large scale and the downdraughts; the slab's time step follows from the
            grid spacing.
        device: that runs are computed on; results are on the CPU.
    """

    margin: int = 20
    spin_up: np.timedelta64 = field(default_factory=lambda: _hours(12))
    forcing_interval: np.timedelta64 = field(default_factory=lambda: np.timedelta64(15, "m"))
    terrain_smoothing: float = 2.5e3
    parameter_spread: float = 1.0
    leads: tuple[int, ...] = ()
    launch_interval: np.timedelta64 = field(default_factory=lambda: _hours(6))
    forecast_memory: np.timedelta64 = field(default_factory=lambda: _hours(24))
    coarsening: int = 6
    large_scale_interval: np.timedelta64 = field(default_factory=lambda: _hours(1))
    slab: SlabSettings = field(default_factory=SlabSettings)
    law: LargeScaleLaw = field(default_factory=LargeScaleLaw)
    convection: ConvectionLaw = field(default_factory=ConvectionLaw)
    device: str = "cpu"

    @property
    def interval_seconds(self) -> float:
        """``forcing_interval`` in seconds."""
        return float(self.forcing_interval / np.timedelta64(1, "s"))

    def steps_per_interval(self, spacing: float) -> int:
        """Time steps between renewals of the forcing on a grid of ``spacing`` (m)."""
        return int(np.ceil(self.interval_seconds / (_STEP_PER_METRE * spacing) - 1e-9))


@dataclass(frozen=True)
class RunClock:
    """Forcing is renewed at nodes 0, 1, …, ``interval`` apart; what is wanted is wanted at nodes.

    Attributes:
        times: (time,) of the states to hand out.
        start: of the spin-up.
        interval: seconds between nodes.
        output_nodes: of ``times``.
        large_scale_nodes: of large-scale states.
        launch_nodes: where lagged forecasts start.
    """

    times: np.ndarray
    start: np.datetime64
    interval: float
    output_nodes: tuple[int, ...]
    large_scale_nodes: tuple[int, ...]
    launch_nodes: tuple[int, ...]

    @classmethod
    def of(cls, times: np.ndarray, settings: NatureSettings) -> "RunClock":
        """For states at ``times`` (time,) datetime64.

        Raises:
            UsageError: times that do not increase, or times, spin-up or intervals that are no multiples of
                ``settings.forcing_interval``.
        """
        times = _checked(times, settings)
        start = times[0] - settings.spin_up
        nodes = tuple(((times - start) // settings.forcing_interval).tolist())
        every = int(settings.large_scale_interval // settings.forcing_interval)
        launch = int(settings.launch_interval // settings.forcing_interval)
        launches = tuple(range(nodes[0], nodes[-1], launch)) if settings.leads else ()
        coarse = tuple(range(nodes[0], nodes[-1] + 1, every))
        return cls(times, start, settings.interval_seconds, nodes, coarse, launches)

    @property
    def nodes(self) -> int:
        """Number of nodes from the start to the last time."""
        return self.output_nodes[-1] + 1

    def time(self, node: int) -> np.datetime64:
        """Of a node."""
        return self.start + np.timedelta64(round(node * self.interval), "s")


def _checked(times: np.ndarray, settings: NatureSettings) -> np.ndarray:
    times = np.asarray(times, "datetime64[ns]")
    if times.ndim != 1 or times.size < 1 or not (np.diff(times) > np.timedelta64(0, "ns")).all():
        raise UsageError(f"a nature run needs increasing times; found {times}")
    intervals = (*(times - times[0]), settings.spin_up, settings.large_scale_interval, settings.launch_interval)
    if any(interval % settings.forcing_interval for interval in intervals):
        raise UsageError(f"times, spin-up and intervals of a nature run are multiples of {settings.forcing_interval}")
    return times
