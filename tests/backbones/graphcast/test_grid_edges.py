"""Edges between grid and mesh, against a search without trees, and published counts."""

import numpy as np
import pytest
from small_graphcast import globe

from rtma_diffda.backbones.graphcast.grid_edges import (
    containing_faces,
    containing_margin,
    edges_within,
    face_edges,
    unit_positions,
)
from rtma_diffda.backbones.graphcast.mesh import IcosahedralMesh
from rtma_diffda.backbones.graphcast.structural_features import Places
from rtma_diffda.errors import InputError

MESH = IcosahedralMesh.refined(2)


def positions(spacing: float = 10.0) -> np.ndarray:
    grid = globe(spacing)
    return Places.of_axes(grid.latitudes, grid.longitudes).positions


def test_positions_of_degrees():
    found = unit_positions(np.float32([0, 90, 0]), np.float32([0, 0, 90]))
    assert found.dtype == np.float32
    assert np.allclose(found, np.eye(3)[[0, 2, 1]], atol=1e-7)


@pytest.mark.parametrize("fraction", [0.6, 1.0])
def test_pairs_within_the_radius_are_all_found(fraction):
    points = positions()
    senders, receivers = edges_within(points, MESH, fraction)
    distances = np.linalg.norm(points[:, None].astype(float) - MESH.vertices[None], axis=-1)
    near = distances <= float(MESH.longest_edge * np.float32(fraction))
    assert set(zip(senders, receivers, strict=True)) == set(zip(*np.nonzero(near), strict=True))
    assert (np.diff(senders) >= 0).all() and len(senders) == near.sum()


def test_one_degree_has_the_published_number_of_edges():
    grid, mesh = globe(1.0), IcosahedralMesh.refined(5)
    places = Places.of_axes(grid.latitudes, grid.longitudes)
    assert len(edges_within(places.positions, mesh, 0.6)[0]) == 101_892


@pytest.mark.slow
def test_a_quarter_degree_has_the_published_number_of_edges():
    grid, mesh = globe(0.25), IcosahedralMesh.refined(6)
    points = Places.of_axes(grid.latitudes, grid.longitudes).positions
    assert len(edges_within(points, mesh, 0.5999912857713345)[0]) == 1_618_745
    assert containing_margin(points, containing_faces(points, mesh), mesh).min() > -1e-6


@pytest.mark.parametrize("level", [0, 1, 3])
def test_faces_contain_their_points(level):
    mesh, points = IcosahedralMesh.refined(level), positions(7.5)
    assert containing_margin(points, containing_faces(points, mesh), mesh).min() >= -1e-6


def test_middles_of_faces_lie_in_them_and_corners_in_one_of_theirs():
    corners = MESH.vertices.astype(float)[MESH.faces]
    middles = corners.mean(axis=1)
    assert np.array_equal(
        containing_faces(middles / np.linalg.norm(middles, axis=1)[:, None], MESH), range(len(middles))
    )
    at_vertices = MESH.faces[containing_faces(MESH.vertices, MESH)]
    assert (at_vertices == np.arange(len(MESH.vertices))[:, None]).any(axis=1).all()


def test_ties_go_to_the_face_of_the_highest_number():
    """A vertex lies in five or six faces."""
    chosen = containing_faces(MESH.vertices, MESH)
    highest = [np.nonzero((MESH.faces == vertex).any(axis=1))[0].max() for vertex in range(len(MESH.vertices))]
    assert np.array_equal(chosen, highest)


def test_edges_of_faces_are_three_consecutive_ones_a_point():
    senders, receivers = face_edges(np.array([5, 0]), MESH)
    assert senders.tolist() == [*MESH.faces[5], *MESH.faces[0]] and receivers.tolist() == [0, 0, 0, 1, 1, 1]


def test_positions_must_be_finite():
    with pytest.raises(InputError, match="must be finite"):
        containing_faces(np.full((1, 3), np.nan), MESH)
