"""The flux of shallow water through a face between two states: the HLLC approximate Riemann solver.

Between wave speeds S_L and S_R the solution is taken as one state for depth and normal momentum (HLL),

    F = (S_R F_L − S_L F_R + S_L S_R (U_R − U_L)) / (S_R − S_L),

with S_L cut off above 0 and S_R below 0. The tangential wind is carried by the mass flux from the side that the flux
comes from, so that shear along a face is not smeared by gravity waves (the C of HLLC).

References:
    Toro (2001): Shock-capturing methods for free-surface shallow flows, chapter 10.
"""

import torch
from torch import Tensor

# Keeps square roots differentiable and quotients finite where there is no water; no depth or speed is this small.
_TINY = 1e-30


def face_flux(left: Tensor, right: Tensor, gravity: float) -> Tensor:
    """Flux of depth, normal momentum and tangential momentum along the last axis.

    Args:
        left, right: (..., 3, y, face): depth (m, not negative), normal and tangential wind (m/s) beside each face.
        gravity: g (m/s²).

    Returns:
        (..., 3, y, face): h u, h u² + g h²/2, h u v.
    """
    h_left, u_left, v_left = left.unbind(-3)
    h_right, u_right, v_right = right.unbind(-3)
    slowest, fastest = wave_speeds(h_left, u_left, h_right, u_right, gravity)
    width = (fastest - slowest).clamp(min=_TINY)

    def between(flux_left: Tensor, flux_right: Tensor, jump: Tensor) -> Tensor:
        return (fastest * flux_left - slowest * flux_right + fastest * slowest * jump) / width

    q_left, q_right = h_left * u_left, h_right * u_right
    mass = between(q_left, q_right, h_right - h_left)
    normal = between(
        q_left * u_left + 0.5 * gravity * h_left * h_left,
        q_right * u_right + 0.5 * gravity * h_right * h_right,
        q_right - q_left,
    )
    return torch.stack([mass, normal, mass * torch.where(mass > 0, v_left, v_right)], dim=-3)


def wave_speeds(
    h_left: Tensor, u_left: Tensor, h_right: Tensor, u_right: Tensor, gravity: float
) -> tuple[Tensor, Tensor]:
    """S_L ≤ 0 and S_R ≥ 0 from two rarefactions (Toro, eq. 10.22), with the exact front where one side is dry."""
    c_left, c_right = celerity(h_left, gravity), celerity(h_right, gravity)
    u_star = 0.5 * (u_left + u_right) + c_left - c_right
    c_star = 0.5 * (c_left + c_right) + 0.25 * (u_left - u_right)
    slowest = torch.minimum(u_left - c_left, u_star - c_star)
    fastest = torch.maximum(u_right + c_right, u_star + c_star)
    slowest = torch.where(h_left <= 0, u_right - 2.0 * c_right, slowest)
    fastest = torch.where(h_right <= 0, u_left + 2.0 * c_left, fastest)
    return slowest.clamp(max=0.0), fastest.clamp(min=0.0)


def celerity(depth: Tensor, gravity: float) -> Tensor:
    """Speed of gravity waves √(g h), m/s."""
    return torch.sqrt((gravity * depth).clamp(min=_TINY))
