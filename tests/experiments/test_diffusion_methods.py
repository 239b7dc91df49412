"""Diffusion methods by name: the checkpoint of each, the way in of its observations, and whose calibration it takes."""

import numpy as np
import pytest
import torch

from rtma_diffda.assimilation.observation_entry import ThroughChannels, ThroughKalman, ThroughReplacement
from rtma_diffda.backbones.limited_area.backbone import LimitedAreaBackbone
from rtma_diffda.backbones.unet import UNetSettings
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.compare import DEFAULT_METHODS
from rtma_diffda.experiments.compared_methods import COMPARED, Workshop
from rtma_diffda.experiments.diffusion_methods import DENOISERS, diffusion_method, packaged_denoiser, without_mesh
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields

GRID = load_region("osse_small").grid
STATIC = StaticFields(GRID, np.zeros(GRID.shape), np.ones(GRID.shape))


@pytest.mark.parametrize("name", DENOISERS)
def test_observations_enter_as_the_name_says(name):
    entry = {"diffusion_channels": ThroughChannels, "diffda": ThroughReplacement}.get(name, ThroughKalman)
    assert isinstance(diffusion_method(name, packaged_denoiser(), STATIC).entry, entry)


def test_other_networks_are_calibrated_as_the_default_is():
    trained = packaged_denoiser()
    for name in ("diffusion_unet", "diffusion_unet_global", "diffusion_graph"):
        assert diffusion_method(name, trained, STATIC).calibration == trained.calibrations["diffusion"]
    own = diffusion_method("diffusion_channels", trained, STATIC).calibration
    assert own == trained.calibrations["diffusion_channels"] != trained.calibrations["diffusion"]


def test_every_network_can_be_compared_and_those_that_ship_are_by_default():
    assert set(DENOISERS) <= set(COMPARED)
    assert {name for name in DENOISERS if name in DEFAULT_METHODS} == {
        "diffusion",
        "diffusion_channels",
        "diffusion_centred",
        "diffusion_unet",
    }


def test_a_denoiser_that_several_methods_share_is_read_once():
    workshop = Workshop((), None, {"denoiser_graph": "nowhere"})
    assert workshop.denoiser("denoiser") is workshop.denoiser("denoiser")
    assert workshop.denoiser("denoiser_unet") is not workshop.denoiser("denoiser")
    with pytest.raises(InputError, match="nowhere"):
        workshop.denoiser("denoiser_graph")


def test_problems_without_a_global_run_have_the_unet():
    assert isinstance(packaged_denoiser(global_run=False).network.backbone, UNetSettings)
    assert packaged_denoiser(global_run=True) is packaged_denoiser(global_run=True)


def test_without_its_mesh_a_hybrid_is_its_convolutions():
    trained = packaged_denoiser()
    bare = without_mesh(trained)
    assert bare.network.network.graph is None and bare.residual_errors == trained.residual_errors
    assert bare.without_large_scale.network is bare.network
    context = torch.zeros(1, bare.network.backbone.in_channels - 5, 64, 64)
    noisy, sigma = torch.randn(1, 5, 64, 64, generator=torch.Generator().manual_seed(1)), torch.tensor([2.0])
    with torch.no_grad():
        whole, left = (d.network(noisy, sigma, context) for d in (trained, bare))
    assert torch.isfinite(left).all() and whole.shape == left.shape
    with pytest.raises(UsageError, match="only a hybrid"):
        without_mesh(Workshop((), None, {}).denoiser("denoiser_unet"))


def test_the_packaged_hybrid_does_for_any_size_of_region():
    network = Workshop((), None, {}).denoiser("denoiser").network
    assert isinstance(network.backbone, LimitedAreaBackbone) and network.backbone.settings.meshed
    wide = network.on_grid(ProjectedGrid(GRID.projection, 150, 100, 5e3, 5e3, 0.0, 0.0))
    assert wide.backbone.graph.interior_count > network.backbone.graph.interior_count
