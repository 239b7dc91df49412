"""Models of Neural-LAM 0.7.0, stored with its answers and gradients: ours must agree, however they are computed."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

DATA = Path(__file__).parent / "data"
FILES = sorted(DATA.glob("*.npz"))


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    """``validation/lam_parity.py`` as a module."""
    path = Path(__file__).parents[3] / "validation" / "lam_parity.py"
    spec = importlib.util.spec_from_file_location("lam_parity", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lam_parity"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def default_way(parity, monkeypatch) -> None:
    """Only the default way of computing, against the file."""
    monkeypatch.setattr(parity, "WAYS", {})


def failures(parity, case) -> set[str]:
    return {figure.quantity for figure in parity.figures(case) if figure.judged and not figure.ok}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_agrees_with_neural_lam(parity, path):
    figures = list(parity.figures(parity.Case.read(path)))
    assert not [figure for figure in figures if not figure.ok]
    quantities = {figure.quantity for figure in figures}
    assert {"mid/mesh_after_processor", "out/one_step", "out/rollout", "grad/loss"} <= quantities
    assert sum(quantity.startswith("grad/param/") for quantity in quantities) > 90
    assert all(f"{name}: grad/param" in quantities for name in parity.WAYS)


@pytest.mark.usefixtures("default_way")
def test_knows_limits_and_standard_deviations(parity):
    quantities = {figure.quantity for figure in parity.figures(parity.Case.read(DATA / "graph_lam_clamped.npz"))}
    assert {"limits against meta", "out/one_step_std", "out/rollout_std"} <= quantities


@pytest.mark.usefixtures("default_way")
def test_notices_another_aggregation(parity):
    case = parity.Case.read(DATA / "graph_lam_clamped.npz")
    changed = failures(parity, replace(case, meta={**case.meta, "mesh_aggr": "sum"}))
    assert {"mid/mesh_after_processor", "out/one_step", "grad/loss"} <= changed
    assert "mid/mesh_after_g2m" not in changed


@pytest.mark.usefixtures("default_way")
@pytest.mark.parametrize("option", ["g2m_gnn_type", "mesh_down_gnn_type"])
def test_notices_another_kind_of_message_passing(parity, option):
    case = parity.Case.read(DATA / "hi_lam_propagation.npz")
    changed = failures(parity, replace(case, meta={**case.meta, option: "InteractionNet"}))
    assert "out/one_step" in changed
    assert ("mid/mesh_after_g2m" in changed) == (option == "g2m_gnn_type")


@pytest.mark.usefixtures("default_way")
def test_notices_a_changed_weight_and_a_changed_limit(parity):
    case = parity.Case.read(DATA / "graph_lam_clamped.npz")
    for name in ("param/processor.module_0.edge_mlp.2.bias", "param/softplus_lower_lims"):
        arrays = {**case.arrays, name: case.arrays[name] + 0.1}
        assert "out/one_step" in failures(parity, replace(case, arrays=arrays))


@pytest.mark.usefixtures("default_way")
def test_arrays_that_it_does_not_know_are_told_but_not_judged(parity):
    case = parity.Case.read(DATA / "hi_lam_parallel.npz")
    figures = list(parity.figures(replace(case, arrays={**case.arrays, "mid/other": torch.zeros(2)})))
    assert [figure.quantity for figure in figures if not figure.judged] == ["mid/other: not understood"]


@pytest.mark.usefixtures("default_way")
def test_exit_status_and_summary(parity, capsys, tmp_path):
    assert parity.main([str(DATA / "hi_lam_parallel.npz")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("HiLAMParallel of hi_lam_parallel.npz: passed")
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(FILES[0].read_bytes()[:1000])
    assert parity.main([str(damaged)]) == 1
    assert "FAILED" in capsys.readouterr().out
