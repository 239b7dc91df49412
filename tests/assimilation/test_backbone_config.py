"""Backbones survive a checkpoint; a graph that is not the one the weights were trained on is refused."""

import pytest
import torch
from regression_world import ENCODING

from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser, denoiser_checkpoint, denoiser_from_checkpoint
from rtma_diffda.assimilation.denoising_network import DenoisingNetwork, denoiser_channels, denoiser_settings
from rtma_diffda.backbones.limited_area.backbone import LimitedAreaBackbone
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.settings import LimitedAreaSettings
from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.io.checkpoint import read_checkpoint, write_checkpoint

GRID = ProjectedGrid("+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=0 +R=6371200", 16, 16, 5e3, 5e3, 0.0, 0.0)
DESIGN = MeshDesign("multiscale", spacing=2.0, refinement=2, levels=2)


def limited_area(**settings: object) -> LimitedAreaBackbone:
    channels = denoiser_channels(ENCODING)
    made = LimitedAreaSettings(*channels, mesh="flat", hidden=8, processor_layers=1, noise_level=True, **settings)
    return LimitedAreaBackbone(made, DESIGN, GRID)


BACKBONES = {
    "unet": lambda: denoiser_settings(ENCODING, (4, 8)),
    "graph": limited_area,
    "hybrid": lambda: limited_area(convolutions=(4,)),
}


def trained(kind: str) -> TrainedDenoiser:
    torch.manual_seed(0)
    network = DenoisingNetwork(ENCODING, BACKBONES[kind]())
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return TrainedDenoiser(network.eval(), ENCODING.background_errors)


def arguments(network: DenoisingNetwork, size: int = 16) -> tuple[torch.Tensor, ...]:
    variables = len(ENCODING.names)
    context = network.backbone.in_channels - variables
    draws = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, variables, size, size, generator=draws)
    return noisy, torch.tensor([0.5, 3.0]), torch.rand(2, context, size, size, generator=draws)


@pytest.mark.parametrize("kind", BACKBONES)
def test_a_checkpoint_gives_the_same_denoiser(kind, tmp_path):
    before = trained(kind)
    write_checkpoint(tmp_path / "denoiser", denoiser_checkpoint(before), created="2026-01-01T00:00:00Z")
    after = denoiser_from_checkpoint(read_checkpoint(tmp_path / "denoiser"))
    given = arguments(before.network)
    assert torch.equal(after.network(*given), before.network(*given))


def test_another_graph_than_the_weights_were_trained_on_is_refused():
    checkpoint = denoiser_checkpoint(trained("graph"))
    name = "graph.mesh_to_grid.features"
    checkpoint.statistics[name] = checkpoint.statistics[name] + 0.5
    with pytest.raises(InputError, match=r"holds graph .*; its weights were trained on graph"):
        denoiser_from_checkpoint(checkpoint)


def test_a_missing_graph_is_told():
    checkpoint = denoiser_checkpoint(trained("graph"))
    del checkpoint.statistics["graph.counts"]
    with pytest.raises(InputError, match="lacks something"):
        denoiser_from_checkpoint(checkpoint)


@pytest.mark.parametrize("kind", ["graph", "hybrid"])
def test_moves_to_other_grids_with_its_weights(kind):
    network = trained(kind).network
    there = network.on_grid(ProjectedGrid(GRID.projection, 24, 24, 5e3, 5e3, 0.0, 0.0))
    assert there is network.on_grid(ProjectedGrid(GRID.projection, 24, 24, 5e3, 5e3, 0.0, 0.0))
    assert all(torch.equal(a, b) for a, b in zip(there.parameters(), network.parameters(), strict=True))
    noisy, sigma, context = arguments(network, 24)
    assert there(noisy, sigma, context).shape == noisy.shape


def test_convolutions_are_at_home_on_every_grid():
    network = trained("unet").network
    assert network.on_grid(ProjectedGrid(GRID.projection, 24, 24, 5e3, 5e3, 0.0, 0.0)) is network
