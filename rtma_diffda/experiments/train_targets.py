"""What ``train`` can make: each target's network before training, and its checkpoint with what is fitted afterwards.

Fitted on validation runs, whose terrain and stations the training has not seen: the interpolation among the inputs, the
calibration of errors and spreads, and how far the covariance of a denoiser's residuals is trusted.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.denoiser_checkpoint import denoiser_checkpoint
from rtma_diffda.assimilation.denoising_network import (
    DenoisingNetwork,
    DenoisingTraining,
    denoiser_channels,
    denoiser_settings,
)
from rtma_diffda.assimilation.network_inputs import InputEncoding
from rtma_diffda.assimilation.regression_checkpoint import regression_checkpoint
from rtma_diffda.assimilation.regression_network import RegressionNetwork, RegressionTraining, unet_settings
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.assimilation.truth_tuning import truth_starts, tune_on_truth
from rtma_diffda.assimilation.unet_regression import UNetRegression, calibrated, load_unet_regression
from rtma_diffda.backbones.backbone import Backbone
from rtma_diffda.backbones.limited_area.backbone import LimitedAreaBackbone
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.settings import LimitedAreaSettings
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.denoiser_fitting import fitted_denoiser
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.io.checkpoint import Checkpoint
from rtma_diffda.resources import resource_directory

_log = logging.getLogger(__name__)

_OF_HYBRID = "network.convolutions."
_FIRST = "stem.weight"
_SQUARE = 4
"""Grid points a side of the squares that the mesh of a hybrid denoiser works on."""
_WITHOUT_LARGE_SCALE = 0.2
"""Share of a denoiser's training members that are not told the large scale."""


@dataclass(frozen=True)
class NetworkSettings:
    """Size of the network, and how it sees a batch. None: what suits the target.

    Attributes:
        backbone: of a denoiser: a key of ``BACKBONES``; regression is by a U-Net.
        widths, blocks, patch: of convolutions.
        hidden, layers: width and number of layers of message passing.
        spacing: of the finest mesh, in grid nodes of the graph: points, or those of the coarsest convolutions.
        trained: of a hybrid: all of it, or its mesh alone, while its convolutions stay as they begin.
        large_scale: whether a denoiser is told the state of a global run; None: where it has a mesh.
        orientations: in how many ways a batch is seen.
        penalty: what regression makes of an error.
    """

    backbone: str = "hybrid"
    widths: tuple[int, ...] | None = None
    blocks: int = 1
    patch: int | None = None
    hidden: int | None = None
    layers: int | None = None
    spacing: float | None = None
    trained: str = "all"
    large_scale: bool | None = None
    orientations: int = 4
    penalty: str = "squared"

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise UsageError(f"network.backbone is '{self.backbone}'; it may be {', '.join(BACKBONES)}")
        if self.trained != "all" and (self.trained, self.backbone) != ("mesh", "hybrid"):
            raise UsageError(f"network.trained is '{self.trained}'; it may be all, or mesh of a hybrid")

    @property
    def told_large_scale(self) -> bool:
        """Whether a denoiser of these settings is told the state of a global run."""
        return self.backbone != "unet" if self.large_scale is None else self.large_scale

    def sizes(self) -> dict[str, Any]:
        """Sizes of a U-Net that are not left to the target."""
        given = {"widths": self.widths, "patch": self.patch}
        return {"blocks": self.blocks, **{name: value for name, value in given.items() if value is not None}}


def _unet(settings: NetworkSettings, encoding: InputEncoding, grid: ProjectedGrid) -> Backbone:
    del grid
    return denoiser_settings(encoding, **settings.sizes())


def _graph(settings: NetworkSettings, encoding: InputEncoding, grid: ProjectedGrid) -> Backbone:
    sizes = {"convolutions": (), "hidden": settings.hidden or 64}
    return _limited_area(settings, encoding, grid, spacing=settings.spacing or 2.0, layers=4, **sizes)


