"""Files of the published code: what is read, what is written, and what is refused."""

import numpy as np
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.io.deepmind_checkpoint import (
    DeepMindCheckpoint,
    is_deepmind_checkpoint,
    read_deepmind_checkpoint,
    write_deepmind_checkpoint,
)

MODULE = "grid2mesh_gnn/~_networks_builder/encoder_nodes_grid_nodes_mlp/~/linear_0"
ARRAYS = {
    f"params:{MODULE}:w": np.arange(6, dtype=np.float32).reshape(2, 3),
    f"params:{MODULE}:b": np.zeros(3, np.float32),
    "model_config:mesh_size": np.array(2),
    "model_config:radius_query_fraction_edge_length": np.array(0.6),
    **{f"task_config:pressure_levels:{i}": np.array(50 * (i + 1)) for i in reversed(range(12))},
    "task_config:input_duration": np.array("12h"),
    "description": np.array("a network"),
    "license": np.array("a licence"),
}


def written(path, arrays):
    np.savez(path, **arrays)
    return path


def test_a_file_is_read(tmp_path):
    found = read_deepmind_checkpoint(written(tmp_path / "net.npz", ARRAYS))
    assert np.array_equal(found.params[MODULE, "w"], ARRAYS[f"params:{MODULE}:w"]) and found.parameters == 9
    assert found.model_config == {"mesh_size": 2, "radius_query_fraction_edge_length": 0.6}
    assert found.task_config["input_duration"] == "12h"
    assert found.task_config["pressure_levels"] == tuple(range(50, 601, 50))  # sorted as numbers, not as text
    assert (found.description, found.license) == ("a network", "a licence")


def test_a_file_is_written_as_it_was_read(tmp_path):
    first = written(tmp_path / "net.npz", ARRAYS)
    second = write_deepmind_checkpoint(tmp_path / "again.npz", read_deepmind_checkpoint(first))
    with np.load(first) as expected, np.load(second) as found:
        assert set(found.files) == set(expected.files)
        for name in expected.files:
            assert np.array_equal(found[name], expected[name]) and found[name].shape == expected[name].shape


def test_lists_of_one_and_of_none(tmp_path):
    one = DeepMindCheckpoint({(MODULE, "b"): np.zeros(1, np.float32)}, {"mesh_size": 1}, {"levels": (5,), "none": ()})
    found = read_deepmind_checkpoint(write_deepmind_checkpoint(tmp_path / "net.npz", one))
    assert found.task_config == {"levels": (5,)}


@pytest.mark.parametrize("part", ["params", "model_config", "task_config"])
def test_a_file_without_a_part_is_refused(tmp_path, part):
    rest = {name: values for name, values in ARRAYS.items() if not name.startswith(part)}
    with pytest.raises(InputError, match=f"has no arrays '{part}:"):
        read_deepmind_checkpoint(written(tmp_path / "net.npz", rest))


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_deepmind_checkpoint(tmp_path / "net.npz")
    damaged = written(tmp_path / "net.npz", ARRAYS)
    damaged.write_bytes(damaged.read_bytes()[:-200])
    with pytest.raises(InputError, match="cannot be read"):
        read_deepmind_checkpoint(damaged)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="cannot be read"):
        read_deepmind_checkpoint(tmp_path / "text.npz")


def test_objects_are_not_unpickled(tmp_path):
    path = written(tmp_path / "net.npz", {**ARRAYS, "params:module:w": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(InputError, match="cannot be read"):
        read_deepmind_checkpoint(path)


@pytest.mark.parametrize("wrong", [np.full(3, np.nan, np.float32), np.array(["a"])])
def test_weights_that_are_no_numbers_are_refused(tmp_path, wrong):
    with pytest.raises(InputError, match="is not finite everywhere"):
        read_deepmind_checkpoint(written(tmp_path / "net.npz", {**ARRAYS, f"params:{MODULE}:b": wrong}))


def test_files_are_told_from_directories(tmp_path):
    assert is_deepmind_checkpoint(tmp_path / "net.npz") and not is_deepmind_checkpoint(tmp_path)
    (tmp_path / "directory.npz").mkdir()
    assert not is_deepmind_checkpoint(tmp_path / "directory.npz")


def test_the_fixture_is_read(shared):
    path = shared / "fixtures" / "graphcast" / "checkpoint.npz"
    if not path.is_file():
        pytest.skip("needs ../shared/fixtures/graphcast, which is not here")
    found = read_deepmind_checkpoint(path)
    assert found.parameters == 59_630 and found.model_config["latent_size"] == 32
    assert found.task_config["pressure_levels"] == (250, 500, 850)
