"""The icosahedral mesh: published vertices, counts and edge lengths, and how levels hang together."""

import numpy as np
import pytest

from rtma_diffda.backbones.graphcast.mesh import IcosahedralMesh, edges_of


@pytest.mark.parametrize(("level", "nodes", "edges"), [(0, 12, 60), (1, 42, 300), (2, 162, 1260), (5, 10242, 81900)])
def test_counts(level, nodes, edges):
    mesh = IcosahedralMesh.refined(level)
    assert len(mesh.vertices) == nodes == 10 * 4**level + 2
    assert [len(faces) for faces in mesh.levels] == [20 * 4**k for k in range(level + 1)]
    assert len(mesh.multi_mesh_edges[0]) == edges == 20 * (4 ** (level + 1) - 1)


@pytest.mark.parametrize(
    ("level", "longest", "shortest"),
    [(0, 1.05146, 1.05146), (1, 0.618034, 0.546533), (2, 0.324920, 0.275904), (5, 0.0413373, 0.0345966)],
)
def test_edge_lengths(level, longest, shortest):
    mesh = IcosahedralMesh.refined(level)
    senders, receivers = edges_of(mesh.faces)
    lengths = np.linalg.norm(mesh.vertices[senders] - mesh.vertices[receivers], axis=1)
    assert lengths.max() == mesh.longest_edge == pytest.approx(longest, rel=3e-6)
    assert lengths.min() == pytest.approx(shortest, rel=3e-6)


def test_first_vertices_are_the_published_ones():
    mesh = IcosahedralMesh.refined(0)
    assert mesh.vertices.dtype == np.float32
    assert np.allclose(mesh.vertices[0], (0.49112344, 0.8506508, 0.18759246), atol=1e-7)
    assert np.allclose(mesh.vertices[2], (0.607062, 0.0, 0.7946544), atol=1e-7)


def test_a_face_lies_on_top():
    mesh = IcosahedralMesh.refined(0)
    heights = np.sort(mesh.vertices[mesh.faces, 2].mean(axis=1))
    top = mesh.vertices[mesh.faces[mesh.vertices[mesh.faces, 2].mean(axis=1).argmax()], 2]
    assert np.ptp(top) < 1e-6 and heights[-1] > heights[-2] + 0.1


@pytest.mark.parametrize("level", [0, 3])
def test_faces_are_counter_clockwise_and_cover_the_sphere_once(level):
    mesh = IcosahedralMesh.refined(level)
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(float) for i in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    assert (volume > 0).all()
    solid_angle = 2 * np.arctan2(volume, 1 + np.einsum("ij,ij->i", a, b) + (b * c).sum(1) + (c * a).sum(1))
    assert solid_angle.sum() == pytest.approx(4 * np.pi, rel=1e-6)
    assert np.allclose(np.linalg.norm(mesh.vertices, axis=1), 1.0, atol=2e-7)


def test_vertices_keep_their_numbers_and_every_edge_runs_both_ways():
    coarse, fine = IcosahedralMesh.refined(2), IcosahedralMesh.refined(3)
    assert np.array_equal(coarse.vertices, fine.vertices[: len(coarse.vertices)])
    assert all(np.array_equal(a, b) for a, b in zip(coarse.levels, fine.levels[:3], strict=True))
    senders, receivers = fine.multi_mesh_edges
    forth, back = (set(zip(*ends, strict=True)) for ends in ((senders, receivers), (receivers, senders)))
    assert forth == back and (senders != receivers).all()


def test_new_vertices_are_numbered_as_edges_are_met():
    """The first face (0, 1, 2) of the icosahedron: midpoints 12, 13, 14 of its edges, and four faces of them."""
    mesh = IcosahedralMesh.refined(1)
    assert mesh.faces[:4].tolist() == [[0, 12, 14], [12, 1, 13], [14, 13, 2], [12, 13, 14]]
    middle = mesh.vertices[0].astype(float) + mesh.vertices[1]
    assert np.allclose(mesh.vertices[12], middle / np.linalg.norm(middle), atol=1e-7)


def test_edges_are_listed_corner_by_corner():
    senders, receivers = edges_of(np.array([[1, 2, 3], [4, 5, 6]]))
    assert senders.tolist() == [1, 4, 2, 5, 3, 6] and receivers.tolist() == [2, 5, 3, 6, 1, 4]
