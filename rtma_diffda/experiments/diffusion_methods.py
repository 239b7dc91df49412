"""The diffusion methods by name: one trained denoiser, several ways for the observations to enter.

``diffusion`` is the default of regional analyses: the prior given the background, and ``kalman``; stations, variables
and errors are free. ``diffusion_channels`` shows the observations to the network. ``diffusion_centred`` moves the
ensemble of ``diffusion`` towards the regression network's analysis. ``diffda`` is the published recipe: replacement
with resampling along DiffDA's own noise levels, here with every tenth of them.

The default's network is a hybrid of convolutions and a mesh that is told the state of a global run.
``diffusion_meshless`` is the same with its mesh left out, to see what that is worth. The same job done by other
networks, and otherwise as ``diffusion``: ``diffusion_unet`` (a U-Net that is told no global run),
``diffusion_unet_global`` (a U-Net that is told it) and ``diffusion_graph`` (a mesh alone, told it too).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser, denoiser_from_checkpoint
from rtma_diffda.assimilation.denoising_network import DenoisingNetwork
from rtma_diffda.assimilation.diffusion import DiffusionAssimilation, Fitted
from rtma_diffda.assimilation.observation_entry import (
    ObservationEntry,
    ThroughChannels,
    ThroughKalman,
    ThroughReplacement,
)
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration
from rtma_diffda.backbones.limited_area.backbone import LimitedAreaBackbone
from rtma_diffda.diffusion.paths import diffda_path, karras_path
from rtma_diffda.diffusion.sampling import Ancestral, Sampler
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AnalysisMethod
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.resources import resource_directory

MEMBERS = 8
DEFAULT_SAMPLER = Sampler(karras_path(14, highest=80.0, lowest=0.03), Ancestral())
"""Fourteen calls, chosen by ``validation/benchmarks/sampling.py``: more add spread that calibration adds anyway."""
DIFFDA_SAMPLER = Sampler(diffda_path(30, jump_length=10, resamplings=10), Ancestral(eta=0.0))
"""DiffDA's path with a tenth of its levels, 210 calls: the whole, 2,910 calls, takes two minutes an analysis."""

DENOISERS: Mapping[str, str] = {
    "diffusion": "denoiser",
    "diffusion_channels": "denoiser",
    "diffusion_centred": "denoiser",
    "diffda": "denoiser",
    "diffusion_meshless": "denoiser",
    "diffusion_unet": "denoiser_unet",
    "diffusion_unet_global": "denoiser_unet_global",
    "diffusion_graph": "denoiser_graph",
}
"""The checkpoint of each method."""


def _kalman(trained: TrainedDenoiser) -> ObservationEntry:
    return ThroughKalman(trained.residual_errors, trained.residual_error_factors)


_OTHER_ENTRIES: Mapping[str, Callable[[TrainedDenoiser], ObservationEntry]] = {
    "diffusion_channels": lambda trained: ThroughChannels(),
    "diffda": lambda trained: ThroughReplacement(),
}
"""How observations enter where it is not through ``kalman``."""


def diffusion_method(
    name: str, trained: TrainedDenoiser, static: StaticFields, *, centre: AnalysisMethod | None = None
) -> DiffusionAssimilation:
    """The method called ``name``, with the calibration that the checkpoint has for it.

    Args:
        name: a key of ``DENOISERS``.
        trained: the denoiser.
        static: terrain and land.
        centre: for ``diffusion_centred``.
    """
    fitted = _fitted(name, trained)
    return DiffusionAssimilation(
        static,
        trained.network,
        fitted.entry,
        DIFFDA_SAMPLER if name == "diffda" else DEFAULT_SAMPLER,
        members=MEMBERS,
        calibration=fitted.calibration,
        centre=centre,
        centring=fitted.centring,
        bfloat16=None,
        without_boundary=None if trained.without_large_scale is None else _fitted(name, trained.without_large_scale),
    )


def _fitted(name: str, trained: TrainedDenoiser) -> Fitted:
    calibration = trained.calibrations.get(_calibrated_as(name), SpreadCalibration())
    return Fitted(_OTHER_ENTRIES.get(name, _kalman)(trained), calibration, trained.centring)


def _calibrated_as(name: str) -> str:
    """The method under whose name a checkpoint has the calibration: other networks are calibrated as the default is."""
    return name if DENOISERS[name] == DENOISERS["diffusion"] else "diffusion"


def without_mesh(trained: TrainedDenoiser) -> TrainedDenoiser:
    """The denoiser with the mesh of its hybrid network left out, and everything else as it is.

    Raises:
        UsageError: its network is no hybrid.
    """
    network = trained.network
    backbone = network.backbone
    if not isinstance(backbone, LimitedAreaBackbone) or not backbone.settings.convolutions:
        raise UsageError("only a hybrid of convolutions and a mesh does without its mesh")
    bare = replace(backbone, settings=replace(backbone.settings, meshed=False))
    left = DenoisingNetwork(network.encoding, bare, network.training_settings)
    left.load_state_dict({name: network.state_dict()[name] for name in left.state_dict()})
    alone = trained.without_large_scale
    return replace(
        trained,
        network=left.eval(),
        without_large_scale=None if alone is None else replace(alone, network=left),
    )


@lru_cache(maxsize=2)
def packaged_denoiser(*, global_run: bool = True) -> TrainedDenoiser:
    """The denoiser that ships with the package for problems with a global run, or the U-Net for those without.

    The former does without a global run too, with 1.02 times the U-Net's error.
    """
    name = DENOISERS["diffusion" if global_run else "diffusion_unet"]
    return denoiser_from_checkpoint(read_checkpoint(resource_directory("checkpoints") / name))


def background_mean(trained: TrainedDenoiser, static: StaticFields) -> DiffusionAssimilation:
    """E[truth | background]: the denoiser's answer to pure noise, one call."""
    method = diffusion_method("diffusion", trained, static)
    one_call = Sampler((80.0, 0.0), Ancestral())
    return replace(method, sampler=one_call, members=1, calibration=SpreadCalibration(), without_boundary=None)
