"""Where the ray from the earth's centre through a point meets the bilinear patch spanned by a cell's four corners.

With corner vectors q0 … q3 (counter-clockwise) and the point's unit vector p, solve for (u, v, t)

    F = u v A + u B + v C − t p + q0 = 0,   A = q0 − q1 + q2 − q3,  B = q1 − q0,  C = q3 − q0

by Newton's method. This is ESMF's bilinear interpolation on the sphere (``intersect_quad_with_line`` in
ESMCI_MathUtil.C): the same start (u = v = t = 0) and the same stop (|F| < 1e-10). The early stop can leave an
error of 1e-10 over the cell's size (in radians) in the weights, 2e-8 for 0.25 degrees; copying it is what makes our
weights agree with ESMF's more closely than that.
"""

import numpy as np

_ITERATIONS = 100
_SMALLEST_RESIDUAL = 1e-10


def intersect_patches(corners: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patch coordinates of points in cells, inside or out.

    Args:
        corners: (4, 3, n) corner vectors of each point's cell, in order around it.
        points: (3, n) unit vectors.

    Returns:
        u, v: (n,) 0 … 1 inside, u from corner 0 to 1 and v from corner 0 to 3; NaN where there is no intersection.
        met: (n,) True where the iteration converged on the point's own side of the earth.
    """
    # A cell whose corners 0 and 1 (then 0 and 3) coincide, as on a pole, has a singular start: turn it round first.
    corners, quarter = _turned(corners, other=1, turns=1)
    corners, half = _turned(corners, other=3, turns=2)
    u, v, t, converged = _newton(corners, points)
    u, v = np.where(quarter, v, u), np.where(quarter, 1.0 - u, v)
    u, v = np.where(half, 1.0 - u, u), np.where(half, 1.0 - v, v)
    met = converged & (t > 0.0)
    return np.where(met, u, np.nan), np.where(met, v, np.nan), met


def _turned(corners: np.ndarray, *, other: int, turns: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners rolled by ``turns`` where corner 0 coincides with corner ``other``, and where that was."""
    coincide = (corners[0] == corners[other]).all(axis=0)
    if coincide.any():
        corners = np.where(coincide, np.roll(corners, turns, axis=0), corners)
    return corners, coincide


def _newton(corners: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """u, v, t and whether each point's iteration converged; points that have are left out of the next round."""
    q0, q1, q2, q3 = corners
    constants = np.stack([q0 - q1 + q2 - q3, q1 - q0, q3 - q0, -points, q0])
    answer = np.zeros((3, points.shape[1]))
    converged = np.zeros(points.shape[1], bool)
    active, current = np.arange(points.shape[1]), answer.copy()
    for _ in range(_ITERATIONS):
        residual = _residual(constants, current)
        done = np.einsum("in,in->n", residual, residual) < _SMALLEST_RESIDUAL**2
        answer[:, active[done]] = current[:, done]
        converged[active[done]] = True
        change, solvable = _newton_change(constants, current, residual)
        going = ~done & solvable
        if not going.any():
            break
        if not going.all():
            active, constants = active[going], constants[:, :, going]
        current = (current - change)[:, going]
    return answer[0], answer[1], answer[2], converged


def _residual(constants: np.ndarray, current: np.ndarray) -> np.ndarray:
    A, B, C, D, E = constants
    u, v, t = current
    return (u * v) * A + u * B + v * C + t * D + E


def _newton_change(constants: np.ndarray, current: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J⁻¹ F by cofactors, (3, n), and where the determinant of the Jacobian J = (A v + B, A u + C, D) allows it."""
    A, B, C, D, _ = constants
    u, v, _ = current
    j0, j1 = A * v + B, A * u + C
    c12, c20, c01 = _cross(j1, D), _cross(D, j0), _cross(j0, j1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        determinant = np.einsum("in,in->n", j0, c12)
        change = np.stack([np.einsum("in,in->n", c, residual) for c in (c12, c20, c01)]) / determinant
    return change, np.isfinite(change).all(axis=0)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