def _hybrid(settings: NetworkSettings, encoding: InputEncoding, grid: ProjectedGrid) -> Backbone:
    if not encoding.large_scale:
        raise UsageError("the mesh of a hybrid denoiser is told the large scale; found network.large_scale=false")
    sizes = {"convolutions": settings.widths or (64, 128, 192), "hidden": settings.hidden or 64}
    told = {"mesh_channels": encoding.large_scale_count, "square": _SQUARE}
    return _limited_area(settings, encoding, grid, spacing=settings.spacing or 2.0, layers=2, **told, **sizes)


def _limited_area(
    settings: NetworkSettings,
    encoding: InputEncoding,
    grid: ProjectedGrid,
    *,
    spacing: float,
    layers: int,
    **sizes: Any,
) -> LimitedAreaBackbone:
    network = LimitedAreaSettings(
        *denoiser_channels(encoding),
        mesh="flat",
        processor_layers=settings.layers or layers,
        noise_level=True,
        patch=settings.patch or 2,
        **sizes,
    )
    design = MeshDesign("multiscale", spacing=spacing, refinement=2, levels=3)
    return LimitedAreaBackbone(network, design, grid)


BACKBONES: Mapping[str, Callable[[NetworkSettings, InputEncoding, ProjectedGrid], Backbone]] = {
    "hybrid": _hybrid,
    "graph": _graph,
    "unet": _unet,
}
"""Networks of a denoiser: convolutions with a mesh before them, a mesh alone, convolutions alone."""


@dataclass(frozen=True)
class Material:
    """What a target is made from.

    Attributes:
        pairs: of training runs.
        cases: of validation runs, with the default number of stations.
        densities: of validation runs, with few, the default and many stations.
        seed: of everything that is drawn in fitting.
        known: how inputs are made for the weights that training begins with; None: found from the data.
    """

    pairs: Pairs
    cases: Sequence[TruthCase]
    densities: Sequence[TruthCase]
    seed: int
    known: InputEncoding | None = None

    def scales(self) -> dict[str, float]:
        """s: root mean square of truth minus background by variable, SI, from up to 512 members."""
        some = spread_out(self.pairs, 512)
        scales = (some.truth - some.background).double().square().mean(dim=(0, 2, 3)).sqrt()
        return dict(zip(some.layout.names, scales.tolist(), strict=True))

    def encoding(self, *, observations: bool, large_scale: bool = False) -> InputEncoding:
        """How inputs are made; the interpolation among them is tuned on the cases."""
        if self.known is not None:
            return replace(self.known, large_scale=large_scale)
        layout, scales = self.cases[0].truth.layout, self.scales()
        errors: dict[str, BackgroundError] = {}
        factors: dict[str, float] = {}
        if observations:
            tuned = tune_on_truth(self.cases, truth_starts(layout))
            errors = {name: found.background_error for name, found in tuned.items()}
            factors = {name: found.observation_error_factor for name, found in tuned.items()}
        return InputEncoding(scales, errors, factors, observations, layout.grid.dx, large_scale)


class Target(Protocol):
    """Something that can be trained."""

    def network(self, settings: NetworkSettings, material: Material) -> torch.nn.Module:
        """The network before training; weights are drawn from torch's global generator, which the caller seeds."""

    def begin(self, network: torch.nn.Module, start: Checkpoint) -> object:
        """Give the network the weights of a checkpoint to begin with.

        Raises:
            InputError: they do not fit.
        """

    def checkpoint(
        self, network: torch.nn.Module, material: Material, *, card: str, provenance: Mapping[str, Any]
    ) -> Checkpoint:
        """The trained network with everything that is fitted to it."""


