"""The published network with random weights, stored with its answers: ours must agree, and a change must be noticed."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

VALIDATION = Path(__file__).parents[3] / "validation"


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    """``validation/graphcast_parity.py`` as a module, with only the default way of computing."""
    for name in ("graphcast_case", "graphcast_parity"):
        spec = importlib.util.spec_from_file_location(name, VALIDATION / f"{name}.py")
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    module.WAYS = {}
    return module


@pytest.fixture(scope="module")
def case(parity, shared):
    directory = shared / "fixtures" / "graphcast"
    if not directory.is_dir():
        pytest.skip("needs ../shared/fixtures/graphcast, which is not here")
    return parity.Case.read(directory)


def test_agrees_with_the_published_code(parity, case):
    found = list(parity.figures(case))
    assert not [figure for figure in found if not figure.ok]
    quantities = {figure.quantity for figure in found}
    assert {"raw_output", "rollout, states", "loss_3step", "latents/mesh_latent_processor"} <= quantities
    assert sum(quantity.startswith("gradients") for quantity in quantities) == 110


@pytest.mark.parametrize(
    ("changed", "noticed"),
    [
        ({"mesh2grid_edge_normalization_factor": 0.6180338738074472}, {"raw_output", "graph/mesh2grid_edge_features"}),
        ({"radius_query_fraction_edge_length": 0.7}, {"raw_output", "latents/mesh_latent_encoder"}),
    ],
)
def test_notices_another_graph(parity, case, changed, noticed):
    stored = replace(case.stored, model_config={**case.stored.model_config, **changed})
    other = parity.Case(case.directory, stored, case.info, case.graph, case.latents)
    found = [*parity.edge_figures(other), *parity.latent_figures(other), *parity.answer_figures(other)]
    assert noticed <= {figure.quantity for figure in found if not figure.ok}


def test_notices_edges_chosen_otherwise(parity, case):
    """One point in the face of its neighbour."""
    senders = case.graph["mesh2grid_senders"].copy().reshape(-1, 3)
    point = int((senders[1:] != senders[:-1]).all(axis=1).nonzero()[0][0])
    senders[point] = senders[point + 1]
    other = parity.Case(
        case.directory, case.stored, case.info, {**case.graph, "mesh2grid_senders": senders.ravel()}, case.latents
    )
    assert "raw_output" in {figure.quantity for figure in parity.answer_figures(other) if not figure.ok}


def test_a_directory_without_files_is_explained(parity, tmp_path, capsys):
    assert parity.main([str(tmp_path)]) == 1
    assert "cannot be judged" in capsys.readouterr().out


def test_the_table_ends_in_a_verdict(parity, capsys):
    good = parity.Figure("gradients, 1 step/a", 3, 1e-9, 1e-4)
    parity.print_table([good, replace(good, quantity="raw_output", difference=1.0)], everything=False)
    printed = capsys.readouterr().out
    assert "gradients, 1 step/*, nearest to its limit" in printed and " NO" in printed
