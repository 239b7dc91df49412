"""A case of ``graphcast_parity``: a directory in the format of ../shared/fixtures/graphcast/README.md, read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.config import given_mesh_to_grid
from rtma_diffda.backbones.graphcast.deepmind import from_deepmind, settings_from, task_from
from rtma_diffda.backbones.graphcast.graph import CORNERS
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import FORCINGS, GraphCastTask, Key
from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_layout import global_layout
from rtma_diffda.fields.global_windows import GlobalWindows
from rtma_diffda.forecast.graphcast_network import GRAVITY, HISTORY, GlobalFrames, GraphCastForecastNetwork
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.deepmind_checkpoint import DeepMindCheckpoint, read_deepmind_checkpoint
from rtma_diffda.io.global_statistics import read_global_statistics

_DIMENSIONS = ("batch", "time", "level", "lat", "lon")


@dataclass(frozen=True)
class Case:
    """The files of a directory, and our model with their weights.

    Attributes:
        directory: where they are.
        stored: weights, model and task.
        info: what its author wrote.
        graph, latents: arrays of ``graph.npz`` and ``latents.npz``; empty without the file.
    """

    directory: Path
    stored: DeepMindCheckpoint
    info: Mapping[str, Any] = field(repr=False)
    graph: Mapping[str, np.ndarray] = field(repr=False)
    latents: Mapping[str, np.ndarray] = field(repr=False)

    @classmethod
    def read(cls, directory: Path) -> "Case":
        """The case in a directory."""
        stored = read_deepmind_checkpoint(directory / "checkpoint.npz")
        path = directory / "info.json"
        info = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return cls(directory, stored, info, *(arrays_of(directory / f"{name}.npz") for name in ("graph", "latents")))

    @cached_property
    def settings(self) -> GraphCastSettings:
        """Of the network."""
        return settings_from(self.stored.model_config)

    @cached_property
    def task(self) -> GraphCastTask:
        """Of the network."""
        return task_from(self.stored.task_config)

    @cached_property
    def inputs(self) -> xr.Dataset:
        """Two frames, and static fields."""
        return dataset_of(self.directory / "inputs.nc")

    @cached_property
    def grid(self) -> LatLonGrid:
        """Of the fields."""
        latitudes, longitudes = (self.inputs[name].values.astype(np.float64) for name in ("lat", "lon"))
        return LatLonGrid(latitudes, longitudes, periodic=True)

    @cached_property
    def own_backbone(self) -> GraphCastBackbone:
        """With our choice of mesh-to-grid edges."""
        return GraphCastBackbone(self.settings, self.task, self.grid)

    @cached_property
    def backbone(self) -> GraphCastBackbone:
        """With the mesh-to-grid edges of the file, where there are any."""
        edges = self.mesh_to_grid
        return self.own_backbone if edges is None else given_mesh_to_grid(self.own_backbone, edges)

    @property
    def mesh_to_grid(self) -> np.ndarray | None:
        """(grid point, 3) mesh nodes that send to each point."""
        if "mesh2grid_senders" not in self.graph:
            return None
        order = np.argsort(self.graph["mesh2grid_receivers"], kind="stable")
        return self.graph["mesh2grid_senders"][order].reshape(-1, CORNERS)

    @cached_property
    def valid_times(self) -> np.ndarray:
        """(member, time) datetime64[ns] of inputs and targets."""
        return np.array(self.info["datetime"], "datetime64[ns]")

    @cached_property
    def model(self) -> GraphCastForecastNetwork:
        """Ours with the weights of the file, told the forcings of the file."""
        height = self.fields("inputs.nc", [("geopotential_at_surface", None)])[0, 0, 0].double().numpy() / GRAVITY
        land = self.fields("inputs.nc", [("land_sea_mask", None)])[0, 0, 0].double().numpy()
        statistics = read_global_statistics(self.directory)
        static = StaticFields(self.grid, height, land, source=str(self.directory))
        made = GraphCastForecastNetwork(self.backbone, statistics, static, forcings=self.forcings_at)
        made.network.load_state_dict(from_deepmind(self.stored.params, self.settings))
        return made.eval()

    @cached_property
    def forcings(self) -> dict[np.datetime64, Tensor]:
        """(5, y, x) by valid time, of inputs and targets."""
        keys = [(name, None) for name in FORCINGS if name in self.task.forcing_variables]
        rows = [FORCINGS.index(name) for name, _ in keys]
        parts = torch.cat([self.fields(name, keys) for name in ("inputs.nc", "forcings.nc")], dim=1)
        found = {}
        for member, times in enumerate(self.valid_times):
            for i, time in enumerate(times[: parts.shape[1]]):
                values = torch.zeros(len(FORCINGS), *self.grid.shape)
                values[rows] = parts[min(member, len(parts) - 1), i]
                found[time] = values
        return found

    def forcings_at(self, valid_times: np.ndarray, grid: LatLonGrid) -> Tensor:
        """The file's in place of ``global_forcings``: the reference rounds solar radiation where ours does not."""
        del grid
        return torch.stack([self.forcings[time] for time in valid_times.astype("datetime64[ns]")])

    @cached_property
    def frames(self) -> GlobalFrames:
        """What the first step begins with."""
        states = self.fields("inputs.nc", self.task.prognostic)
        return GlobalFrames(states[:, 0], states[:, 1], self.valid_times[:, HISTORY - 1])

    def windows(self, steps: int) -> GlobalWindows:
        """Inputs and ``steps`` targets; channels that are only answered are zero in the inputs."""
        keys = (*self.model.keys, *self.model.diagnostic_keys)
        history = self.fields("inputs.nc", self.model.keys)
        blank = history.new_zeros(*history.shape[:2], len(keys) - history.shape[2], *history.shape[3:])
        targets = self.fields("targets.nc", keys)[:, :steps]
        values = torch.cat([torch.cat([history, blank], dim=2), targets], dim=1)
        return GlobalWindows(values, self.valid_times[:, : values.shape[1]], global_layout(keys, self.grid))

    def fields(self, name: str, keys: Sequence[Key]) -> Tensor:
        """(member, time, channel, y, x) of a file, with one time where fields have none."""
        dataset = dataset_of(self.directory / name)
        return torch.stack([self._field(dataset, *key) for key in keys], dim=2)

    def _field(self, dataset: xr.Dataset, variable: str, level: float | None) -> Tensor:
        """(member, time, y, x) of one variable; dimensions that it lacks have one entry, or are repeated."""
        if variable not in dataset:
            raise InputError(f"{variable} is not among {', '.join(map(str, dataset.data_vars))}")
        values = dataset[variable]
        values = values if level is None else values.sel(level=level)
        missing = [name for name in _DIMENSIONS if name != "level" and name not in values.dims]
        values = values.expand_dims(missing).transpose("batch", "time", "lat", "lon")
        found = torch.from_numpy(np.array(values.values, np.float32))
        return found.expand(*found.shape[:2], *self.grid.shape)


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an ``.npz`` file; empty without it."""
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def dataset_of(path: Path) -> xr.Dataset:
    """A NetCDF file in memory."""
    with xr.open_dataset(path, engine="scipy", decode_times=False) as opened:
        return opened.load()
