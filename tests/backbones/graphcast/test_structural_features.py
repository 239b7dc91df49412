"""Structural features: known answers, and that they do not depend on where east begins."""

import numpy as np
import pytest

from rtma_diffda.backbones.graphcast.structural_features import Places, edge_features
from rtma_diffda.errors import InputError

ONE_EDGE = (np.array([0]), np.array([0]))


def at(latitude: float, longitude: float) -> Places:
    return Places(np.float32([latitude]), np.float32([longitude]))


def test_features_of_nodes():
    found = at(30.0, 90.0).node_features()
    assert found.dtype == np.float32 and np.allclose(found, [[0.5, 0.0, 1.0]], atol=1e-7)


def test_places_of_positions_and_back():
    places = Places.of_positions(np.float32([[0, -1, 0], [0, 0, 1], [1, 0, 0]]))
    assert np.allclose(places.latitude, [0, 90, 0], atol=1e-5) and np.allclose(places.longitude, [270, 0, 0])
    assert np.allclose(places.positions[0], [0, -1, 0], atol=1e-7)


def test_places_of_a_grid_go_row_by_row():
    places = Places.of_axes(np.array([-10.0, 10.0]), np.array([0.0, 120.0, 240.0]))
    assert places.latitude.tolist() == [-10] * 3 + [10] * 3 and places.longitude.tolist() == [0, 120, 240] * 2


@pytest.mark.parametrize(("latitude", "longitude"), [(0.0, 0.0), (40.0, 200.0), (-75.0, 10.0)])
def test_the_receiver_looks_up_east_and_north(latitude, longitude):
    """A sender to the north of the receiver: no displacement eastward, northward the sine, upward 1 − cosine, less."""
    angle = np.deg2rad(3.0)
    ((length, upward, eastward, northward),) = edge_features(
        at(latitude + 3.0, longitude), at(latitude, longitude), ONE_EDGE, scale=1.0
    )
    assert northward == pytest.approx(np.sin(angle), abs=3e-7) and abs(eastward) < 3e-7
    assert upward == pytest.approx(np.cos(angle) - 1.0, abs=3e-7)
    assert length == pytest.approx(2 * np.sin(angle / 2), abs=3e-7)


def test_a_sender_to_the_east_on_the_equator():
    ((_, upward, eastward, northward),) = edge_features(at(0.0, 100.0), at(0.0, 90.0), ONE_EDGE, scale=1.0)
    assert eastward == pytest.approx(np.sin(np.deg2rad(10.0)), abs=3e-7) and abs(northward) < 3e-7
    assert upward == pytest.approx(np.cos(np.deg2rad(10.0)) - 1.0, abs=3e-7)


def test_only_relative_longitudes_count():
    generator = np.random.default_rng(0)
    latitudes, longitudes = generator.uniform(-80, 80, (2, 50)), generator.uniform(0, 300, (2, 50))
    everyone = (np.arange(50), np.arange(50))

    def features(shift: float) -> np.ndarray:
        sets = (Places(np.float32(a), np.float32(b + shift)) for a, b in zip(latitudes, longitudes, strict=True))
        return edge_features(*sets, everyone)

    assert np.allclose(features(0.0), features(37.0), atol=1e-6)


def test_the_longest_edge_is_the_unit_unless_one_is_given():
    places = Places(np.float32([0, 10, 30]), np.float32([0, 0, 0]))
    edges = (np.array([1, 2]), np.array([0, 0]))
    found = edge_features(places, places, edges)
    assert found[1, 0] == 1.0 and found[0, 0] == pytest.approx(np.sin(np.deg2rad(5)) / np.sin(np.deg2rad(15)), rel=1e-6)
    given = edge_features(places, places, edges, scale=0.25)
    assert np.allclose(given, found * (2 * np.sin(np.deg2rad(15)) / 0.25), rtol=1e-5, atol=1e-7)


def test_edges_without_a_length_are_refused():
    with pytest.raises(InputError, match="1 edges, none with a length"):
        edge_features(at(0.0, 0.0), at(0.0, 0.0), ONE_EDGE)
