"""A backbone as plain values and back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from small_graphcast import small_backbone

from rtma_diffda.backbones.graphcast.config import (
    given_mesh_to_grid,
    graphcast_config,
    graphcast_from,
    graphcast_tensors,
)
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.grid import LatLonGrid


def through_yaml(backbone):
    return graphcast_from(yaml.safe_load(yaml.safe_dump(graphcast_config(backbone))), graphcast_tensors(backbone))


def test_a_backbone_comes_back():
    backbone = small_backbone(mesh2grid_edge_normalization_factor=0.618, hidden_layers=2)
    found = through_yaml(backbone)
    assert found == backbone and found.task.outputs == backbone.task.outputs
    assert found.graph.key == backbone.graph.key and not graphcast_tensors(backbone)


def test_uneven_rows_come_back_exactly():
    rows = np.sort(np.random.default_rng(0).uniform(-90, 90, 7))
    backbone = replace(small_backbone(), grid=LatLonGrid(rows, np.arange(6) * 60.0, periodic=True))
    assert np.array_equal(through_yaml(backbone).grid.latitudes, rows)


def test_edges_chosen_elsewhere_go_into_the_tensors():
    backbone = small_backbone()
    chosen = backbone.graph.mesh_to_grid.senders.view(-1, 3).flip(1)
    given = given_mesh_to_grid(backbone, chosen)
    found = through_yaml(given)
    assert found.graph.key == given.graph.key != backbone.graph.key
    assert given.on_grid(given.grid).stored is given.stored


def test_a_config_that_is_not_understood_is_refused():
    config = graphcast_config(small_backbone())
    with pytest.raises(InputError, match="of kind 'unet'"):
        graphcast_from(config | {"kind": "unet"}, {})
    with pytest.raises(InputError, match="incomplete"):
        graphcast_from({name: v for name, v in config.items() if name != "grid"}, {})
    with pytest.raises(InputError, match="incomplete"):
        graphcast_from(config | {"network": {"mesh_size": 1, "width": 3}}, {})
    with pytest.raises(UsageError):
        graphcast_from(config | {"network": config["network"] | {"latent_size": 0}}, {})
    with pytest.raises(InputError, match=r"expected \(220, 3\)"):
        graphcast_from(config, {"graph.mesh_to_grid": torch.zeros(4, 3, dtype=torch.int32)})
