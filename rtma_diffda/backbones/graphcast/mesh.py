"""``IcosahedralMesh``: an icosahedron on the unit sphere, refined by halving edges; all levels together are the mesh.

Every face (i, j, k) becomes four, with the midpoints of its edges put on the sphere. Vertices keep their numbers, so
that the edges of coarse levels join vertices of the finest one (the multi-mesh). Order and float32 rounding are as in
the published code, since weights were trained on that. Reference: Lam et al. (2023), arXiv 2212.12794, section 3.4.
"""

from dataclasses import dataclass, field
from functools import cached_property
from math import asin, cos, pi, sin, sqrt

import numpy as np

_GOLDEN = (1.0 + sqrt(5.0)) / 2.0
_FACES = (
    *((0, 1, 2), (0, 6, 1), (8, 0, 2), (8, 4, 0), (3, 8, 2), (3, 2, 7), (7, 2, 1), (0, 4, 6), (4, 11, 6), (6, 11, 5)),
    *((1, 5, 7), (4, 10, 11), (4, 8, 10), (10, 8, 3), (10, 3, 9), (11, 10, 9), (11, 9, 5), (5, 9, 7), (9, 3, 7)),
    (1, 6, 5),
)
"""Counter-clockwise, seen from outside."""


@dataclass(frozen=True)
class IcosahedralMesh:
    """Attributes:
    vertices: (vertex, 3) float32 positions on the unit sphere, of the finest level.
    levels: (20 · 4^k, 3) int32 corners of the faces of each level k, coarsest first, counter-clockwise from outside.
    """

    vertices: np.ndarray = field(repr=False)
    levels: tuple[np.ndarray, ...] = field(repr=False)

    @classmethod
    def refined(cls, times: int) -> "IcosahedralMesh":
        """The icosahedron refined ``times`` times."""
        vertices, levels = _icosahedron(), [np.array(_FACES, np.int32)]
        for _ in range(times):
            vertices, faces = _halved(vertices, levels[-1])
            levels.append(faces)
        return cls(vertices, tuple(levels))

    @property
    def faces(self) -> np.ndarray:
        """Of the finest level."""
        return self.levels[-1]

    @cached_property
    def multi_mesh_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Senders and receivers (edge,) int32 of all levels' edges, both ways."""
        return edges_of(np.concatenate(self.levels))

    @cached_property
    def longest_edge(self) -> np.float32:
        """Chord of the longest edge of the finest level."""
        senders, receivers = edges_of(self.faces)
        return np.linalg.norm(self.vertices[senders] - self.vertices[receivers], axis=-1).max()


def edges_of(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Senders and receivers (3 · face,) of the edges around ``faces`` (face, 3): first all i → j, then j → k, k → i."""
    return faces.T.reshape(-1), np.roll(faces, -1, axis=1).T.reshape(-1)


def _icosahedron() -> np.ndarray:
    """(12, 3) vertices, turned about the y axis until a face is on top."""
    corners = [
        corner for a in (1.0, -1.0) for b in (_GOLDEN, -_GOLDEN) for corner in ((a, b, 0.0), (0.0, a, b), (b, 0.0, a))
    ]
    vertices = (np.array(corners, np.float32) / np.float64(sqrt(1.0 + _GOLDEN**2))).astype(np.float32)
    angle = (pi - 2.0 * asin(_GOLDEN / sqrt(3.0))) / 2.0
    turn = np.array([[cos(angle), 0.0, sin(angle)], [0.0, 1.0, 0.0], [-sin(angle), 0.0, cos(angle)]])
    return (vertices @ turn).astype(np.float32)


def _halved(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of the next level. Midpoints are numbered as the edges are first met, face by face."""
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1).astype(np.int64)
    edges, first, which = np.unique(ends[:, 0] * len(vertices) + ends[:, 1], return_index=True, return_inverse=True)
    met = np.argsort(first)
    number = np.empty_like(met)
    number[met] = np.arange(len(met))
    middles = vertices[edges[met] // len(vertices)] + vertices[edges[met] % len(vertices)]
    middles = middles * np.float32(0.5)
    middles /= np.sqrt(middles[:, None] @ middles[:, :, None])[:, 0]  # rounds as the norms of single vectors do
    i, j, k = faces.T
    ij, jk, ki = (number[which.reshape(-1)] + len(vertices)).reshape(-1, 3).astype(np.int32).T
    finer = np.stack([i, ij, ki, ij, j, jk, ki, jk, k, ij, jk, ki], axis=1).reshape(-1, 3)
    return np.concatenate([vertices, middles]), finer
