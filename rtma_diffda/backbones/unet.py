"""A U-Net for fields: (member, channels, y, x) → (member, out, y, x), deterministic or told a noise level.

A patch of p × p points enters as one vector (space to depth), is seen at ever coarser resolutions by residual blocks,

    x ← skip(x) + conv(SiLU(film(norm(conv(SiLU(norm(x))))))),        film(h) = h · (1 + γ(σ)) + β(σ),

and comes back by nearest upsampling with the finer features beside it. The last convolution, and γ and β, begin at
zero: an untrained network returns 0 and does not look at its noise level, so what is added to its output stands.
References: Ronneberger et al. (2015); Perez et al. (2018) for film; Karras et al. (2022) for features of log σ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, pixel_shuffle, pixel_unshuffle, silu
from torch.utils.checkpoint import checkpoint

from rtma_diffda.backbones.noise_level import NoiseLevelEmbedding, zeroed
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid


@dataclass(frozen=True)
class UNetSettings:
    """The shape of a U-Net.

    Attributes:
        in_channels, out_channels: of its fields.
        widths: channels at each resolution, finest first; resolution halves from one to the next.
        blocks: residual blocks at each resolution, on the way down and again on the way up.
        patch: points a side of the patches that the finest resolution sees.
        groups: of channels, each normalised by itself; divides every width. One group takes a third of the time of
            many on a CPU.
        noise_level: whether the network is told a noise level.
        channels_last: memory order of its weights; faster on CPUs with matrix units and on GPUs.
        recompute: whether activations are computed again in the backward pass instead of kept: less memory, a third
            more time.
        beneath: whether something else than blocks works at the coarsest resolution (``forward``).
    """

    in_channels: int
    out_channels: int
    widths: tuple[int, ...] = (64, 128, 192)
    blocks: int = 1
    patch: int = 2
    groups: int = 1
    noise_level: bool = False
    channels_last: bool = True
    recompute: bool = False
    beneath: bool = False

    def __post_init__(self) -> None:
        counts = (self.in_channels, self.out_channels, self.blocks, self.patch, self.groups, *self.widths)
        if not self.widths or min(counts) < 1:
            raise UsageError(f"a U-Net needs positive channels, widths, blocks, patch and groups; found {self}")
        if any(width % self.groups for width in self.widths):
            raise UsageError(f"widths {self.widths} of a U-Net cannot be divided into {self.groups} groups")

    @property
    def stride(self) -> int:
        """Points a side of what one vector at the coarsest resolution stands for."""
        return self.patch * 2 ** (len(self.widths) - 1)

    def network(self) -> "UNet":
        """The network before training (``Backbone``)."""
        return UNet(self)

    def on_grid(self, grid: ProjectedGrid) -> "UNetSettings":
        """Itself: convolutions look at no grid (``Backbone``)."""
        del grid
        return self


class UNet(nn.Module):
    """The network of ``settings``."""

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.settings = settings
        widths, area = settings.widths, settings.patch**2
        self.stem = _convolution(settings.in_channels * area, widths[0])
        self.embedding = NoiseLevelEmbedding(2 * widths[0]) if settings.noise_level else None
        blocks_at = widths[:-1] if settings.beneath else widths
        self.encoder = nn.ModuleList(_stage(settings, width, width, joined=False) for width in blocks_at)
        self.downward = nn.ModuleList(
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairwise(widths)
        )
        self.decoder = nn.ModuleList(_stage(settings, width, width, joined=True) for width in widths[:-1])
        self.upward = nn.ModuleList(_convolution(coarse, fine) for fine, coarse in pairwise(widths))
        self.norm = nn.GroupNorm(settings.groups, widths[0])
        self.head = zeroed(_convolution(widths[0], settings.out_channels * area))
        if settings.channels_last:
            self.to(memory_format=torch.channels_last)

    def forward(
        self, values: Tensor, sigma: Tensor | None = None, *, beneath: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """The network's answer (member, out, y, x), in float32 or wider.

        Args:
            values: (member, channels, y, x); sides that the stride does not divide are continued by reflection.
            sigma: (member,) noise level > 0, for a network that is told one, and only then.
            beneath: from (member, channels, y, x) to the same at the coarsest resolution, for a network that has
                something beneath it, and only then.

        Raises:
            UsageError: another number of channels than the settings', or a noise level or something beneath missing or
                not asked for.
        """
        self._check(values, sigma)
        if (beneath is None) == self.settings.beneath:
            raise UsageError(f"this U-Net has {'something' if self.settings.beneath else 'nothing'} beneath it")
        embedded = None if self.embedding is None else self.embedding(sigma.to(values))
        padded = _pad_to(values, self.settings.stride)
        x = self.stem(self._ordered(pixel_unshuffle(padded, self.settings.patch)))
        finer = []
        for level, stage in enumerate(self.encoder):
            x = self._run(stage, x, embedded)
            if level < len(self.downward):
                finer.append(x)
                x = self.downward[level](x)
        if beneath is not None:
            x = beneath(x)
        for level in reversed(range(len(finer))):
            x = self.upward[level](interpolate(x, scale_factor=2.0, mode="nearest"))
            x = self._run(self.decoder[level], torch.cat([x, finer[level]], dim=1), embedded)
        answer = pixel_shuffle(self.head(silu(self.norm(x))), self.settings.patch)
        return answer[..., : values.shape[-2], : values.shape[-1]].to(values.dtype)

    def _check(self, values: Tensor, sigma: Tensor | None) -> None:
        if values.ndim != 4 or values.shape[1] != self.settings.in_channels:
            raise UsageError(
                f"this U-Net takes (member, {self.settings.in_channels}, y, x); found {tuple(values.shape)}"
            )
        if (sigma is None) == self.settings.noise_level:
            told = "is told a" if self.settings.noise_level else "takes no"
            raise UsageError(f"this U-Net {told} noise level; found {'none' if sigma is None else 'one'}")

    def _ordered(self, values: Tensor) -> Tensor:
        return values.contiguous(memory_format=torch.channels_last) if self.settings.channels_last else values

    def _run(self, stage: nn.ModuleList, x: Tensor, embedded: Tensor | None) -> Tensor:
        for block in stage:
            if self.settings.recompute and torch.is_grad_enabled():
                x = checkpoint(block, x, embedded, use_reentrant=False)
            else:
                x = block(x, embedded)
        return x


class _ResidualBlock(nn.Module):
    def __init__(self, settings: UNetSettings, entering: int, width: int) -> None:
        super().__init__()
        self.first_norm = nn.GroupNorm(settings.groups, entering)
        self.first = _convolution(entering, width)
        self.second_norm = nn.GroupNorm(settings.groups, width)
        self.second = _convolution(width, width)
        self.skip = nn.Identity() if entering == width else nn.Conv2d(entering, width, 1)
        self.film = zeroed(nn.Linear(2 * settings.widths[0], 2 * width)) if settings.noise_level else None

    def forward(self, x: Tensor, embedded: Tensor | None) -> Tensor:
        h = self.second_norm(self.first(silu(self.first_norm(x))))
        if self.film is not None:
            scale, shift = self.film(embedded)[:, :, None, None].chunk(2, dim=1)
            h = h * (1.0 + scale) + shift
        return self.skip(x) + self.second(silu(h))


def _stage(settings: UNetSettings, entering: int, width: int, *, joined: bool) -> nn.ModuleList:
    """The blocks at one resolution; the first takes as many channels again if finer features are ``joined`` on."""
    first = _ResidualBlock(settings, 2 * entering if joined else entering, width)
    return nn.ModuleList([first, *(_ResidualBlock(settings, width, width) for _ in range(settings.blocks - 1))])


def _convolution(entering: int, leaving: int) -> nn.Conv2d:
    return nn.Conv2d(entering, leaving, 3, padding=1)


def _pad_to(values: Tensor, stride: int) -> Tensor:
    """``values`` continued northward and eastward to multiples of ``stride``; by repetition if too small to reflect."""
    ny, nx = values.shape[-2:]
    north, east = -ny % stride, -nx % stride
    if not north and not east:
        return values
    return pad(values, (0, east, 0, north), mode="reflect" if north < ny and east < nx else "replicate")
