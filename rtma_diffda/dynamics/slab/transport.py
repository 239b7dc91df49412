"""Transport on a doubly periodic grid: cubic semi-Lagrangian for tracers, third-order flux form for mass.

Both take Courant numbers below one along each axis, so that departure points lie in neighbouring cells and no gather
is needed. Semi-Lagrangian: the value at x − c is the cubic through the two points on either side of it, one axis after
the other, with weights that all tracers share (Durran 2010, section 7.1). Flux form: Leonard's (1979) QUICKEST face
value

    F_face = ½ (F_i + F_{i+1}) − ½ c (F_{i+1} − F_i) − (1 − c²) / 6 · δ²F_upwind,

whose divergence conserves the sum of F to rounding.
"""

import torch
from torch import Tensor

_X, _Y = -1, -2


def departure_weights(courant: Tensor) -> tuple[Tensor, ...]:
    """Cubic weights of the points −2, −1, 0, 1, 2 around each point for a Courant number (..., y, x), |c| < 1.

    Larger Courant numbers are cut to 1, which bounds the transport and keeps it stable.
    """
    ahead, behind = courant.clamp(0.0, 1.0), (-courant).clamp(0.0, 1.0)
    far_up, near_up, near_down = _one_sided(ahead)
    far_down, near_down_reverse, near_up_reverse = _one_sided(behind)
    up, down = near_up + near_up_reverse, near_down + near_down_reverse
    return far_up, up, 1.0 - far_up - up - down - far_down, down, far_down


def _one_sided(c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of the second and the first point upwind and of the first downwind, for c in 0 … 1."""
    third = c * (1.0 - c) * (1.0 / 6.0)
    return -third * (1.0 + c), c * (1.0 + c) * (1.0 - 0.5 * c), -third * (2.0 - c)


def transported(tracers: Tensor, weights_x: tuple[Tensor, ...], weights_y: tuple[Tensor, ...]) -> Tensor:
    """Tracers (run, tracer, y, x) after one time step, from weights (run, 1, y, x) of ``departure_weights``."""
    return _along(_along(tracers, weights_x, _X), weights_y, _Y)


def _along(tracers: Tensor, weights: tuple[Tensor, ...], axis: int) -> Tensor:
    size = tracers.shape[axis]
    padded = wrapped(tracers, 2, axis)
    result = weights[0] * padded.narrow(axis, 0, size)
    for offset in range(1, 5):
        result = torch.addcmul(result, weights[offset], padded.narrow(axis, offset, size))
    return result


def flux_divergence(quantity: Tensor, courant_x: Tensor, courant_y: Tensor) -> Tensor:
    """Change of ``quantity`` (..., y, x) over one time step by the flux in minus the flux out of each cell.

    Courant numbers are those of the cell centres; faces take the mean of the two sides.
    """
    return _flux_change(quantity, courant_x, _X) + _flux_change(quantity, courant_y, _Y)


def _flux_change(quantity: Tensor, courant: Tensor, axis: int) -> Tensor:
    size = quantity.shape[axis]
    q = wrapped(quantity, 2, axis)
    here, there = q.narrow(axis, 1, size + 1), q.narrow(axis, 2, size + 1)
    c = wrapped(courant, 1, axis)
    c = 0.5 * (c.narrow(axis, 0, size + 1) + c.narrow(axis, 1, size + 1))
    curvature = q.narrow(axis, 0, size + 2) - 2.0 * q.narrow(axis, 1, size + 2) + q.narrow(axis, 2, size + 2)
    upwind = torch.where(c > 0.0, curvature.narrow(axis, 0, size + 1), curvature.narrow(axis, 1, size + 1))
    flux = c * (0.5 * (here + there) - 0.5 * c * (there - here) - (1.0 - c * c) * (1.0 / 6.0) * upwind)
    return flux.narrow(axis, 0, size) - flux.narrow(axis, 1, size)


def diffused(fields: Tensor, share: float) -> Tensor:
    """Periodic ``fields`` (..., y, x) after exchanging ``share`` (at most ¼) of each difference with all neighbours."""
    x, y = wrapped(fields, 1, _X), wrapped(fields, 1, _Y)
    nx, ny = fields.shape[_X], fields.shape[_Y]
    around = x.narrow(_X, 0, nx) + x.narrow(_X, 2, nx) + y.narrow(_Y, 0, ny) + y.narrow(_Y, 2, ny)
    return torch.add(fields * (1.0 - 4.0 * share), around, alpha=share)


def gradient(field: Tensor, spacing: float) -> tuple[Tensor, Tensor]:
    """∂/∂x and ∂/∂y of periodic ``field`` (..., y, x) per metre, by centred differences."""
    along_x, along_y = wrapped(field, 1, _X), wrapped(field, 1, _Y)
    nx, ny = field.shape[_X], field.shape[_Y]
    scale = 0.5 / spacing
    return (
        (along_x.narrow(_X, 2, nx) - along_x.narrow(_X, 0, nx)) * scale,
        (along_y.narrow(_Y, 2, ny) - along_y.narrow(_Y, 0, ny)) * scale,
    )


def wrapped(field: Tensor, width: int, axis: int) -> Tensor:
    """``field`` with ``width`` points of the other end put before and after it along ``axis``."""
    size = field.shape[axis]
    return torch.cat([field.narrow(axis, size - width, width), field, field.narrow(axis, 0, width)], dim=axis)
