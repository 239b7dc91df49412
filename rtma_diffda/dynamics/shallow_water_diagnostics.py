"""What shallow water conserves, and what is derived from it: mass, energy, vorticity, potential enstrophy.

All take values (..., 3, y, x) of h, u, v; integrals are over the whole plane, (...,).
"""

import torch
from torch import Tensor

from rtma_diffda.dynamics.shallow_water import ShallowWater


def volume(model: ShallowWater, values: Tensor) -> Tensor:
    """∫ h dA (m³): mass over density."""
    return _integral(model, values[..., 0, :, :])


def energy(model: ShallowWater, values: Tensor) -> Tensor:
    """∫ ½ h (u² + v²) + ½ g h² + g h b dA (m⁵/s²), per unit of density."""
    h, u, v = values.unbind(-3)
    potential = 0.5 * model.gravity * h * h
    if model.terrain is not None:
        potential = potential + model.gravity * h * model.terrain
    return _integral(model, 0.5 * h * (u * u + v * v) + potential)


def relative_vorticity(model: ShallowWater, values: Tensor) -> Tensor:
    """∂v/∂x − ∂u/∂y (1/s) by centred differences, (..., y, x)."""
    plane, u, v = model.plane, values[..., 1, :, :], values[..., 2, :, :]
    # Behind a wall the tangential wind is mirrored with its sign, as in the model.
    across = plane.extended(v, 1)
    along = plane.turned().extended(u.transpose(-1, -2), 1).transpose(-1, -2)
    dv_dx = (across[..., 2:] - across[..., :-2]) / (2.0 * plane.dx)
    du_dy = (along[..., 2:, :] - along[..., :-2, :]) / (2.0 * plane.dy)
    return dv_dx - du_dy


def potential_enstrophy(model: ShallowWater, values: Tensor) -> Tensor:
    """∫ ½ (ζ + f)² / h dA (m/s²)."""
    absolute = relative_vorticity(model, values) + torch.as_tensor(model.coriolis).to(values)
    return _integral(model, 0.5 * absolute * absolute / values[..., 0, :, :])


def _integral(model: ShallowWater, density: Tensor) -> Tensor:
    return density.sum(dim=(-2, -1)) * (model.plane.dx * model.plane.dy)
