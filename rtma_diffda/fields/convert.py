"""The one crossing between xarray (edges) and torch (inside)."""

import numpy as np
import torch
import xarray as xr

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State


def state_to_dataset(state: State) -> xr.Dataset:
    """A state as a dataset: one variable a channel, dims (realization, y, x), with ``time`` as scalar coordinate.

    Only names and numbers: CF attributes are added by ``io.cf``.
    """
    values = state.values.detach().cpu().numpy()
    fields = {name: (("realization", "y", "x"), values[:, i]) for i, name in enumerate(state.layout.names)}
    coordinates = {
        "realization": np.arange(state.members),
        "y": state.layout.grid.y,
        "x": state.layout.grid.x,
        "time": np.datetime64(state.valid_time, "ns"),
    }
    return xr.Dataset(fields, coordinates)


def dataset_to_state(dataset: xr.Dataset, layout: Layout, *, dtype: torch.dtype = torch.float32) -> State:
    """The inverse: dims (y, x) or (realization, y, x) and a scalar ``time``; channels are matched by name.

    Raises:
        InputError: a channel or the time is missing, or the grid differs from the layout's.
    """
    missing = [name for name in layout.names if name not in dataset]
    if missing:
        raise InputError(f"dataset lacks {missing}; it has {sorted(map(str, dataset.data_vars))}")
    if "time" not in dataset.coords or dataset["time"].ndim:
        raise InputError("dataset needs one scalar time")
    for axis, expected in (("y", layout.grid.y), ("x", layout.grid.x)):
        found = dataset[axis].values if axis in dataset.coords else np.empty(0)
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=0, atol=1.0):
            raise InputError(
                f"dataset is on another grid: its {axis} axis has {found.size} points, expected {expected.size} "
                f"from {expected[0]:.0f} to {expected[-1]:.0f} m"
            )
    fields = [dataset[name] for name in layout.names]
    fields = [field if "realization" in field.dims else field.expand_dims("realization") for field in fields]
    stacked = np.stack([field.transpose("realization", "y", "x").values for field in fields], axis=1)
    return State(torch.from_numpy(stacked).to(dtype), layout, dataset["time"].values.astype("datetime64[ns]"))
