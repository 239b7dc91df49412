"""The arithmetic that ``validation/benchmarks/graphcast.py`` divides times by, against the published architecture."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from small_graphcast import small_backbone

from rtma_diffda.backbones.graphcast.published import PUBLISHED

PATH = Path(__file__).parents[3] / "validation" / "benchmarks" / "graphcast_cost.py"


@pytest.fixture(scope="module")
def cost_of():
    spec = importlib.util.spec_from_file_location("graphcast_cost", PATH)
    sys.modules["graphcast_cost"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.cost_of


def test_a_step_at_one_degree(cost_of):
    """4.1 TFLOP: encoder 0.41, processor 3.05, decoder 0.66."""
    cost = cost_of(PUBLISHED["GraphCast_small"].backbone)
    assert cost.published == pytest.approx(4.11e12, rel=2e-3) and 0.5 < cost.saved / cost.published < 0.6


def test_another_step_costs_as_much_as_its_layers(cost_of):
    backbone = small_backbone()
    more = replace(backbone, settings=replace(backbone.settings, message_steps=3))
    edges, nodes, square = 300, 42, 64
    assert cost_of(more).published - cost_of(backbone).published == 2 * (edges * 4 + nodes * 3) * square
    assert cost_of(more).saved - cost_of(backbone).saved == 2 * (edges * 2 + nodes * (3 + 2)) * square
