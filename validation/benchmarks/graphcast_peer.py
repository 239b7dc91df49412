"""The published code's side of ``graphcast.py``: runs where JAX and the package ``graphcast`` (tag v0.2) are at hand.

    PEER/bin/python validation/benchmarks/graphcast_peer.py CASE --threads N --repeats N [--package DIR]

CASE is a directory with a checkpoint and a stacked input. Step and gradient are compiled; nothing is left on the host.
"""

import argparse
import json
import sys
from pathlib import Path

from graphcast_measure import KINDS, pinned, timed


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--package", type=Path)
    chosen = parser.parse_args()
    pinned(chosen.threads)
    sys.path.remove(str(Path(__file__).resolve().parent))  # graphcast is a package here, not the script beside this one
    if chosen.package is not None:
        sys.path.insert(0, str(chosen.package))
    import jax
    import numpy as np

    forward, both = compiled(chosen.case)
    found = {
        kind: timed(lambda step=step: jax.block_until_ready(step()), chosen.repeats)
        for kind, step in zip(KINDS, (forward, both), strict=True)
    }
    answer = {name: np.asarray(values) for name, values in forward().items()}
    parts = [values[:, 0] if values.ndim == 5 else values for _, values in sorted(answer.items())]
    np.save(chosen.case / "peer.npy", np.concatenate(parts, axis=1))
    loss, gradients = both()
    squares = sum(float((np.asarray(g, np.float64) ** 2).sum()) for g in jax.tree_util.tree_leaves(gradients))
    print(json.dumps(found | {"loss": float(loss), "gradient": squares**0.5}))


def compiled(case: Path):
    """Two functions without arguments: the answer by variable; and its mean square with the gradient by all weights."""
    import haiku as hk
    import jax
    from graphcast import checkpoint, graphcast, xarray_jax

    with (case / "checkpoint.npz").open("rb") as file:
        stored = checkpoint.load(file, graphcast.CheckPoint)
    inputs, forcings, template = data_sets(case, stored.task_config.target_variables)

    def network(inputs, template, forcings):
        return graphcast.GraphCast(stored.model_config, stored.task_config)(inputs, template, forcings)

    transformed, key = hk.transform(network), jax.random.PRNGKey(0)

    def answer(params, inputs, forcings):
        found = transformed.apply(params, key, inputs, template, forcings)
        return {name: xarray_jax.unwrap_data(values) for name, values in found.items()}

    def loss(params, inputs, forcings):
        found = answer(params, inputs, forcings)
        return sum((values**2).sum() for values in found.values()) / sum(values.size for values in found.values())

    forward, both = jax.jit(answer), jax.jit(jax.value_and_grad(loss))
    params = jax.device_put(stored.params)
    return (lambda: forward(params, inputs, forcings)), (lambda: both(params, inputs, forcings))


def data_sets(case: Path, targets):
    """Inputs and forcings of a case, and a template of its answer, as the published code takes them."""
    import numpy as np
    import xarray as xr

    about = json.loads((case / "case.json").read_text(encoding="utf-8"))
    arrays = np.load(case / "case.npz")
    axes = (arrays["latitudes"].astype(np.float32), arrays["longitudes"].astype(np.float32), about["levels"])
    inputs, forcings = (
        data_set(arrays["stacked"], about["channels"], frames, axes)
        for frames in (("earlier", "later", "static"), ("target",))
    )
    dims = ("batch", "time", "level", "lat", "lon")
    shape = (len(arrays["stacked"]), 1, len(axes[2]), len(axes[0]), len(axes[1]))
    surface = (dims[:2] + dims[3:], np.zeros(shape[:2] + shape[3:], np.float32))
    upper = (dims, np.zeros(shape, np.float32))
    template = {name: upper if name in about["atmospheric"] else surface for name in targets}
    return inputs, forcings, xr.Dataset(template, coords=forcings.coords)


def data_set(stacked, channels, frames, axes):
    """The variables of these frames of a stacked input (member, channel, y, x)."""
    import numpy as np
    import pandas as pd
    import xarray as xr

    found = {}
    for name in dict.fromkeys(channel[0] for channel in channels if channel[2] in frames):
        rows = [i for i, channel in enumerate(channels) if channel[0] == name and channel[2] in frames]
        levels = dict.fromkeys(channels[i][1] for i in rows)
        values = stacked[:, rows]
        if channels[rows[0]][2] == "static":
            found[name] = (("lat", "lon"), values[0, 0])
        elif None in levels:
            found[name] = (("batch", "time", "lat", "lon"), values)
        else:
            values = values.reshape(len(values), -1, len(levels), *values.shape[2:])
            found[name] = (("batch", "time", "level", "lat", "lon"), values)
    hours = {"earlier": -6, "later": 0, "target": 6}
    times = [hours[frame] for frame in ("earlier", "later", "target") if frame in frames]
    coords = {"lat": axes[0], "lon": axes[1], "time": pd.to_timedelta(times, unit="h"), "level": np.array(axes[2])}
    return xr.Dataset(found, coords=coords)


if __name__ == "__main__":
    main()
