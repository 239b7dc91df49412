"""``Layout``: what the axes of a field tensor mean. Axis order is always (member, channel, y, x)."""

from collections.abc import Iterable
from dataclasses import dataclass

from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid
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


@dataclass(frozen=True)
class Layout:
    """Grid and channels of a field tensor."""

    grid: ProjectedGrid
    channels: tuple[Channel, ...]

    def __post_init__(self) -> None:
        if len(set(self.channels)) != len(self.channels):
            raise UsageError(f"channels repeat: {[channel.name for channel in self.channels]}")

    @classmethod
    def of(cls, grid: ProjectedGrid, names: Iterable[str]) -> "Layout":
        """A layout of near-surface variables by their short names."""
        return cls(grid, tuple(Channel(variable(name).name) for name in names))

    @property
    def names(self) -> tuple[str, ...]:
        """Short names of the channels, in order."""
        return tuple(channel.name for channel in self.channels)

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
