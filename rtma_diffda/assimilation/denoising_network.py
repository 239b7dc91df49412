"""The denoiser of analyses: E[r | r + σ ε, background, observations], r = (x − x_b) / s, by a network F.

    D(x; σ) = b + c_skip (x − b) + c_out F(c_in (x − b), background, land, time of day, observations, large scale; σ)

b is optimal interpolation's increment over s, and the spread that c_skip, c_out and c_in are made for is what it says
is left, √(1 − explained share), point by point: an untrained network returns the posterior of optimal interpolation,
one point at a time. Shown no observations (all their channels 0), b = 0 and the same network is the *prior*, given the
background alone, that guidance needs; half of the members are shown none in training ("observation dropout"). The
large scale is the state of a global run less the background, where the encoding has it and the run is there.
References: Karras et al. (2022), arXiv 2206.00364 (preconditioning, loss); Huang et al. (2024), DiffDA (the background
as context).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from rtma_diffda.assimilation.network_inputs import InputEncoding
from rtma_diffda.assimilation.simulated_observing import Observing, observe
from rtma_diffda.assimilation.training_examples import NoisyExamples, draw_turns, require_orientations
from rtma_diffda.backbones.backbone import Backbone
from rtma_diffda.backbones.unet import UNetSettings
from rtma_diffda.diffusion.loss import denoising_loss
from rtma_diffda.diffusion.noise_distributions import LogNormal, NoiseDistribution
from rtma_diffda.diffusion.preconditioning import Coefficients, edm, per_member
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.geo.grid import ProjectedGrid

_UNKNOWN_SPREAD = 0.25
"""Of s: added (in squares) to what optimal interpolation says is left, which is optimistic where data are precise."""
_INCREMENT_BLOCK, _EXPLAINED_BLOCK = 2, 3  # of the observation channels


@dataclass(frozen=True)
class DenoisingTraining:
    """What the loss draws.

    Attributes:
        observing: networks of stations.
        prior_share: of the members, which are shown no observation.
        without_large_scale: share of the members that are not told the large scale, of a network that knows one.
        noise: distribution of noise levels.
        orientations: in how many ways, turned by right angles, every batch is seen, each with noise of its own.
    """

    observing: Observing = field(default_factory=Observing)
    prior_share: float = 0.5
    without_large_scale: float = 0.0
    noise: NoiseDistribution = field(default_factory=lambda: LogNormal(mean=-0.3, std=1.4))
    orientations: int = 1

    def __post_init__(self) -> None:
        require_orientations(self.orientations)
        if not 0.0 <= self.prior_share <= 1.0:
            raise UsageError(f"prior_share must be 0 … 1; found {self.prior_share}")
        if not 0.0 <= self.without_large_scale <= 1.0:
            raise UsageError(f"without_large_scale must be 0 … 1; found {self.without_large_scale}")


def denoiser_settings(
    encoding: InputEncoding, widths: tuple[int, ...] = (64, 128, 192), **others: object
) -> UNetSettings:
    """Settings of a U-Net for a denoiser on ``encoding``.

    Patches are of 2 × 2 points unless given: a denoiser has to see the noise of single points.
    """
    return UNetSettings(*denoiser_channels(encoding), widths, **{"patch": 2, "noise_level": True, **others})


def denoiser_channels(encoding: InputEncoding) -> tuple[int, int]:
    """Channels of a denoiser on ``encoding``: noisy fields, context, observations and large scale in, fields out."""
    variables = len(encoding.names)
    told = encoding.context_count + encoding.observed_count + encoding.large_scale_count
    return variables + told, variables


class DenoisingNetwork(nn.Module):
    """The network, a ``Denoiser``, and its loss.

    Args:
        encoding: how its inputs are made; with observations.
        backbone: the design of F; channels as ``denoiser_channels`` gives them.
        training: what the loss draws.
    """

    def __init__(self, encoding: InputEncoding, backbone: Backbone, training: DenoisingTraining | None = None) -> None:
        super().__init__()
        expected = denoiser_channels(encoding)
        found = (backbone.in_channels, backbone.out_channels, backbone.noise_level)
        if not encoding.observations or found != (*expected, True):
            raise UsageError(
                f"a denoiser on these inputs takes {expected[0]} channels with a noise level and gives "
                f"{expected[1]}, and its encoding has observations; found {backbone}"
            )
        self.encoding, self.training_settings = encoding, training or DenoisingTraining()
        self.backbone, self.network = backbone, backbone.network()
        self._elsewhere: dict[Backbone, DenoisingNetwork] = {}

    def on_grid(self, grid: ProjectedGrid) -> "DenoisingNetwork":
        """The same denoiser for fields of another grid; itself where the grid does not matter to it.

        Raises:
            UsageError: its backbone does not fit that grid.
        """
        there = self.backbone.on_grid(grid)
        if there == self.backbone:
            return self
        if there not in self._elsewhere:
            moved = DenoisingNetwork(self.encoding, there, self.training_settings)
            moved.load_state_dict(self.state_dict())
            device = next(self.parameters()).device
            self._elsewhere = {there: moved.to(device).train(self.training)}
        return self._elsewhere[there]

    def forward(self, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """D(noisy; sigma, context): (member, channel, y, x), float32.

        Args:
            noisy: (member, channel, y, x) r + σ ε.
            sigma: (member,) noise level.
            context: (member, context + observed + large scale, y, x), ``NetworkInputs.side_by_side`` of the encoding.
        """
        base, coefficients = self._base(context), self._coefficients(sigma, context)
        answer = self._answer(noisy - base, sigma, context, coefficients)
        return base + coefficients.denoised(noisy - base, answer)

    def prepare(self, batch: Pairs, *, generator: torch.Generator) -> NoisyExamples:
        """Everything that is drawn for a batch: networks of stations and their errors, turns, noise and its levels.

        Args:
            batch: of the encoding's variables, on the CPU.
            generator: on the CPU.
        """
        settings = self.training_settings
        observing = replace(settings.observing, none_share=settings.prior_share)
        with torch.autocast("cpu", enabled=False):  # covariances need float32
            inputs = self.encoding.of_batch(batch, observe(batch, observing, generator=generator))
        if self.encoding.large_scale and settings.without_large_scale > 0.0:
            told = torch.rand(len(batch), generator=generator) >= settings.without_large_scale
            inputs = replace(inputs, large_scale=inputs.large_scale * told[:, None, None, None])
        clean = (batch.truth - batch.background) / self.encoding.scale(batch.background)
        turns = draw_turns(batch.layout.grid.shape, settings.orientations, generator=generator)
        sigma = settings.noise.draw(len(turns) * len(clean), generator=generator)
        noise = torch.randn(len(sigma), *clean.shape[1:], generator=generator)
        return NoisyExamples(inputs, clean, turns, sigma, noise)

    def loss(self, batch: Pairs, *, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """``prepared_loss`` of what is drawn for a batch."""
        return self.prepared_loss(self.prepare(batch, generator=generator))

    def prepared_loss(self, examples: NoisyExamples) -> tuple[Tensor, Mapping[str, float]]:
        """The denoising loss, variables and grid points alike; for the log the same by variable (``loss_t2m`` …)."""
        inputs, clean = examples.turned(self.encoding)
        context, sigma = inputs.side_by_side(), examples.sigma
        noisy = clean + per_member(sigma) * examples.noise
        base, coefficients = self._base(context), self._coefficients(sigma, context)
        answer = self._answer(noisy - base, sigma, context, coefficients).float()
        loss = denoising_loss(answer, clean - base, noisy - base, coefficients)
        figures = zip(self.encoding.names, loss.detach().mean(dim=0).tolist(), strict=True)
        return loss.mean(), {f"loss_{name}": part for name, part in figures}

    def _answer(self, departure: Tensor, sigma: Tensor, context: Tensor, coefficients: Coefficients) -> Tensor:
        return self.network(torch.cat([coefficients.into * departure, context], dim=1), sigma)

    def _base(self, context: Tensor) -> Tensor:
        return self._block(context, _INCREMENT_BLOCK)

    def _coefficients(self, sigma: Tensor, context: Tensor) -> Coefficients:
        left = 1.0 - self._block(context, _EXPLAINED_BLOCK)
        return edm(sigma, (left + _UNKNOWN_SPREAD**2).sqrt())

    def _block(self, context: Tensor, block: int) -> Tensor:
        channels = len(self.encoding.names)
        first = self.encoding.context_count + block * channels
        return context[:, first : first + channels]
