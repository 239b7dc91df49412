"""A small world for networks: pairs on a square grid with terrain, and an encoding for them."""

import numpy as np
import torch

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.network_inputs import InputEncoding
from rtma_diffda.assimilation.regression_network import RegressionNetwork, RegressionTraining, unet_settings
from rtma_diffda.assimilation.simulated_observing import Observing
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields, ridge_and_coast

GRID = ProjectedGrid(
    "+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200 +units=m", 16, 16, 1e4, 1e4, -7.5e4, -7.5e4
)
STATIC = ridge_and_coast(GRID)
NAMES = ("t2m", "d2m", "u10m", "v10m", "sp")
LAYOUT = Layout.of(GRID, NAMES)
TYPICAL = torch.tensor([285.0, 265.0, 3.0, 1.0, 98000.0])[:, None, None]
SCALES = {"t2m": 1.5, "d2m": 1.7, "u10m": 1.2, "v10m": 1.2, "sp": 60.0}
ERRORS = {
    name: BackgroundError(scale, 3e4, 500.0, 3.0 * scale, land_sea_factor=0.8, bias_std=0.2 * scale)
    for name, scale in SCALES.items()
}
ENCODING = InputEncoding(SCALES, ERRORS, {"t2m": 0.9})
FEW = Observing(8, 20, none_share=0.0)


def pairs_of(members: int = 3, *, static: StaticFields = STATIC, seed: int = 0) -> Pairs:
    """Smooth truths around typical values, and backgrounds that differ by a smooth error of the size of the scales."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor(list(SCALES.values()))[:, None, None]
    smooth = [_smooth(members, generator) for _ in range(2)]
    truth = TYPICAL + 2.0 * scale * smooth[0]
    terrain, land = (
        torch.from_numpy(np.asarray(part, np.float32)).expand(members, -1, -1)
        for part in (static.orography, static.land_fraction)
    )
    times = np.datetime64("2026-03-01T00:00", "ns") + np.arange(members) * np.timedelta64(5, "h")
    return Pairs(truth, truth - scale * smooth[1], terrain, land, times, np.arange(members), LAYOUT)


def _smooth(members: int, generator: torch.Generator) -> torch.Tensor:
    coarse = torch.randn(members, len(NAMES), 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=GRID.shape, mode="bicubic", align_corners=True)


def network_of(encoding: InputEncoding = ENCODING, *, seed: int = 0, **training: object) -> RegressionNetwork:
    torch.manual_seed(seed)
    settings = RegressionTraining(**{"observing": FEW, **training})
    return RegressionNetwork(encoding, unet_settings(encoding, (8, 16)), settings)


def wake(network: RegressionNetwork, seed: int = 5) -> RegressionNetwork:
    """The network with an output that is not nought."""
    torch.nn.init.normal_(network.unet.head.weight, std=0.05, generator=torch.Generator().manual_seed(seed))
    return network
