"""``activated``: SiLU, linear map and LayerNorm as one operation that keeps little for the backward pass,

    y = LN(W silu(z) + b),

worked through in blocks of rows that stay in a processor's cache. Kept are z, and mean and spread of each row. Hidden
and unnormalised values, two thirds of what automatic differentiation would keep, are computed again.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, silu

_CACHE_ROWS = 4096


def activated(values: Tensor, layer: nn.Linear, norm: nn.LayerNorm) -> Tensor:
    """y (…, out) of z (…, in); differentiable once. Where no gradient is computed, z is overwritten."""
    if not torch.is_grad_enabled():
        return _overwriting(values, layer, norm)
    if torch.is_autocast_enabled(values.device.type) or not values.is_floating_point():
        return norm(layer(silu(values))).to(values.dtype)
    return _Activated.apply(values, layer.weight, layer.bias, norm.weight, norm.bias, norm.eps)


def _overwriting(values: Tensor, layer: nn.Linear, norm: nn.LayerNorm) -> Tensor:
    """y (…, out), in the place of z where it has its width: no other memory is written but a block's."""
    if layer.out_features != layer.in_features or values.device.type != "cpu" or not values.is_contiguous():
        return norm(layer(silu(values, inplace=True))).to(values.dtype)
    rows = values.view(-1, values.shape[-1])
    for block in _blocks(rows):
        rows[block] = norm(layer(silu(rows[block], inplace=True)))
    return values


class _Activated(torch.autograd.Function):
    @staticmethod
    def forward(context, values, weight, bias, scale, shift, eps) -> Tensor:
        rows = values.reshape(-1, values.shape[-1])
        found = rows.new_empty(len(rows), len(weight))
        mean, rstd = (rows.new_empty(len(rows), 1) for _ in range(2))
        for block in _blocks(rows):
            y = linear(silu(rows[block]), weight, bias)
            out = {"out0": found[block], "out1": mean[block], "out2": rstd[block]}
            torch.ops.aten.native_layer_norm.out(y, list(scale.shape), scale, shift, eps, **out)
        context.save_for_backward(values, weight, bias, scale, shift, mean, rstd)
        return found.view(*values.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(context, gradient) -> tuple[Tensor | None, ...]:
        values, weight, bias, scale, shift, mean, rstd = context.saved_tensors
        rows, given = values.reshape(-1, values.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        of_rows = torch.empty_like(rows)
        of_weight, of_bias, of_scale, of_shift = (torch.zeros_like(p) for p in (weight, bias, scale, shift))
        for block in _blocks(rows):
            hidden = silu(rows[block])
            y, moments = linear(hidden, weight, bias), (mean[block], rstd[block])
            of_y, by_scale, by_shift = torch.ops.aten.native_layer_norm_backward(
                given[block].contiguous(), y, list(scale.shape), *moments, scale, shift, [True, True, True]
            )
            of_scale += by_scale
            of_shift += by_shift
            of_bias += of_y.sum(0)
            of_weight.addmm_(of_y.T, hidden)
            torch.ops.aten.silu_backward.grad_input(of_y @ weight, rows[block], grad_input=of_rows[block])
        return of_rows.view_as(values), of_weight, of_bias, of_scale, of_shift, None


def _blocks(rows: Tensor) -> Iterator[slice]:
    """Slices of rows: of a size for the cache on a processor, all of them on an accelerator."""
    size = _CACHE_ROWS if rows.device.type == "cpu" else max(1, len(rows))
    return (slice(first, first + size) for first in range(0, len(rows), size))
