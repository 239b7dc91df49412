"""Published weights and configurations as ours, and back."""

import numpy as np
import pytest
import torch
from small_graphcast import small_backbone, small_graphcast, small_settings, small_task

from rtma_diffda.backbones.graphcast.deepmind import (
    from_deepmind,
    model_config_of,
    published_names,
    settings_from,
    task_config_of,
    task_from,
    to_deepmind,
)
from rtma_diffda.backbones.graphcast.published import PUBLISHED
from rtma_diffda.errors import InputError

SETTINGS = small_settings(hidden_layers=2)


@pytest.fixture(scope="module")
def state():
    return small_graphcast(small_backbone(hidden_layers=2)).state_dict()


def test_every_weight_has_one_published_name(state):
    names = published_names(SETTINGS)
    assert set(names) == set(state) and len(set(names.values())) == len(names)


def test_a_published_network_has_262_arrays_in_131_modules():
    names = published_names(PUBLISHED["GraphCast"].settings).values()
    assert len(names) == 262 and len({module for module, _ in names}) == 131
    assert ("mesh_gnn/~_networks_builder/processor_edges_15_mesh_mlp/~/linear_1", "w") in names
    assert ("mesh2grid_gnn/~_networks_builder/decoder_nodes_grid_nodes_layer_norm", "scale") not in names


def test_weights_go_there_and_back(state):
    params = to_deepmind(state, SETTINGS)
    found = from_deepmind(params, SETTINGS)
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def test_linear_weights_are_transposed_and_widths_are_the_published_ones(state):
    params, net = to_deepmind(state, SETTINGS), "grid2mesh_gnn/~_networks_builder/"
    entering = len(small_task().inputs) + 3
    first = params[f"{net}encoder_nodes_mesh_nodes_mlp/~/linear_0", "w"]
    assert first.shape == (entering, 8)
    assert np.array_equal(first, state["mesh_embedder.0.weight"].numpy().T)
    assert params[f"{net}processor_edges_0_grid2mesh_mlp/~/linear_0", "w"].shape == (24, 8)
    assert params[f"{net}processor_nodes_0_grid_nodes_mlp/~/linear_0", "w"].shape == (8, 8)
    assert params["mesh_gnn/~_networks_builder/encoder_edges_mesh_mlp/~/linear_0", "w"].shape == (4, 8)
    assert np.array_equal(params[f"{net}encoder_nodes_grid_nodes_layer_norm", "scale"], state["grid_embedder.5.weight"])


def test_weights_that_do_not_fit_are_refused(state):
    params = to_deepmind(state, SETTINGS)
    with pytest.raises(InputError, match=r"1 steps and 2 hidden layers: 0 are missing, 16 are not known"):
        from_deepmind(params, small_settings(hidden_layers=2, message_steps=1))
    params.popitem()
    with pytest.raises(InputError, match="1 are missing"):
        from_deepmind(params, SETTINGS)
    with pytest.raises(InputError, match="are missing, the first is"):
        to_deepmind({}, SETTINGS)


@pytest.mark.parametrize("factor", [None, 0.25])
def test_configurations_go_there_and_back(factor):
    settings = small_settings(mesh2grid_edge_normalization_factor=factor, radius_fraction=0.75)
    config = model_config_of(settings, resolution=18.0)
    assert settings_from(config) == settings and ("mesh2grid_edge_normalization_factor" in config) == (
        factor is not None
    )
    task = small_task(precipitation_input=False)
    assert task_from(task_config_of(task)) == task


def test_incomplete_configurations_are_refused():
    with pytest.raises(InputError, match=r"model_config .* lacks something: KeyError\('gnn_msg_steps'\)"):
        settings_from({"mesh_size": 1, "latent_size": 8})
    config = task_config_of(small_task())
    with pytest.raises(InputError, match="lacks something"):
        task_from({name: value for name, value in config.items() if name != "pressure_levels"})
    with pytest.raises(InputError, match="not known: snow"):
        task_from(config | {"target_variables": ("snow",)})
