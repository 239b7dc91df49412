"""``Layout``: what the axes of a field tensor mean. Axis order is always (member, channel, y, x)."""

from collections.abc import Iterable
from dataclasses import dataclass

from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import LatLonGrid, ProjectedGrid
from rtma_diffda.variables import Variable, variable


@dataclass(frozen=True)
class Channel:
    """A variable, and the pressure level (hPa) of an upper-air one."""

    name: str
    level: float | None = None

    @property
    def variable(self) -> Variable:
        """Its row in the table of variables."""
        return variable(self.name)

    @property
    def label(self) -> str:
        """Its name among the channels of a layout: ``t2m``, ``z500``."""
        return self.name if self.level is None else f"{self.name}{self.level:g}"


@dataclass(frozen=True)
class Layout:
    """Grid and channels of a field tensor."""

    grid: ProjectedGrid | LatLonGrid
    channels: tuple[Channel, ...]

    def __post_init__(self) -> None:
        if len(set(self.channels)) != len(self.channels):
            raise UsageError(f"channels repeat: {[channel.label for channel in self.channels]}")

    @classmethod
    def of(cls, grid: ProjectedGrid, names: Iterable[str]) -> "Layout":
        """A layout of near-surface variables by their short names."""
        return cls(grid, tuple(Channel(variable(name).name) for name in names))

    @property
    def names(self) -> tuple[str, ...]:
        """Labels of the channels, in order: the short names of near-surface variables."""
        return tuple(channel.label for channel in self.channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channel, y, x)."""
        return (len(self.channels), *self.grid.shape)

    def index(self, name: str) -> int:
        """Position of the channel called ``name``.

        Raises:
            UsageError: the layout has no such channel.
        """
        if name not in self.names:
            raise UsageError(f"layout has channels {', '.join(self.names)}, not '{name}'")
        return self.names.index(name)
