"""SiLU, linear map and LayerNorm as one operation, against the three one after another."""

import pytest
import torch
from torch import nn
from torch.nn.functional import silu

from rtma_diffda.backbones.limited_area import activated as module
from rtma_diffda.backbones.limited_area.activated import activated


def parts(entering: int = 5, leaving: int = 7) -> tuple[nn.Linear, nn.LayerNorm]:
    torch.manual_seed(0)
    layer, norm = nn.Linear(entering, leaving).double(), nn.LayerNorm(leaving).double()
    with torch.no_grad():
        norm.weight.add_(torch.randn(leaving))
        norm.bias.add_(torch.randn(leaving))
    return layer, norm


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_values_and_gradients_equal_those_of_the_parts(monkeypatch, rows):
    monkeypatch.setattr(module, "_CACHE_ROWS", rows)
    layer, norm = parts()
    values = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 4, 7, dtype=torch.float64)
    leaves = [values, *layer.parameters(), *norm.parameters()]
    expected, found = norm(layer(silu(values))), activated(values, layer, norm)
    assert torch.allclose(found, expected, rtol=0.0, atol=1e-12)
    for a, b in zip(
        torch.autograd.grad((found * weights).sum(), leaves),
        torch.autograd.grad((expected * weights).sum(), leaves),
        strict=True,
    ):
        assert torch.allclose(a, b, rtol=0.0, atol=1e-11)


def test_gradients_against_differences():
    layer, norm = parts()
    values = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z, *_: activated(z, layer, norm), (values, layer.weight, norm.weight))


def test_keeps_its_input_and_the_moments_of_rows_for_the_backward_pass():
    layer, norm = parts()
    values, kept = torch.randn(100, 5, dtype=torch.float64, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        activated(values, layer, norm)
    assert [shape for shape in kept if 100 in shape] == [values.shape, (100, 1), (100, 1)]


def test_lower_precision_stays_as_automatic_precision_wants_it():
    layer, norm = (part.float() for part in parts())
    values = torch.randn(6, 5).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert activated(values, layer, norm).dtype == torch.bfloat16


@pytest.mark.parametrize("leaving", [5, 7])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_without_gradients_it_may_overwrite_its_input_and_answers_the_same(monkeypatch, rows, leaving):
    monkeypatch.setattr(module, "_CACHE_ROWS", rows)
    layer, norm = parts(5, leaving)
    values = torch.randn(3, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        expected = norm(layer(silu(values)))
        for given in (values.clone(), values.transpose(0, 1).clone().transpose(0, 1)):
            assert torch.allclose(activated(given, layer, norm), expected, rtol=0.0, atol=1e-12)
        assert activated(values[:0].clone(), layer, norm).shape == (0, 4, leaving)
