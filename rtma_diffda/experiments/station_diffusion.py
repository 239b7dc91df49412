"""Diffusion for one real case of 2 m temperature: the ensemble of a denoiser of ERA5 fields about a blend of analyses.

One hour of reports cannot train a network, and a network of other weather cannot better the mean of an interpolation
that is tuned on this hour's reports (``validation/README.md`` has the attempts and their figures). What it brings are
members: fields that differ as errors of the analysis do, in place of one number a point. So the ensemble is drawn
through the network's observation channels with this case's own interpolation among its inputs, centred on the blend of
optimal and observation interpolation, and its spread set to the error that the blend states.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from rtma_diffda.assimilation.blended_interpolation import BlendedInterpolation, tuned_blend
from rtma_diffda.assimilation.denoiser_checkpoint import denoiser_from_checkpoint
from rtma_diffda.assimilation.denoising_network import DenoisingNetwork
from rtma_diffda.assimilation.diffusion import DiffusionAssimilation
from rtma_diffda.assimilation.ensemble_at_stations import EnsembleAtStations
from rtma_diffda.assimilation.observation_entry import ThroughChannels
from rtma_diffda.assimilation.observation_interpolation import ObservationInterpolation
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.diffusion_methods import DEFAULT_SAMPLER, MEMBERS
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.resources import resource_directory

CHECKPOINT = "era5_uk_denoiser"


def station_diffusion(
    with_background: OptimalInterpolation,
    without_background: ObservationInterpolation,
    problems: Sequence[AssimilationProblem],
) -> EnsembleAtStations:
    """The method for problems whose data both interpolations were tuned on.

    Raises:
        InputError: the packaged denoiser is absent or damaged.
        UsageError: the problem has other variables than the denoiser.
    """
    trained = denoiser_from_checkpoint(read_checkpoint(resource_directory("checkpoints") / CHECKPOINT))
    blend = tuned_blend(problems, with_background, without_background)
    diffusion = DiffusionAssimilation(
        with_background.static,
        for_background(trained.network, with_background, problems),
        ThroughChannels(),
        DEFAULT_SAMPLER,
        MEMBERS,
        centre=blend,
        bfloat16=None,
    )
    return EnsembleAtStations(with_background.static, diffusion, blend)


def for_background(
    network: DenoisingNetwork, interpolation: OptimalInterpolation, problems: Sequence[AssimilationProblem]
) -> DenoisingNetwork:
    """The network in units of this background's error, with this case's interpolation among its inputs.

    Raises:
        UsageError: the problems have other variables than the network.
    """
    innovations = torch.cat([problem.innovations()[0] for problem in problems])
    channel = torch.cat([problem.observations.channel for problem in problems])
    names = problems[0].background.layout.names
    if names != network.encoding.names:
        raise UsageError(f"this denoiser is of {', '.join(network.encoding.names)} alone; found {', '.join(names)}")
    scales = {name: float(innovations[channel == i].square().mean().sqrt()) for i, name in enumerate(names)}
    encoding = replace(
        network.encoding,
        scales=scales,
        background_errors=interpolation.background_errors,
        observation_error_factors=interpolation.observation_error_factors,
    )
    moved = DenoisingNetwork(encoding, network.backbone)
    moved.load_state_dict(network.state_dict())
    return moved.eval()


def describe_blend(blend: BlendedInterpolation) -> str:
    """The choices of the blend, in words."""
    return "; ".join(
        f"{name}: observations' own share α {share:.2f}, stated error × {blend.error_factors[name]:.2f}"
        for name, share in blend.shares.items()
    )
