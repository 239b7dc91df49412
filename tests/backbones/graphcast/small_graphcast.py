"""Small GraphCast networks for tests."""

from dataclasses import replace

import numpy as np
import torch

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.network import GraphCastNetwork
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import GraphCastTask
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.geo.grid import LatLonGrid

PLAIN = Evaluation(split=False, keep_static=False, fixed_degree=False)


def globe(spacing: float = 18.0) -> LatLonGrid:
    """Both poles, and columns from longitude 0."""
    rows = round(180 / spacing)
    return LatLonGrid(np.linspace(-90.0, 90.0, rows + 1), np.arange(2 * rows) * spacing, periodic=True)


def small_task(**kwargs: object) -> GraphCastTask:
    """Two surface variables and two on two levels."""
    return GraphCastTask.of(
        ("2m_temperature", "total_precipitation_6hr"), ("geopotential", "temperature"), levels=(500, 850), **kwargs
    )


def small_settings(**kwargs: object) -> GraphCastSettings:
    """A mesh of 42 nodes."""
    return GraphCastSettings(**{"mesh_size": 1, "latent_size": 8, "message_steps": 2, **kwargs})


def small_backbone(**kwargs: object) -> GraphCastBackbone:
    """On 11 × 20 points."""
    return GraphCastBackbone(small_settings(**kwargs), small_task(), globe())


def small_graphcast(backbone: GraphCastBackbone | None = None, *, seed: int = 0) -> GraphCastNetwork:
    """A network whose norms and biases are not trivial."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = (backbone or small_backbone()).network()
        with torch.no_grad():
            for weight in network.parameters():
                if weight.ndim == 1:
                    weight.add_(0.3 * torch.randn_like(weight))
    return network.eval()


def computed(network: GraphCastNetwork, backbone: GraphCastBackbone, evaluation: Evaluation) -> GraphCastNetwork:
    """The same weights, computed in another way."""
    other = replace(backbone, settings=replace(backbone.settings, evaluation=evaluation)).network()
    other.load_state_dict(network.state_dict())
    return other.eval()


def stacked(backbone: GraphCastBackbone, members: int = 2, *, seed: int = 1) -> torch.Tensor:
    """A normalised input (member, in, y, x)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(members, backbone.in_channels, *backbone.grid.shape, generator=generator)
