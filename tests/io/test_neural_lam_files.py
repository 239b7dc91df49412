"""Directories of stored graphs: both formats, missing and damaged files, and files that would run code."""

import pickle

import pytest
import torch
from backbones.limited_area.neural_lam_samples import drawn

from rtma_diffda.errors import InputError
from rtma_diffda.io.neural_lam_graph import read_neural_lam_graph


@pytest.fixture
def directory(tmp_path):
    for name, values in drawn().items():
        torch.save(values, tmp_path / f"{name}.pt")
    (tmp_path / "metainfo.yaml").write_text("spec_version: 0.1.0\ncreated_by: a test\n")
    return tmp_path


def test_tensors_and_version_come_back(directory):
    tensors, version = read_neural_lam_graph(directory)
    assert version == "0.1.0" and set(tensors) == set(drawn())
    for name, expected in drawn().items():
        found = tensors[name]
        assert isinstance(found, list) == isinstance(expected, list)
        pairs = zip(found, expected, strict=True) if isinstance(found, list) else [(found, expected)]
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_directory_without_version_is_older_and_flat_graphs_have_no_edges_between_levels(directory):
    (directory / "metainfo.yaml").unlink()
    for path in directory.glob("mesh_*_*.pt"):
        path.unlink()
    tensors, version = read_neural_lam_graph(directory)
    assert version == "legacy"
    assert set(tensors) == {name for name in drawn() if not name.startswith(("mesh_up", "mesh_down"))}


def test_missing_and_damaged_files_are_named(directory):
    (directory / "m2g_features.pt").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"m2g_features.pt is damaged"):
        read_neural_lam_graph(directory)
    (directory / "m2g_features.pt").unlink()
    with pytest.raises(InputError, match=r"m2g_features.pt does not exist"):
        read_neural_lam_graph(directory)


def test_a_file_of_the_wrong_kind_is_refused(directory):
    torch.save(drawn()["g2m_features"], directory / "m2m_features.pt")
    with pytest.raises(InputError, match="holds a Tensor; expected a list of tensors, one a mesh level"):
        read_neural_lam_graph(directory)
    torch.save(drawn()["m2m_features"], directory / "m2m_features.pt")
    torch.save(drawn()["m2m_features"], directory / "g2m_features.pt")
    with pytest.raises(InputError, match=r"g2m_features.pt holds a list; expected one tensor"):
        read_neural_lam_graph(directory)


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_no_code_from_a_file_is_run(directory):
    mark = directory / "ran"
    torch.save(Trap(mark), directory / "mesh_features.pt")
    with pytest.raises(InputError, match="holds more than tensors"):
        read_neural_lam_graph(directory)
    (directory / "mesh_features.pt").write_bytes(pickle.dumps(Trap(mark), protocol=2))
    with pytest.raises(InputError, match="holds more than tensors"):
        read_neural_lam_graph(directory)
    assert not mark.exists()


@pytest.mark.parametrize("text", ["", "created_by: x", "[1, 2]", "{broken"])
def test_a_version_that_cannot_be_read_is_refused(directory, text):
    (directory / "metainfo.yaml").write_text(text)
    with pytest.raises(InputError, match="states no spec_version"):
        read_neural_lam_graph(directory)
