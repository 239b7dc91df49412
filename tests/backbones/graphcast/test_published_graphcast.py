"""The published networks: numbers of weights, channels, nodes and edges."""

from dataclasses import replace

import pytest
import torch
from small_graphcast import globe

from rtma_diffda.backbones.graphcast.published import PUBLISHED, global_grid_of
from rtma_diffda.errors import InputError


@pytest.mark.parametrize(
    ("name", "weights", "entering", "leaving"),
    [
        ("GraphCast", 36_348_131, 471, 227),
        ("GraphCast_small", 35_979_347, 183, 83),
        ("GraphCast_operational", 35_977_299, 181, 83),
    ],
)
def test_numbers_of_weights_and_channels(name, weights, entering, leaving):
    """They do not depend on mesh and grid; weights without memory are enough to count them."""
    backbone = PUBLISHED[name].backbone
    small = replace(backbone, settings=replace(backbone.settings, mesh_size=0), grid=globe(30.0))
    assert (small.in_channels, small.out_channels) == (entering, leaving)
    assert len(small.graph.mesh_features) == 12
    with torch.device("meta"):
        network = small.network()
    assert sum(weight.numel() for weight in network.parameters()) == weights


def test_the_graph_of_one_degree():
    published = PUBLISHED["GraphCast_small"]
    graph = published.backbone.graph
    assert (len(graph.grid_features), len(graph.mesh_features)) == (65_160, 10_242)
    assert (len(graph.mesh), len(graph.mesh_to_grid)) == (81_900, 195_480)
    assert "GraphCast_small" in published.file and published.grid.shape == (181, 360)
    assert float(graph.mesh_to_grid.features[:, 0].max()) < 0.07  # in units of an edge fifteen times as long


def test_global_grids():
    assert global_grid_of(0.25).shape == (721, 1440) and global_grid_of(5.0).longitudes[-1] == 355.0
    with pytest.raises(InputError, match="must divide 180 degrees; found 7"):
        global_grid_of(7.0)
    with pytest.raises(InputError, match="must divide"):
        global_grid_of(0.0)
