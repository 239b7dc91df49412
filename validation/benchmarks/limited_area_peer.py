"""Neural-LAM's side of ``limited_area.py``: runs in an environment with ``neural-lam`` and ``weather-model-graphs``.

    PEER/bin/python validation/benchmarks/limited_area_peer.py CASE --make MODEL --points 128     writes a case
    PEER/bin/python validation/benchmarks/limited_area_peer.py CASE                               measures its model

Packages that Neural-LAM imports for data and logging alone may be absent.
"""

import importlib
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from limited_area_case import CELLS, FORCING, HIDDEN, LAYERS, SPACING, STATE, STATIC
from limited_area_measure import measure, report, worker_arguments

UNUSED = ("mllam_data_prep", "mlflow", "mlflow.pytorch", "wandb")


class Blank(types.ModuleType):
    """A module in place of an absent one; every name in it is a class without content."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Datastore:
    """What a step predictor asks of the data: numbers, statistics and static fields."""

    def __init__(self, root: Path, xy: np.ndarray, static: np.ndarray) -> None:
        self.root_path, self.xy, self.static, self.num_grid_points = root, xy, static, len(xy)

    def get_num_data_vars(self, category: str) -> int:
        return {"state": STATE, "forcing": FORCING, "static": STATIC}[category]

    def get_vars_names(self, category: str) -> list[str]:
        return [f"{category}_{i}" for i in range(self.get_num_data_vars(category))]

    def get_dataarray(self, category: str, split: str | None, standardize: bool = False) -> xr.DataArray:
        return xr.DataArray(self.static, dims=["grid_index", "static_feature"])

    def get_standardization_dataarray(self, category: str) -> xr.Dataset:
        zero, one = np.zeros(STATE, np.float32), np.ones(STATE, np.float32)
        means = dict.fromkeys(("state_mean", "state_diff_mean_standardized"), ("state_feature", zero))
        return xr.Dataset(means | dict.fromkeys(("state_std", "state_diff_std_standardized"), ("state_feature", one)))

    def get_xy_extent(self, category: str) -> list[float]:
        return [bound for axis in self.xy.T for bound in (axis.min(), axis.max())]


def plane(points: int) -> np.ndarray:
    """(points², 2) coordinates of a square grid (m)."""
    axis = np.arange(points) * SPACING
    return np.stack([part.ravel() for part in np.meshgrid(axis, axis, indexing="ij")], axis=1)


def graph_tensors(model: str, xy: np.ndarray) -> dict:
    """The graph that weather-model-graphs makes, by names of files."""
    graphs = importlib.import_module("weather_model_graphs")
    options = {"coords": xy, "mesh_node_distance": CELLS * SPACING, "return_components": True}
    if model == "GraphLAM":
        made = graphs.create.archetype.create_keisler_graph(**options)
    else:
        made = graphs.create.archetype.create_oskarsson_hierarchical_graph(**options, level_refinement_factor=3)
    with tempfile.TemporaryDirectory() as folder:
        graphs.save.to_torch_tensors_on_disk(
            graph_components=made, output_directory=folder, hierarchical=model != "GraphLAM"
        )
        return {path.stem: torch.load(path, weights_only=True) for path in Path(folder).glob("*.pt")}


def predictor(case: dict) -> torch.nn.Module:
    """Neural-LAM's model of a case."""
    for name in UNUSED:
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = Blank(name)
    importlib.import_module("loguru").logger.remove()
    models = importlib.import_module("neural_lam.models")
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "graph" / "g"
        stored.mkdir(parents=True)
        for name, tensors in case["graph"].items():
            torch.save(tensors, stored / f"{name}.pt")
        (stored / "metainfo.yaml").write_text("spec_version: 0.1.0\n")
        datastore = Datastore(Path(folder), case["xy"].numpy(), case["static"].numpy())
        options = {"hidden_dim": HIDDEN, "processor_layers": LAYERS, "graph_name": "g"}
        return getattr(models, case["model"])(datastore=datastore, **options)


def make(model: str, points: int, graph: Path | None) -> dict:
    """A case: graph (of a file, or made here), random weights and inputs."""
    torch.manual_seed(0)
    xy = plane(points)
    case = {"model": model, "xy": torch.from_numpy(xy), "static": torch.randn(len(xy), STATIC)}
    case |= {"graph": graph_tensors(model, xy)} if graph is None else torch.load(graph, weights_only=True)
    case["weights"] = dict(predictor(case).state_dict())
    widths = {"state": STATE, "previous": STATE, "forcing": 3 * FORCING, "target": STATE}
    return case | {name: torch.randn(1, len(xy), width) for name, width in widths.items()}


def main() -> None:
    parser = worker_arguments()
    parser.add_argument("--make", default=None)
    parser.add_argument("--points", type=int, default=128)
    parser.add_argument("--graph", type=Path, default=None)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.make:
        torch.save(make(chosen.make, chosen.points, chosen.graph), chosen.case)
        return
    case = torch.load(chosen.case, weights_only=True)
    module = predictor(case)
    module.load_state_dict(case["weights"])
    inputs = [case[name] for name in ("state", "previous", "forcing")]
    report(measure(lambda: module(*inputs)[0], case["target"], module, steps=chosen.steps))


if __name__ == "__main__":
    main()
