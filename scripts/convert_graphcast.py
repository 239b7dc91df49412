"""A published GraphCast checkpoint (.npz) and its statistics → a checkpoint directory of this package, or back.

    python scripts/convert_graphcast.py FILE.npz --statistics DIR --output DIR [--edges FILE.npz]
    python scripts/convert_graphcast.py DIR --output FILE.npz

The directory of ``--statistics`` has mean_by_level.nc, stddev_by_level.nc and diffs_stddev_by_level.nc; weights and
statistics are public in the bucket ``dm_graphcast``, folder ``graphcast``. The grid is the global one of the
checkpoint's resolution, with both poles. ``--edges`` names a file with arrays ``mesh2grid_senders`` and
``mesh2grid_receivers``, where mesh-to-grid edges chosen by the published code are to be followed in its ties.
Nothing in these files is executed.
"""

import argparse
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.config import given_mesh_to_grid, graphcast_from
from rtma_diffda.backbones.graphcast.deepmind import (
    from_deepmind,
    model_config_of,
    settings_from,
    task_config_of,
    task_from,
    to_deepmind,
)
from rtma_diffda.backbones.graphcast.graph import CORNERS
from rtma_diffda.backbones.graphcast.published import LICENCE, global_grid_of
from rtma_diffda.errors import InputError, RtmaDiffdaError
from rtma_diffda.forecast.graphcast_checkpoint import (
    graphcast_forecast_checkpoint,
    graphcast_forecast_from_checkpoint,
)
from rtma_diffda.forecast.graphcast_network import GraphCastForecastNetwork
from rtma_diffda.geo.grid import LatLonGrid
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.checkpoint import read_checkpoint, write_checkpoint
from rtma_diffda.io.deepmind_checkpoint import (
    DeepMindCheckpoint,
    is_deepmind_checkpoint,
    read_deepmind_checkpoint,
    write_deepmind_checkpoint,
)
from rtma_diffda.io.global_statistics import read_global_statistics


def to_directory(path: Path, output: Path, *, statistics: Path, edges: Path | None = None) -> str:
    """Write the directory; returns a sentence that says what it holds."""
    stored = read_deepmind_checkpoint(path)
    settings, task = settings_from(stored.model_config), task_from(stored.task_config)
    grid = global_grid_of(float(stored.model_config.get("resolution", 0.0)))
    backbone = GraphCastBackbone(settings, task, grid)
    if edges is not None:
        backbone = given_mesh_to_grid(backbone, _edges(edges))
    network = GraphCastForecastNetwork(backbone, read_global_statistics(statistics), _flat(grid))
    network.network.load_state_dict(from_deepmind(stored.params, settings))
    source = {"converted_from": path.name, "description": stored.description, "license": stored.license}
    checkpoint = graphcast_forecast_checkpoint(network, card=card(stored, backbone, path.name), provenance=source)
    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    write_checkpoint(output, checkpoint, created=created)
    return (
        f"{output}: {stored.parameters:,} weights, {backbone.in_channels} channels in and {backbone.out_channels} out, "
        f"mesh of {settings.mesh_size} refinements, grid of {grid.ny} × {grid.nx} points"
    )


def to_file(directory: Path, output: Path) -> str:
    """Write the published format; returns a sentence that says what it holds."""
    checkpoint = read_checkpoint(directory)
    backbone = graphcast_from(checkpoint.config.get("backbone") or {}, checkpoint.statistics)
    network = graphcast_forecast_from_checkpoint(checkpoint, _flat(backbone.grid))
    texts = {name: str(checkpoint.provenance.get(name, "")) for name in ("description", "license")}
    stored = DeepMindCheckpoint(
        to_deepmind(network.network.state_dict(), backbone.settings),
        model_config_of(backbone.settings, resolution=360.0 / backbone.grid.nx),
        task_config_of(backbone.task),
        **texts,
    )
    write_deepmind_checkpoint(output, stored)
    return f"{output}: {stored.parameters:,} weights of {directory}"


def card(stored: DeepMindCheckpoint, backbone: GraphCastBackbone, source: str) -> str:
    """The model card of converted weights."""
    task, settings = backbone.task, backbone.settings
    return (
        f"# GraphCast: {source.removesuffix('.npz')}\n\n"
        f"Converted from `{source}`; numbers are as they were. {stored.description}\n\n"
        f"{stored.parameters:,} weights: {settings.message_steps} steps of width {settings.latent_size} on an "
        f"icosahedral mesh of {settings.mesh_size} refinements; {len(task.pressure_levels)} levels; answers "
        f"{', '.join(task.target_variables)}. The statistics that fields are normalised by are in this directory; "
        "terrain and land are not.\n\n"
        f"## Licence of the weights\n\n{LICENCE}\n\nThe file itself says:\n\n> "
        + (stored.license.strip().replace("\n", "\n> ") or "(nothing)")
        + "\n\nReference: Lam et al. (2023), Learning skillful medium-range global weather forecasting, Science 382, "
        "arXiv 2212.12794. How it was trained and judged is described there.\n"
    )


def _edges(path: Path) -> np.ndarray:
    """(grid point, 3) mesh nodes."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            order = np.argsort(stored["mesh2grid_receivers"], kind="stable")
            return stored["mesh2grid_senders"][order].reshape(-1, CORNERS)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"edges {path} cannot be read: {error}") from error


def _flat(grid: LatLonGrid) -> StaticFields:
    """A stand-in: terrain and land do not go into a checkpoint."""
    return StaticFields(grid, np.zeros(grid.shape), np.zeros(grid.shape), source="none: for a conversion only")


def main(arguments: list[str] | None = None) -> int:
    """Convert; 1, with one sentence, where that is not possible."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--statistics", type=Path, help="directory; needed for a published file")
    parser.add_argument("--edges", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        if not is_deepmind_checkpoint(chosen.checkpoint):
            print(to_file(chosen.checkpoint, chosen.output))
        elif chosen.statistics is None:
            raise InputError(f"{chosen.checkpoint} holds weights only: give --statistics DIR")
        else:
            given = {"statistics": chosen.statistics, "edges": chosen.edges}
            print(to_directory(chosen.checkpoint, chosen.output, **given))
    except RtmaDiffdaError as error:
        print(f"cannot convert: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
