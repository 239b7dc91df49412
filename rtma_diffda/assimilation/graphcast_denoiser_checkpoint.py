"""Global denoisers as checkpoints: with the network, everything that its methods need besides the terrain.

``config.yaml`` has the formulation, the backbone with its task and grid, the lead times, and the spread calibrations by
method; ``statistics.safetensors`` has GraphCast's statistics, s, and for each lead time the covariance of what the
background does not tell, truth − E[truth | background], which ``kalman`` uses.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from rtma_diffda.assimilation.global_formulation import GlobalFormulation
from rtma_diffda.assimilation.graphcast_denoiser import GraphCastDenoiser
from rtma_diffda.assimilation.residual_scale import ResidualScale
from rtma_diffda.assimilation.sphere_covariance import SphereCovariance, covariance_from, stored_tensors
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration
from rtma_diffda.backbones.graphcast.config import graphcast_config, graphcast_from, graphcast_tensors
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.global_statistics import GlobalStatistics
from rtma_diffda.io.checkpoint import Checkpoint

ARCHITECTURE = "graphcast_denoiser"
_COVARIANCE = "residual_covariance"
_SCALE = "residual_scale"


@dataclass(frozen=True)
class TrainedGraphCastDenoiser:
    """A global denoiser with what was fitted to it.

    Attributes:
        denoiser: ready to sample with.
        covariances: of truth − E[truth | background], by the hours of the lead time; empty where none was fitted.
        calibrations: of the spread, by the name of the method that draws the ensemble.
    """

    denoiser: GraphCastDenoiser
    covariances: Mapping[float, SphereCovariance] = field(default_factory=dict)
    calibrations: Mapping[str, SpreadCalibration] = field(default_factory=dict)

    def covariance(self, lead: np.timedelta64) -> SphereCovariance:
        """That of the nearest lead time that was fitted, with the size that residuals of this lead time have.

        Raises:
            InputError: none was fitted.
        """
        if not self.covariances:
            raise InputError("the denoiser has no covariance of residuals; train it again, or condition otherwise")
        hours = lead / np.timedelta64(1, "h")
        nearest = self.covariances[min(self.covariances, key=lambda known: abs(known - hours))]
        return replace(nearest, scale=self.denoiser.scale.of(lead).flatten().to(nearest.scale))


def graphcast_denoiser_checkpoint(
    trained: TrainedGraphCastDenoiser, *, card: str = "", provenance: Mapping[str, Any] | None = None
) -> Checkpoint:
    """A global denoiser as a checkpoint.

    Args:
        trained: the network and what belongs to it.
        card: the model card, in Markdown.
        provenance: data sets, seeds, settings, scores; plain values.
    """
    denoiser = trained.denoiser
    config = {
        "architecture": ARCHITECTURE,
        "formulation": asdict(denoiser.formulation),
        "lead_hours": list(denoiser.scale.hours),
        "backbone": graphcast_config(denoiser.backbone),
        "covariance_hours": sorted(float(hours) for hours in trained.covariances),
        "calibrations": {name: dict(found.factor) for name, found in trained.calibrations.items()},
    }
    tensors = {
        **denoiser.statistics.tensors(),
        **graphcast_tensors(denoiser.backbone),
        _SCALE: denoiser.scale.values,
        **{
            f"{_COVARIANCE}/{float(hours):g}/{name}": values
            for hours, covariance in trained.covariances.items()
            for name, values in stored_tensors(covariance).items()
        },
    }
    return Checkpoint(denoiser.state_dict(), config, tensors, card, dict(provenance or {}))


def graphcast_denoiser_from_checkpoint(checkpoint: Checkpoint) -> TrainedGraphCastDenoiser:
    """The global denoiser of a checkpoint.

    Raises:
        InputError: it is of another architecture, or its config is incomplete or not understood.
    """
    config, tensors = checkpoint.config, checkpoint.statistics
    if config.get("architecture") != ARCHITECTURE:
        raise InputError(f"checkpoint is of architecture '{config.get('architecture')}', expected '{ARCHITECTURE}'")
    try:
        denoiser = GraphCastDenoiser(
            graphcast_from(config["backbone"], tensors),
            GlobalStatistics.from_tensors(tensors),
            ResidualScale(tuple(config["lead_hours"]), tensors[_SCALE]),
            formulation=GlobalFormulation(**config["formulation"]),
        )
        trained = TrainedGraphCastDenoiser(
            denoiser.eval(),
            {hours: _covariance(tensors, hours) for hours in config["covariance_hours"]},
            {name: SpreadCalibration(factor) for name, factor in config["calibrations"].items()},
        )
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise InputError(f"config of the {ARCHITECTURE} checkpoint is not understood: {error!r}") from error
    checkpoint.fill(denoiser)
    return trained


def _covariance(tensors: Mapping[str, Tensor], hours: float) -> SphereCovariance:
    start = f"{_COVARIANCE}/{hours:g}/"
    own = {name.removeprefix(start): values for name, values in tensors.items() if name.startswith(start)}
    return covariance_from(own)


def begun_with_forecast(denoiser: GraphCastDenoiser, weights: Mapping[str, Tensor]) -> GraphCastDenoiser:
    """The denoiser with the weights of a forecast network of the same shape, as DiffDA begins.

    Args:
        denoiser: changed in place.
        weights: of a module whose ``network`` is the GraphCast network, or of that network itself.

    Raises:
        InputError: names or shapes differ.
    """
    own = {name.removeprefix("network."): values for name, values in weights.items()}
    Checkpoint(own, {}).fill(denoiser.network)
    return denoiser
