"""Denoisers as checkpoints: with the network, what its methods need besides the terrain.

``config.yaml`` has the encoding, the backbone, B of what the background does not tell, truth − E[truth | background],
which ``kalman`` uses, and the spread calibrations by method; where the denoiser knows the large scale, all of that once
more for analyses without a global run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rtma_diffda.assimilation.backbone_config import backbone_config, backbone_from, backbone_tensors
from rtma_diffda.assimilation.centring import Centring
from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.denoising_network import DenoisingNetwork
from rtma_diffda.assimilation.encoding_config import encoding_config, encoding_from, errors_config, errors_from
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.io.checkpoint import Checkpoint

ARCHITECTURE = "denoiser"
_WITHOUT = "without_large_scale"


@dataclass(frozen=True)
class TrainedDenoiser:
    """A denoiser with what was fitted to it on validation runs.

    Attributes:
        network: ready to sample with.
        residual_errors: B of truth − E[truth | background] by variable, SI.
        residual_error_factors: {variable: what ``error_std`` of its data is multiplied with, for that B}.
        calibrations: of the spread, by the name of the method that draws the ensemble.
        centring: of the method that is centred on a regression network's analysis.
        without_large_scale: what is fitted to the same network where there is no global run; None for a network that is
            not told the large scale.
    """

    network: DenoisingNetwork
    residual_errors: Mapping[str, BackgroundError]
    residual_error_factors: Mapping[str, float] = field(default_factory=dict)
    calibrations: Mapping[str, SpreadCalibration] = field(default_factory=dict)
    centring: Centring = field(default_factory=Centring)
    without_large_scale: "TrainedDenoiser | None" = None


def denoiser_checkpoint(
    trained: TrainedDenoiser, *, card: str = "", provenance: Mapping[str, Any] | None = None
) -> Checkpoint:
    """A denoiser as a checkpoint.

    Args:
        trained: the network and what belongs to it.
        card: the model card, in Markdown.
        provenance: data sets, seeds, settings, scores; plain values.
    """
    network = trained.network
    config = {
        "architecture": ARCHITECTURE,
        **encoding_config(network.encoding),
        "backbone": backbone_config(network.backbone),
        **_fitted_config(trained),
    }
    if trained.without_large_scale is not None:
        config[_WITHOUT] = _fitted_config(trained.without_large_scale)
    statistics = backbone_tensors(network.backbone)
    return Checkpoint(network.state_dict(), config, statistics, card, dict(provenance or {}))


def denoiser_from_checkpoint(checkpoint: Checkpoint) -> TrainedDenoiser:
    """The denoiser of a checkpoint.

    Raises:
        InputError: it is of another architecture, or its config is incomplete or not understood.
    """
    config = checkpoint.config
    if config.get("architecture") != ARCHITECTURE:
        raise InputError(f"checkpoint is of architecture '{config.get('architecture')}', expected '{ARCHITECTURE}'")
    try:
        backbone = backbone_from(config["backbone"], checkpoint.statistics)
        network = DenoisingNetwork(encoding_from(config), backbone)
        trained = _trained_from(network.eval(), config)
        if _WITHOUT in config:
            trained = replace(trained, without_large_scale=_trained_from(network, config[_WITHOUT]))
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise InputError(f"config of the {ARCHITECTURE} checkpoint is not understood: {error!r}") from error
    checkpoint.fill(network)
    return trained


def _fitted_config(trained: TrainedDenoiser) -> dict[str, Any]:
    return {
        "residual_errors": errors_config(trained.residual_errors),
        "residual_error_factors": {name: float(v) for name, v in trained.residual_error_factors.items()},
        "calibrations": {name: dict(found.factor) for name, found in trained.calibrations.items()},
        "centring": dict(trained.centring.weight),
    }


def _trained_from(network: DenoisingNetwork, config: Mapping[str, Any]) -> TrainedDenoiser:
    return TrainedDenoiser(
        network,
        errors_from(config["residual_errors"]),
        config["residual_error_factors"],
        {name: SpreadCalibration(factor) for name, factor in config["calibrations"].items()},
        Centring(config["centring"]),
    )
