"""A plane of equal rectangular cells, and what lies beyond its edges.

The last two axes of every field are (y, x). One row or one column makes the plane one-dimensional: nothing varies along
an axis with a single cell. Fluxes are computed along the last axis only; ``turned`` makes y the last axis.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rtma_diffda.errors import UsageError

EDGES = ("periodic", "wall", "open")


@dataclass(frozen=True)
class Plane:
    """Cells and edges of a plane.

    Attributes:
        ny, nx: number of cells.
        dy, dx: their size (m).
        edge_y, edge_x: what lies beyond both ends of an axis: ``periodic``: the other end; ``wall``: the mirror image,
            with the wind through the wall reversed; ``open``: the outermost cell again, so that waves leave.
    """

    ny: int
    nx: int
    dy: float
    dx: float
    edge_y: str = "periodic"
    edge_x: str = "periodic"

    def __post_init__(self) -> None:
        if self.ny < 1 or self.nx < 1 or self.dy <= 0 or self.dx <= 0:
            raise UsageError(
                f"a plane needs at least one cell an axis, of positive size; found {self.ny} × {self.nx} cells of "
                f"{self.dy} × {self.dx} m"
            )
        if not {self.edge_y, self.edge_x} <= set(EDGES):
            raise UsageError(f"edges '{self.edge_y}', '{self.edge_x}' of a plane; an edge is one of {', '.join(EDGES)}")

    @classmethod
    def line(cls, nx: int, dx: float, edge: str = "periodic") -> "Plane":
        """A one-dimensional plane along x."""
        return cls(1, nx, dx, dx, edge_x=edge)

    def x(self) -> Tensor:
        """Positions of the cells' centres (m), (x,), float64, from the western edge."""
        return self.dx * (torch.arange(self.nx, dtype=torch.float64) + 0.5)

    def y(self) -> Tensor:
        """Positions of the cells' centres (m), (y,), float64, from the southern edge."""
        return self.dy * (torch.arange(self.ny, dtype=torch.float64) + 0.5)

    def centres(self) -> tuple[Tensor, Tensor]:
        """x and y of every cell's centre (m), each (y, x)."""
        y, x = torch.meshgrid(self.y(), self.x(), indexing="ij")
        return x, y

    def turned(self) -> "Plane":
        """The plane with its axes exchanged."""
        return Plane(self.nx, self.ny, self.dx, self.dy, self.edge_x, self.edge_y)

    def extended(self, field: Tensor, width: int, *, mirror_sign: float = 1.0) -> Tensor:
        """``field`` (..., x) with ``width`` more cells beyond both ends of the x axis.

        Args:
            field: any number of leading axes.
            width: cells to add, at most nx where the edge is no open one.
            mirror_sign: −1 for the wind component through a wall, which its mirror image reverses.
        """
        if self.edge_x == "open":
            flat = functional.pad(field.reshape(-1, 1, field.shape[-1]), (width, width), mode="replicate")
            return flat.reshape(*field.shape[:-1], -1)
        before, after = field[..., -width:], field[..., :width]
        if self.edge_x == "wall":
            before, after = mirror_sign * after.flip(-1), mirror_sign * before.flip(-1)
        return torch.cat([before, field, after], dim=-1)


def turn(values: Tensor) -> Tensor:
    """Height and wind (..., 3, y, x) seen with the axes exchanged: (..., 3, x, y), the wind components too."""
    return values[..., [0, 2, 1], :, :].transpose(-1, -2)
