"""Structural features: what a network is told of where nodes are and how edges run.

Of a node (3): sin of latitude, cos and sin of longitude. Of an edge (4): length and displacement, in a frame in which
its receiver lies at latitude and longitude zero,

    [|d|, d_x, d_y, d_z] / s,    d = R (x_sender − x_receiver),    R = R_y(latitude) R_z(−longitude) of the receiver,

with s the longest |d| of all, so that x is upward at the receiver, y eastward and z northward. Lengths are chords of
the unit sphere. References: Lam et al. (2023), arXiv 2212.12794, section 3.4; ``model_utils`` of the published code.
"""

from dataclasses import dataclass, field

import numpy as np

from rtma_diffda.backbones.graphcast.grid_edges import unit_positions
from rtma_diffda.errors import InputError

NODE_FEATURES, EDGE_FEATURES = 3, 4


@dataclass(frozen=True)
class Places:
    """Where nodes are.

    Attributes:
        latitude, longitude: (node,) float32 degrees.
    """

    latitude: np.ndarray = field(repr=False)
    longitude: np.ndarray = field(repr=False)

    @classmethod
    def of_positions(cls, positions: np.ndarray) -> "Places":
        """Of (node, 3) float32 positions on the unit sphere."""
        x, y, z = positions.T
        latitude = 90 - np.rad2deg(np.arccos(z))
        return cls(latitude.astype(np.float32), np.mod(np.rad2deg(np.arctan2(y, x)), 360).astype(np.float32))

    @classmethod
    def of_axes(cls, latitudes: np.ndarray, longitudes: np.ndarray) -> "Places":
        """Of the points of a grid, row by row."""
        longitude, latitude = np.meshgrid(longitudes.astype(np.float32), latitudes.astype(np.float32))
        return cls(latitude.reshape(-1), longitude.reshape(-1))

    @property
    def positions(self) -> np.ndarray:
        """(node, 3) float32 on the unit sphere."""
        return unit_positions(self.latitude, self.longitude)

    def node_features(self) -> np.ndarray:
        """(node, 3) float32."""
        phi, theta = np.deg2rad(self.longitude), np.deg2rad(90 - self.latitude)
        return np.stack([np.cos(theta), np.cos(phi), np.sin(phi)], axis=-1)


def edge_features(
    senders: Places, receivers: Places, edges: tuple[np.ndarray, np.ndarray], *, scale: float | None = None
) -> np.ndarray:
    """(edge, 4) float32 features of edges.

    Args:
        senders, receivers: where the nodes of both sets are.
        edges: index of sender and receiver of each edge, (edge,) each.
        scale: s; None: the longest of these edges.

    Raises:
        InputError: there is no edge, or none with a length.
    """
    displacement = _displacements(senders, receivers, edges)
    length = np.linalg.norm(displacement, axis=-1, keepdims=True)
    longest = float(length.max(initial=0.0)) if scale is None else scale
    if not longest > 0:
        raise InputError(f"there are {len(length)} edges, none with a length: the grid and the mesh do not meet")
    return (np.concatenate([length, displacement], axis=-1) / longest).astype(np.float32)


def _displacements(senders: Places, receivers: Places, edges: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(edge, 3) float64 d of each edge."""
    sent_from, received_at = edges
    phi = np.deg2rad(receivers.longitude).astype(np.float64)[received_at]
    tilt = np.pi / 2 - np.deg2rad(90 - receivers.latitude).astype(np.float64)[received_at]
    x, y, z = (senders.positions.astype(np.float64)[sent_from] - receivers.positions.astype(np.float64)[received_at]).T
    outward, eastward = np.cos(phi) * x + np.sin(phi) * y, np.cos(phi) * y - np.sin(phi) * x
    upward, northward = np.cos(tilt) * outward + np.sin(tilt) * z, np.cos(tilt) * z - np.sin(tilt) * outward
    return np.stack([upward, eastward, northward], axis=-1)