@dataclass(frozen=True)
class RegressionTarget:
    """A regression network.

    Attributes:
        observations: whether it sees any.
    """

    observations: bool

    def network(self, settings: NetworkSettings, material: Material) -> RegressionNetwork:
        """See ``Target``."""
        encoding = material.encoding(observations=self.observations)
        training = RegressionTraining(penalty=settings.penalty, orientations=settings.orientations)
        return RegressionNetwork(encoding, unet_settings(encoding, **settings.sizes()), training)

    def begin(self, network: torch.nn.Module, start: Checkpoint) -> object:
        """See ``Target``: all weights."""
        return start.fill(network)

    def checkpoint(
        self, network: RegressionNetwork, material: Material, *, card: str, provenance: Mapping[str, Any]
    ) -> Checkpoint:
        """With the calibration of its errors; over networks of few and of many stations where it sees any."""
        cases = material.densities if self.observations else material.cases
        calibration = calibrated(UNetRegression(cases[0].static, network), cases).calibration
        return regression_checkpoint(network, calibration=calibration, card=card, provenance=provenance)


@dataclass(frozen=True)
class DenoiserTarget:
    """The denoiser of the diffusion engine."""

    def network(self, settings: NetworkSettings, material: Material) -> DenoisingNetwork:
        """See ``Target``.

        Raises:
            UsageError: a penalty other than squares: nothing else leads to E[r | noisy].
        """
        if settings.penalty != "squared":
            raise UsageError(f"a denoiser is trained with squared errors; network.penalty is '{settings.penalty}'")
        encoding = material.encoding(observations=True, large_scale=settings.told_large_scale)
        training = DenoisingTraining(orientations=settings.orientations, without_large_scale=_WITHOUT_LARGE_SCALE)
        backbone = BACKBONES[settings.backbone](settings, encoding, material.pairs.layout.grid)
        network = DenoisingNetwork(encoding, backbone, training)
        for name, weight in network.named_parameters():
            weight.requires_grad_(settings.trained == "all" or not name.startswith(_OF_HYBRID))
        return network

    def begin(self, network: torch.nn.Module, start: Checkpoint) -> object:
        """See ``Target``: all weights, or those of a U-Net's convolutions that a hybrid has too.

        Input channels that the earlier network did not have begin with weights of 0.

        Raises:
            InputError: none fits.
        """
        own = network.state_dict()
        renamed = {name.replace("network.", _OF_HYBRID, 1): values for name, values in start.weights.items()}
        weights = {
            name: _widened(values, own.get(name)) if name.endswith(_FIRST) else values
            for name, values in {**renamed, **start.weights}.items()
        }
        fitting = {name: values for name, values in weights.items() if name in own and own[name].shape == values.shape}
        if not fitting:
            raise InputError("no weight of the checkpoint that training shall begin with fits this denoiser")
        _log.info("%d of %d weights are taken from the checkpoint", len(fitting), len(own))
        return network.load_state_dict({**own, **fitting})

    def checkpoint(
        self, network: DenoisingNetwork, material: Material, *, card: str, provenance: Mapping[str, Any]
    ) -> Checkpoint:
        """With B of its residuals, and calibrations of its ensembles' spreads; centred on the packaged regression."""
        centre = load_unet_regression(resource_directory("checkpoints") / "unet_regression", material.cases[0].static)
        trained = fitted_denoiser(
            network, material.cases, densities=material.densities[::2], centre=centre, seed=material.seed
        )
        return denoiser_checkpoint(trained, card=card, provenance=provenance)


TARGETS: Mapping[str, Target] = {
    "unet_regression": RegressionTarget(observations=True),
    "background_correction": RegressionTarget(observations=False),
    "denoiser": DenoiserTarget(),
}
"""What can be trained, by name."""


def _widened(weight: torch.Tensor, like: torch.Tensor | None) -> torch.Tensor:
    """A first convolution's weights (out, in, y, x) with zeros for as many more input channels as ``like`` has."""
    if like is None or like.shape[1] <= weight.shape[1]:
        return weight
    more = weight.new_zeros(weight.shape[0], like.shape[1] - weight.shape[1], *weight.shape[2:])
    return torch.cat([weight, more], dim=1)


def spread_out(pairs: Pairs, count: int) -> Pairs:
    """Up to ``count`` members, evenly spread over all."""
    return pairs.select(torch.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().long().numpy())
