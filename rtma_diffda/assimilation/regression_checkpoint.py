"""Regression networks as checkpoints: everything that an analysis needs besides the terrain goes into the config."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from rtma_diffda.assimilation.encoding_config import encoding_config, encoding_from, unet_from
from rtma_diffda.assimilation.error_calibration import ErrorCalibration
from rtma_diffda.assimilation.regression_network import RegressionNetwork
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.io.checkpoint import Checkpoint

ARCHITECTURE = "unet_regression"


def regression_checkpoint(
    network: RegressionNetwork,
    *,
    weights: Mapping[str, Tensor] | None = None,
    calibration: ErrorCalibration | None = None,
    card: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """A network as a checkpoint.

    Args:
        network: trained.
        weights: to store instead of the network's own, such as averaged ones.
        calibration: of its errors.
        card: the model card, in Markdown.
        provenance: data sets, seeds, settings, scores; plain values.
    """
    encoding = network.encoding
    config = {
        "architecture": ARCHITECTURE,
        **encoding_config(encoding),
        "unet": asdict(network.unet.settings) | {"widths": list(network.unet.settings.widths)},
        "calibration": None if calibration is None else asdict(calibration),
    }
    state = network.state_dict() if weights is None else weights
    return Checkpoint(dict(state), config, card=card, provenance=dict(provenance or {}))


def regression_from_checkpoint(checkpoint: Checkpoint) -> tuple[RegressionNetwork, ErrorCalibration | None]:
    """The network of a checkpoint, ready to analyse, and the calibration of its errors.

    Raises:
        InputError: it is of another architecture, or its config is incomplete or not understood.
    """
    config = checkpoint.config
    if config.get("architecture") != ARCHITECTURE:
        raise InputError(f"checkpoint is of architecture '{config.get('architecture')}', expected '{ARCHITECTURE}'")
    try:
        encoding, settings = encoding_from(config), unet_from(config["unet"])
        stored = config["calibration"]
        calibration = None if stored is None else ErrorCalibration(**stored)
        network = RegressionNetwork(encoding, settings)
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise InputError(f"config of the {ARCHITECTURE} checkpoint is not understood: {error!r}") from error
    checkpoint.fill(network)
    return network.eval(), calibration
