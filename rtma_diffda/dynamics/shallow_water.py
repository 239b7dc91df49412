"""Shallow water on a plane, in one or two dimensions: a finite-volume model, batched and differentiable.

    ∂h/∂t + ∇·(h u) = 0
    ∂(h u)/∂t + ∇·(h u u) + ∇(g h²/2) = −f k × h u − g h ∇b

with depth h, wind u = (u, v), terrain b and Coriolis parameter f. The surface η = h + b and the wind are reconstructed
at the faces, HLLC gives the fluxes, and the terrain force is the pressure difference that balances a level surface, so
mass is conserved and lake at rest is kept, both to rounding. Ground may fall dry with the ``koren`` reconstruction,
which makes no new extrema; ``weno5`` is for water that is deep everywhere. Time stepping is Runge–Kutta of third order
(SSP). The order is formally two, since winds are reconstructed from quotients of averages and one flux stands for a
whole face; ``weno5`` makes the constant small.

References:
    Kurganov and Petrova (2007): A second-order well-balanced positivity preserving central-upwind scheme, CMS 5.
    Gottlieb, Shu and Tadmor (2001): Strong stability-preserving high-order time discretization methods, SIAM Rev. 43.
"""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from rtma_diffda.dynamics.plane import Plane, turn
from rtma_diffda.dynamics.reconstruction import GHOST_CELLS, Reconstruction, weno5
from rtma_diffda.dynamics.riemann import celerity, face_flux
from rtma_diffda.errors import InputError, UsageError

STANDARD_GRAVITY = 9.80665


@dataclass(frozen=True, eq=False)
class ShallowWater:
    """The model: where, and under which forces.

    Attributes:
        plane: cells and edges.
        gravity: g (m/s²); less for a layer under another one; 0 lets the wind carry h without pushing.
        coriolis: f (1/s): a number, or (y, 1), or (y, x).
        terrain: b (m), (y, x) or (run, y, x); None for a flat bottom.
        reconstruct: how face values come from cell averages.
        dry_depth: depth (m) under which the wind is taken to vanish with the water.
    """

    plane: Plane
    gravity: float = STANDARD_GRAVITY
    coriolis: float | Tensor = 0.0
    terrain: Tensor | None = None
    reconstruct: Reconstruction = weno5
    dry_depth: float = 1e-6

    def __post_init__(self) -> None:
        if not {self.plane.nx, self.plane.ny}.isdisjoint(range(2, GHOST_CELLS)):
            raise UsageError(
                f"shallow water on {self.plane.ny} × {self.plane.nx} cells; an axis has one cell, or at least "
                f"{GHOST_CELLS}"
            )

    def integrate(self, values: Tensor, duration: float, *, time_step: float) -> Tensor:
        """The state ``duration`` seconds later.

        Args:
            values: (..., 3, y, x): h (m), u, v (m/s). Runs do not influence each other.
            duration: seconds.
            time_step: longest step (s); the steps taken are equal and fill the duration. See ``stable_time_step``.

        Returns:
            Like ``values``; differentiable in them, in the terrain and in f.

        Raises:
            InputError: a state of another shape, or one that is not finite in the end, as after too long a step.
        """
        self._require_shape(values)
        count = max(1, ceil(duration / time_step - 1e-9))
        fluid = to_conserved(values)
        for _ in range(count):
            fluid = self._runge_kutta(fluid, duration / count)
        values = to_primitive(fluid, self.dry_depth)
        if not bool(torch.isfinite(values).all()):
            raise InputError(
                f"shallow water is not finite after {count} steps of {duration / count:.3g} s; the step is longer than "
                "the flow allows, or the state at the start was not finite"
            )
        return values

    def tendency(self, fluid: Tensor) -> Tensor:
        """∂/∂t of h, h u, h v, all (..., 3, y, x)."""
        primitive = to_primitive(fluid, self.dry_depth)
        terrain = None if self.terrain is None else self.terrain.to(fluid)
        total = self._coriolis_force(fluid)
        if self.plane.nx > 1:
            total = total + _convergence(self, self.plane, primitive, terrain)
        if self.plane.ny > 1:
            terrain = None if terrain is None else terrain.transpose(-1, -2)
            total = total + turn(_convergence(self, self.plane.turned(), turn(primitive), terrain))
        return total

    def stable_time_step(self, values: Tensor, *, courant: float = 0.5) -> float:
        """A step (s) for this state: ``courant`` of the time in which the fastest wave crosses a cell, at most 1."""
        if not 0 < courant <= 1:
            raise UsageError(f"a Courant number of {courant}; it lies above 0, up to 1")
        h, u, v = values.detach().unbind(-3)
        c = celerity(h, self.gravity)
        rate = torch.zeros_like(h)
        if self.plane.nx > 1:
            rate = rate + (u.abs() + c) / self.plane.dx
        if self.plane.ny > 1:
            rate = rate + (v.abs() + c) / self.plane.dy
        return courant / max(float(rate.max()), 1e-30)

    def _runge_kutta(self, fluid: Tensor, seconds: float) -> Tensor:
        first = fluid + seconds * self.tendency(fluid)
        second = 0.75 * fluid + 0.25 * (first + seconds * self.tendency(first))
        return fluid / 3.0 + 2.0 / 3.0 * (second + seconds * self.tendency(second))

    def _coriolis_force(self, fluid: Tensor) -> Tensor:
        """−f k × h u."""
        f = torch.as_tensor(self.coriolis).to(fluid)
        h, hu, hv = fluid.unbind(-3)
        return torch.stack([torch.zeros_like(h), f * hv, -f * hu], dim=-3)

    def _require_shape(self, values: Tensor) -> None:
        expected = (3, self.plane.ny, self.plane.nx)
        if values.shape[-3:] != expected:
            raise InputError(f"shallow water of shape {tuple(values.shape)}; the last three axes must be {expected}")


