"""``GraphCastDenoiser``: E[r | r + σ ε, background] of a global forecast's residual, r = (x − x_b) / s, by GraphCast.

    D(r_σ; σ) = c_skip r_σ + c_out F(c_in r_σ, background, forcings, static fields; σ)

F is a GraphCast network whose slots mean something else, so that the weights of a forecast model are what training
begins with:

    slot of GraphCast          here
    state a step before        c_in r_σ; of the ε formulation the variance-preserving r_t = √ᾱ r + √(1 − ᾱ) ε
    state                      the background, normalised
    forcings, three times      those of the analysis time, three times; the sine of the year is what is told of σ
                               (at the target time, of the improved formulation, the lead time)
    static fields              the same
    answer                     F: ε, or EDM's target; an answer for precipitation that is no input is not used

Where GraphCast adds its answer to a state, nothing is added here. The loss is GraphCast's: Σ over variables of weighted
mean squares. References: Huang et al. (2024), DiffDA, arXiv 2401.05932, and its published code (``diffda.md`` §3); Lam
et al. (2023), arXiv 2212.12794; Karras et al. (2022), arXiv 2206.00364, eq. 7 and 8.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from rtma_diffda.assimilation.global_context import GlobalContext
from rtma_diffda.assimilation.global_examples import GlobalExamples
from rtma_diffda.assimilation.global_formulation import IMPROVED, GlobalFormulation
from rtma_diffda.assimilation.residual_scale import ResidualScale
from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.stacking import Stacking
from rtma_diffda.backbones.graphcast.task import FORCINGS, PRECIPITATION
from rtma_diffda.diffusion.loss import denoising_loss
from rtma_diffda.diffusion.noise_distributions import NoiseDistribution
from rtma_diffda.diffusion.preconditioning import per_member
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.global_layout import global_layout, key_label
from rtma_diffda.fields.global_pairs import GlobalPairs, terrain_and_land
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.fields.global_weights import channel_weights, latitude_weights
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields

_YEAR_SIN = FORCINGS.index("year_progress_sin")
_PRECIPITATION_WEIGHT = 0.1


class GraphCastDenoiser(nn.Module):
    """The network, a ``Denoiser``, and its loss.

    Args:
        backbone: the design of F; its task's prognostic channels are what is denoised.
        statistics: what background, forcings and static fields are normalised by.
        scale: s, for the lead times that the denoiser is made for.
        formulation: how the residual is diffused.
        noise: noise levels in training; None: as the formulation has them.
    """

    def __init__(
        self,
        backbone: GraphCastBackbone,
        statistics: GlobalStatistics,
        scale: ResidualScale,
        *,
        formulation: GlobalFormulation = IMPROVED,
        noise: NoiseDistribution | None = None,
    ) -> None:
        super().__init__()
        keys = backbone.task.prognostic
        if scale.values.shape[1] != len(keys):
            raise UsageError(f"a scale of {scale.values.shape[1]} channels; the denoiser has {len(keys)}")
        self.backbone, self.statistics, self.scale, self.formulation = backbone, statistics, scale, formulation
        self.noise = noise or formulation.training_noise()
        self.layout = global_layout(keys, backbone.grid)
        self.network = backbone.network()
        self._keys, self._stacking = keys, Stacking(backbone.task, keys)
        self._keep("_answers", self._stacking.answers(keys))
        self._keep("_row_weights", latitude_weights(backbone.grid)[:, None])
        self._keep("_channel_weights", channel_weights(keys))
        self._context = GlobalContext.of(keys, backbone.grid, statistics, formulation)

    @property
    def context_count(self) -> int:
        """Channels of the context."""
        return sum(self._context.blocks)

    def context_of(self, background: State, static: StaticFields, *, lead: np.timedelta64) -> Tensor:
        """What the network is told besides the noisy residual: (member, context, y, x) float32.

        Args:
            background: of the denoiser's layout.
            static: terrain and land on its grid.
            lead: of the forecast that the background is.

        Raises:
            UsageError: the background has another layout.
            InputError: terrain or land are not known.
        """
        if background.layout != self.layout:
            raise UsageError(
                f"the denoiser is of {len(self._keys)} channels on {self.layout.grid.shape} points, from "
                f"{key_label(self._keys[0])} on; the background has {', '.join(background.layout.names[:3])} … on "
                f"{background.layout.grid.shape} points"
            )
        times = np.repeat(background.valid_time, background.members)
        leads = np.repeat(lead, background.members)
        return self._context(background.values, terrain_and_land(static), times, leads).to(self._row_weights.device)

    def context_of_pairs(self, batch: GlobalPairs) -> Tensor:
        """As ``context_of``, of the backgrounds of a batch, each of its own valid time and lead time, on its device."""
        return self._context(batch.background, (batch.orography, batch.land_fraction), batch.valid_time, batch.lead)

    def forward(self, noisy: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """D(noisy; sigma, context): (member, channel, y, x), float32.

        Args:
            noisy: (member, channel, y, x) r + σ ε, in units of s.
            sigma: (member,) noise level.
            context: (member, context, y, x) of ``context_of``.
        """
        c = self.formulation.coefficients(sigma)
        answer = self._answer(c.into * noisy, sigma, context)[:, self._answers]
        return c.denoised(noisy, answer)

    def prepare(self, batch: GlobalPairs, *, generator: torch.Generator) -> GlobalExamples:
        """Everything that is drawn for a batch, and what the network is told.

        Args:
            batch: of the denoiser's layout, on the CPU.
            generator: on the CPU.
        """
        scale = self.scale.of(batch.lead)
        clean = (batch.truth - batch.background) / scale
        sigma = self.noise.draw(len(batch), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        unseen = torch.randn(len(batch), *clean.shape[2:], generator=generator) if self._teaches_precipitation else None
        context = self.context_of_pairs(batch)
        return GlobalExamples(context, clean, sigma, noise, unseen)

    def loss(self, batch: GlobalPairs, *, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """``prepared_loss`` of what is drawn for a batch."""
        return self.prepared_loss(self.prepare(batch, generator=generator))

    def prepared_loss(self, examples: GlobalExamples) -> tuple[Tensor, Mapping[str, float]]:
        """GraphCast's weighted sum over variables; for the log the plain mean by variable (``loss_t2m`` …)."""
        c = self.formulation.coefficients(examples.sigma)
        noisy = examples.clean + per_member(examples.sigma) * examples.noise
        answer = self._answer(c.into * noisy, examples.sigma, examples.context)
        by_channel = denoising_loss(answer[:, self._answers], examples.clean, noisy, c, self._row_weights)
        loss = (by_channel * self._channel_weights).sum(dim=1).mean()
        if examples.unseen_noise is not None:
            place = self.backbone.task.outputs.index((PRECIPITATION, None))
            wrong = (answer[:, place] - examples.unseen_noise).square() * self._row_weights
            loss = loss + _PRECIPITATION_WEIGHT * wrong.mean()
        return loss, self._figures(by_channel.detach().mean(dim=0))

    def _answer(self, scaled: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        """F, all channels: (member, out, y, x) float32."""
        background, forcings, fields, lead = context.split(self._context.blocks, dim=1)
        told = per_member(self.formulation.told_noise(sigma)).to(context).expand_as(lead)
        at_inputs = _with_year_sine(forcings, told)
        at_target = _with_year_sine(forcings, lead) if self.formulation.told_lead else at_inputs
        frames = torch.stack([at_inputs, at_inputs, at_target], dim=1)
        return self.network(self._stacking(scaled, background, frames, fields)).float()

    def _figures(self, by_channel: Tensor) -> dict[str, float]:
        names = [channel.name for channel in self.layout.channels]
        parts = {name: [v for n, v in zip(names, by_channel.tolist(), strict=True) if n == name] for name in names}
        return {f"loss_{name}": sum(part) / len(part) for name, part in parts.items()}

    @property
    def _teaches_precipitation(self) -> bool:
        answered = (PRECIPITATION, None) in self.backbone.task.outputs and (PRECIPITATION, None) not in self._keys
        return self.formulation.precipitation_target and answered

    def _keep(self, name: str, values: Tensor) -> None:
        """Moves with the module; is no weight of a checkpoint."""
        self.register_buffer(name, values, persistent=False)


def _with_year_sine(forcings: Tensor, told: Tensor) -> Tensor:
    """Forcings (member, 5, y, x) with ``told`` (member, 1, y, x) in place of the sine of the year."""
    return torch.cat([forcings[:, :_YEAR_SIN], told, forcings[:, _YEAR_SIN + 1 :]], dim=1)
