"""The published GraphCast networks: what they are made for, their shape, and the file that each is in.

Files are in the public bucket ``dm_graphcast``, folder ``graphcast/params``. Published is the shape of the network of
0.25 degrees and 37 levels; that the others share its numbers is believed, and a file's own configuration is what counts
when it is read. Reference: README of the published code, https://github.com/google-deepmind/graphcast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import TASKS, GraphCastTask
from rtma_diffda.errors import InputError
from rtma_diffda.geo.grid import LatLonGrid

LICENCE = (
    "The weights of GraphCast are Google DeepMind's. They were published under CC BY-NC-SA 4.0 (no commercial use); "
    "copies of the files may still say so; since August 2026 DeepMind's README puts them under CC BY 4.0."
)
_RADIUS, _LONGEST_EDGE = 0.5999912857713345, 0.6180338738074472


@dataclass(frozen=True)
class PublishedNetwork:
    """One of them.

    Attributes:
        file: name of its file.
        task: variables and levels.
        settings: its shape.
        resolution: spacing of its grid, degrees.
    """

    file: str
    task: GraphCastTask
    settings: GraphCastSettings
    resolution: float

    @property
    def grid(self) -> LatLonGrid:
        """Of its fields."""
        return global_grid_of(self.resolution)

    @property
    def backbone(self) -> GraphCastBackbone:
        """The network on its own grid."""
        return GraphCastBackbone(self.settings, self.task, self.grid)


def global_grid_of(resolution: float) -> LatLonGrid:
    """The global grid of a spacing (degrees) that divides 180: both poles, and columns from longitude 0.

    Raises:
        InputError: it does not.
    """
    rows = round(180.0 / resolution) if resolution > 0 else 0
    if not np.isclose(rows * resolution, 180.0):
        raise InputError(f"the spacing of a global grid must divide 180 degrees; found {resolution:g}")
    columns = np.arange(2 * rows) * (180.0 / rows)
    return LatLonGrid(np.linspace(-90.0, 90.0, rows + 1), columns, periodic=True)


def _settings(mesh_size: int) -> GraphCastSettings:
    return GraphCastSettings(
        mesh_size, 512, 16, radius_fraction=_RADIUS, mesh2grid_edge_normalization_factor=_LONGEST_EDGE
    )


PUBLISHED: Mapping[str, PublishedNetwork] = MappingProxyType(
    {
        "GraphCast": PublishedNetwork(
            "GraphCast - ERA5 1979-2017 - resolution 0.25 - pressure levels 37 - mesh 2to6 - precipitation input and "
            "output.npz",
            TASKS["GraphCast"],
            _settings(6),
            0.25,
        ),
        "GraphCast_small": PublishedNetwork(
            "GraphCast_small - ERA5 1979-2015 - resolution 1.0 - pressure levels 13 - mesh 2to5 - precipitation input "
            "and output.npz",
            TASKS["GraphCast_small"],
            _settings(5),
            1.0,
        ),
        "GraphCast_operational": PublishedNetwork(
            "GraphCast_operational - ERA5-HRES 1979-2021 - resolution 0.25 - pressure levels 13 - mesh 2to6 - "
            "precipitation output only.npz",
            TASKS["GraphCast_operational"],
            _settings(6),
            0.25,
        ),
    }
)
"""By the name of the model."""