def to_conserved(values: Tensor) -> Tensor:
    """h, u, v → h, h u, h v, (..., 3, y, x)."""
    h, u, v = values.unbind(-3)
    return torch.stack([h, h * u, h * v], dim=-3)


def to_primitive(fluid: Tensor, dry_depth: float) -> Tensor:
    """h, h u, h v → h, u, v, (..., 3, y, x); the wind goes to 0 where the depth is far below ``dry_depth`` (m).

    u = h (h u) / max(h², dry_depth²) is h u / h exactly above that depth.
    """
    h = fluid[..., :1, :, :]
    return torch.cat([h, fluid[..., 1:, :, :] * h / (h * h).clamp(min=dry_depth**2)], dim=-3)


def beta_plane(plane: Plane, f0: float, beta: float) -> Tensor:
    """f = f₀ + β (y − y₀), (y, 1), with y₀ in the middle of the plane."""
    y = plane.y()
    return (f0 + beta * (y - 0.5 * plane.ny * plane.dy))[:, None]


def _convergence(model: ShallowWater, plane: Plane, primitive: Tensor, terrain: Tensor | None) -> Tensor:
    """−∂F/∂x and the force of the terrain along x, for h, h u, h v; ``primitive`` is (..., 3, y, x)."""
    h, u, v = primitive.unbind(-3)
    surface = h if terrain is None else h + terrain
    sides = model.reconstruct(
        torch.stack(
            [plane.extended(surface, GHOST_CELLS), plane.extended(u, GHOST_CELLS, mirror_sign=-1.0),
             plane.extended(v, GHOST_CELLS)], dim=-3
        )
    )  # fmt: skip
    bottom = None if terrain is None else _at_faces(plane, terrain)
    left, right = (_with_depth(side, bottom) for side in sides)
    change = -face_flux(left, right, model.gravity).diff(dim=-1) / plane.dx
    if bottom is None:
        return change
    # Half of the sum of a cell's inner depths times the step of the bottom balances g h²/2 exactly where η is level.
    inner = 0.5 * (left[..., 0, :, 1:] + right[..., 0, :, :-1])
    push = -model.gravity * inner * bottom.diff(dim=-1) / plane.dx
    return torch.stack([change[..., 0, :, :], change[..., 1, :, :] + push, change[..., 2, :, :]], dim=-3)


def _at_faces(plane: Plane, terrain: Tensor) -> Tensor:
    """Terrain at the faces, (..., y, x + 1), half way between its cells."""
    cells = plane.extended(terrain, 1)
    return 0.5 * (cells[..., 1:] + cells[..., :-1])


def _with_depth(side: Tensor, bottom: Tensor | None) -> Tensor:
    """η, u, v beside the faces → h, u, v there; a surface that lies below the bottom means no water."""
    h = side[..., :1, :, :] if bottom is None else side[..., :1, :, :] - bottom.unsqueeze(-3)
    return torch.cat([h.clamp(min=0.0), side[..., 1:, :, :]], dim=-3)
