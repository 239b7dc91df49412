"""One network on grids of several sizes: the same weights, features of edges that keep their meaning, sentences."""

from dataclasses import replace

import pytest
import torch

from rtma_diffda.backbones.limited_area.backbone import LimitedAreaBackbone, unit_of
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.settings import LimitedAreaSettings
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import ProjectedGrid

GRID = ProjectedGrid("+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=0 +R=6371200", 32, 32, 5e3, 5e3, 0.0, 0.0)
HYBRID = LimitedAreaBackbone(
    LimitedAreaSettings(3, 2, mesh="flat", hidden=8, processor_layers=2, convolutions=(4, 8)),
    MeshDesign("multiscale", spacing=1.0, refinement=2, levels=3),
    GRID,
)
PURE = replace(HYBRID, settings=replace(HYBRID.settings, convolutions=()), design=replace(HYBRID.design, spacing=2.0))


def test_the_same_grid_is_the_same_backbone():
    assert HYBRID.on_grid(GRID) is HYBRID
    assert HYBRID.on_grid(replace(GRID, x0=1e5)) is HYBRID


@pytest.mark.parametrize("backbone", [HYBRID, PURE])
@pytest.mark.parametrize("size", [(64, 48), (31, 35), (17, 20)])
def test_weights_fit_grids_of_other_sizes(backbone, size):
    nx, ny = size
    there = backbone.on_grid(replace(GRID, nx=nx, ny=ny))
    network = there.network()
    network.load_state_dict(backbone.network().state_dict())
    assert network(torch.randn(2, 3, ny, nx)).shape == (2, 2, ny, nx)


def test_edges_of_one_length_have_one_feature_on_all_grids():
    small = HYBRID.on_grid(replace(GRID, nx=16, ny=16))  # where the longest edges do not fit
    assert len(small.graph.same_level[0]) < len(HYBRID.graph.same_level[0])
    assert unit_of(small.graph) == pytest.approx(unit_of(HYBRID.graph), rel=1e-5)
    near = small.graph.mesh_to_grid.features[:, 0].min()
    assert float(near) == pytest.approx(float(HYBRID.graph.mesh_to_grid.features[:, 0].min()), rel=1e-4)


def test_answer_in_the_middle_does_not_depend_on_where_the_region_lies():
    """No coordinates: a field moved by whole meshes gives the answer moved, far from the rim."""
    backbone = replace(
        PURE, settings=replace(PURE.settings, processor_layers=1), design=MeshDesign("flat", spacing=2.0)
    )
    torch.manual_seed(0)
    network, values = backbone.network(), torch.randn(1, 3, 32, 32)
    answer, moved = network(values), network(torch.roll(values, 4, dims=-1))
    torch.testing.assert_close(moved[..., 10:22, 14:26], answer[..., 10:22, 10:22], rtol=1e-4, atol=1e-5)


def test_a_grid_of_another_spacing_has_the_same_graph():
    """What that means for skill is for the denoiser to say (``InputEncoding.shortcomings``)."""
    fine = HYBRID.on_grid(replace(GRID, dx=2.5e3, dy=2.5e3))
    torch.testing.assert_close(fine.graph.tensors(), HYBRID.graph.tensors())


def test_a_small_grid_has_a_mesh_without_long_edges_and_a_tiny_one_is_refused():
    small = HYBRID.on_grid(replace(GRID, nx=12, ny=12))
    assert 1 < small.graph.level_sizes[0] < HYBRID.graph.level_sizes[0]
    network, values = small.network(), torch.randn(1, small.in_channels, 12, 12)
    assert torch.isfinite(network(values, *([torch.ones(1)] if small.noise_level else []))).all()
    with pytest.raises(UsageError, match=r"a region of \d+ × 2 points is too small for a mesh"):
        HYBRID.on_grid(replace(GRID, ny=2))
