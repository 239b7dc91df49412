"""``Perceptron``: linear, (SiLU, linear) …, LayerNorm; the norm's scale and shift may depend on the noise level.

    y = LN(W_k … SiLU(W_0 x + b_0) … + b_k) · (1 + γ(σ)) + β(σ)

γ and β begin at zero, so that weights trained without a noise level keep their meaning. Names of the weights are those
of a sequence with the activations counted (``0.weight``, ``2.weight``, ``3.weight``), as Neural-LAM has them.
References: Oskarsson et al. (2023), arXiv 2309.17370; Price et al. (2023), arXiv 2312.15796 (conditional norm).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from rtma_diffda.backbones.limited_area.activated import activated
from rtma_diffda.backbones.noise_level import zeroed


class Perceptron(nn.Module):
    """Layers of one width.

    Args:
        entering: width of the input, or of the parts it is put together from.
        width: of the hidden layers.
        leaving: width of the output; None: ``width``.
        hidden_layers: between input and output.
        normalised: whether a LayerNorm ends it.
        noise_width: width of the embedded noise level; None: not told one.
    """

    def __init__(
        self,
        entering: int,
        width: int,
        leaving: int | None = None,
        *,
        hidden_layers: int = 1,
        normalised: bool = True,
        noise_width: int | None = None,
    ) -> None:
        super().__init__()
        widths = [entering, *[width] * hidden_layers, width if leaving is None else leaving]
        self._linears = [str(2 * i) for i in range(hidden_layers + 1)]
        for name, before, after in zip(self._linears, widths[:-1], widths[1:], strict=True):
            self.add_module(name, nn.Linear(before, after))
        self._norm = str(2 * hidden_layers + 1) if normalised else None
        if self._norm is not None:
            self.add_module(self._norm, nn.LayerNorm(widths[-1]))
        conditional = noise_width is not None and normalised
        self.film = zeroed(nn.Linear(noise_width, 2 * widths[-1])) if conditional else None

    @property
    def first(self) -> nn.Linear:
        """The layer that the input enters."""
        return self.get_submodule(self._linears[0])

    @property
    def last(self) -> nn.Linear:
        """The layer before the norm, or that gives the output where there is none."""
        return self.get_submodule(self._linears[-1])

    def forward(self, values: Tensor, noise: Tensor | None = None) -> Tensor:
        """(…, member, entering) → (…, member, leaving), told ``noise`` (member, noise width)."""
        return self.after_first(self.first(values), noise)

    def of_parts(self, parts: Sequence[Tensor], noise: Tensor | None = None, *, split: bool = True) -> Tensor:
        """As ``forward`` of the parts side by side; ``split`` multiplies each by its own columns of the first layer."""
        if not split:
            shape = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
            return self.forward(torch.cat([part.expand(*shape, -1) for part in parts], dim=-1), noise)
        weights = self.first.weight.split([part.shape[-1] for part in parts], dim=1)
        biases = (self.first.bias, *[None] * (len(parts) - 1))
        terms = [linear(part, w, b) for part, w, b in zip(parts, weights, biases, strict=True)]
        return self.after_first(sum(terms[1:], terms[0]), noise)

    def after_first(self, values: Tensor, noise: Tensor | None = None) -> Tensor:
        """What follows the first layer's answer."""
        *between, last = self._linears[1:] or [None]
        for name in between:
            values = self.get_submodule(name)(silu(values))
        if self._norm is None:
            return values if last is None else self.get_submodule(last)(silu(values))
        norm = self.get_submodule(self._norm)
        normed = norm(values) if last is None else activated(values, self.get_submodule(last), norm)
        normed = normed.to(values.dtype)  # float32 would double messages in bfloat16
        if self.film is None or noise is None:
            return normed
        scale, shift = self.film(noise).to(values.dtype).chunk(2, dim=-1)
        return torch.addcmul(shift, normed, 1.0 + scale)
