"""``GraphCastTask``: which variables a GraphCast network sees and answers, and in which order its channels stand.

Variables are sorted by their (published) names. A channel is one variable on one level at one time; within a variable
the time is slow and the level fast. Inputs are two blocks, each sorted by itself: the state, forcings and static fields
at the two input times, then the forcings at the target time. References: Lam et al. (2023), arXiv 2212.12794, table 1;
``model_utils.dataset_to_stacked`` and ``graphcast.TaskConfig`` of the published code.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rtma_diffda.errors import InputError

Key = tuple[str, float | None]
"""A variable's published name, and its pressure level (hPa); None near the surface."""

EARLIER, LATER, TARGET, STATIC = "earlier", "later", "target", "static"
"""Frames: a time step before the initial time, the initial time, a time step after it; at no time."""

SURFACE = (
    "2m_temperature",
    "mean_sea_level_pressure",
    "10m_v_component_of_wind",
    "10m_u_component_of_wind",
    "total_precipitation_6hr",
)
ATMOSPHERIC = (
    "temperature",
    "geopotential",
    "u_component_of_wind",
    "v_component_of_wind",
    "vertical_velocity",
    "specific_humidity",
)
FORCINGS = (
    "toa_incident_solar_radiation",
    "year_progress_sin",
    "year_progress_cos",
    "day_progress_sin",
    "day_progress_cos",
)
STATICS = ("geopotential_at_surface", "land_sea_mask")
PRECIPITATION = "total_precipitation_6hr"

LEVELS_13 = (50, 100, 150, 200, 250, 300, 400, 500, 600, 700, 850, 925, 1000)
LEVELS_37 = (
    *(
        1,
        2,
        3,
        5,
        7,
        10,
        20,
        30,
        50,
        70,
        100,
        125,
        150,
        175,
        200,
        225,
        250,
        300,
        350,
        400,
        450,
        500,
        550,
        600,
        650,
        700,
    ),
    *(750, 775, 800, 825, 850, 875, 900, 925, 950, 975, 1000),
)


@dataclass(frozen=True)
class InputChannel:
    """One channel of the stacked input.

    Attributes:
        variable: published name.
        level: hPa; None where it has none.
        frame: ``EARLIER``, ``LATER``, ``TARGET`` or ``STATIC``.
    """

    variable: str
    level: float | None
    frame: str


@dataclass(frozen=True)
class GraphCastTask:
    """What a network was made for; the published code's ``TaskConfig``.

    Attributes:
        input_variables: states, forcings and static fields at the input times, in any order.
        target_variables: what it answers, in any order.
        forcing_variables: forcings at the target time, in any order.
        pressure_levels: hPa, ascending.
        input_duration: of the two input times together.
    """

    input_variables: tuple[str, ...]
    target_variables: tuple[str, ...]
    forcing_variables: tuple[str, ...] = FORCINGS
    pressure_levels: tuple[int, ...] = LEVELS_13
    input_duration: str = "12h"

    def __post_init__(self) -> None:
        known = {*SURFACE, *ATMOSPHERIC, *FORCINGS, *STATICS}
        unknown = {*self.input_variables, *self.target_variables, *self.forcing_variables} - known
        if unknown:
            raise InputError(f"a GraphCast task has variables that are not known: {', '.join(sorted(unknown))}")
        if list(self.pressure_levels) != sorted(set(self.pressure_levels)):
            raise InputError(f"pressure levels of a GraphCast task must ascend; found {self.pressure_levels}")
        if self.input_duration not in ("12h", "12H", "12 h"):
            raise InputError(f"a GraphCast task has two input times, '12h'; found input_duration {self.input_duration}")

    @classmethod
    def of(
        cls,
        surface: Iterable[str] = SURFACE,
        atmospheric: Iterable[str] = ATMOSPHERIC,
        *,
        levels: Iterable[int] = LEVELS_13,
        precipitation_input: bool = True,
    ) -> "GraphCastTask":
        """The task with these states, and all forcings and static fields."""
        targets = (*surface, *atmospheric)
        inputs = tuple(name for name in targets if precipitation_input or name != PRECIPITATION)
        return cls((*inputs, *FORCINGS, *STATICS), targets, FORCINGS, tuple(levels))

    @property
    def inputs(self) -> tuple[InputChannel, ...]:
        """Channels of the stacked input, in order."""
        return (*self._input_block(), *(InputChannel(name, None, TARGET) for name in sorted(self.forcing_variables)))

    @property
    def outputs(self) -> tuple[Key, ...]:
        """Channels of the answer, in order."""
        return tuple(self._keys(self.target_variables))

    @property
    def prognostic(self) -> tuple[Key, ...]:
        """States among the inputs, in the order of the answer's channels: what a roll-out feeds back."""
        return tuple(key for key in self.outputs if key[0] in self.input_variables)

    def _input_block(self) -> Iterator[InputChannel]:
        for name in sorted(self.input_variables):
            frames = (STATIC,) if name in STATICS else (EARLIER, LATER)
            levels = self.pressure_levels if name in ATMOSPHERIC else (None,)
            yield from (InputChannel(name, level, frame) for frame in frames for level in levels)

    def _keys(self, names: Iterable[str]) -> Iterator[Key]:
        for name in sorted(names):
            levels = self.pressure_levels if name in ATMOSPHERIC else (None,)
            yield from ((name, level) for level in levels)


TASKS: Mapping[str, GraphCastTask] = MappingProxyType(
    {
        "GraphCast": GraphCastTask.of(levels=LEVELS_37),
        "GraphCast_small": GraphCastTask.of(levels=LEVELS_13),
        "GraphCast_operational": GraphCastTask.of(levels=LEVELS_13, precipitation_input=False),
    }
)
"""The published tasks."""
