"""GraphCast of this package against the published code's: graph, latents, answers, roll-outs, losses and gradients.

Claim: with the weights of a ``.npz`` checkpoint and the mesh-to-grid edges of the reference, float32 on a CPU, the raw
answer agrees to 2e-5, hidden values to 5e-5, one step and a roll-out to 3e-4 of the standard deviation of changes,
losses to 1e-5 of their size and the gradient of every weight to 1e-4 of its largest value. Meshes, edges and the
stacked input are equal, up to rounding of features; our own mesh-to-grid edges are the reference's wherever a point
does not lie on an edge of faces. Ways of computing that ``Evaluation`` offers agree with the default.
Source: a directory in the format of ../shared/fixtures/graphcast/README.md; what it lacks is not checked. Solar
radiation is the file's (the reference computes it in float32), and ours is compared with it.
Expected and tolerance: printed beside each figure.

    python validation/graphcast_parity.py ../shared/fixtures/graphcast [--all]

Exits 0 only if every figure lies within its limit.
"""

import argparse
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from graphcast_case import Case, arrays_of
from torch import Tensor

from rtma_diffda.backbones.graphcast.deepmind import published_names
from rtma_diffda.backbones.graphcast.graph_builder import build_graph
from rtma_diffda.backbones.graphcast.grid_edges import containing_faces, edges_within
from rtma_diffda.backbones.graphcast.mesh import IcosahedralMesh, edges_of
from rtma_diffda.backbones.graphcast.structural_features import Places
from rtma_diffda.backbones.limited_area.edges import by_node
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.graph import EdgeSet
from rtma_diffda.errors import RtmaDiffdaError
from rtma_diffda.fields.global_forcings import FORCINGS, global_forcings
from rtma_diffda.fields.global_weights import latitude_weights
from rtma_diffda.forecast.graphcast_network import GlobalAnswer

RAW, LATENT, STEP, GRADIENT, LOSS = 2e-5, 5e-5, 3e-4, 1e-4, 1e-5
FEATURE, POSITION, STACKED = 5e-6, 1e-6, 1e-5
RADIATION, PROGRESS = 150.0, 1e-5
"""J m⁻², of 5e6: the reference's times in float32 have steps of 42 s, and of 84 s from June 2022."""
PLAIN = Evaluation(split=False, keep_static=False, fixed_degree=False)
WAYS = {
    "plain": PLAIN,
    "split first layer": replace(PLAIN, split=True),
    "static terms kept": replace(PLAIN, split=True, keep_static=True),
    "recomputed": Evaluation(recompute=True),
    "chunks of 500, recomputed": Evaluation(chunk=500, recompute=True),
}


@dataclass(frozen=True)
class Figure:
    """One line of the table: a largest difference, absolute or in units that ``unit`` says."""

    quantity: str
    count: int
    difference: float
    limit: float
    unit: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is within its limit; NaN is not."""
        return self.difference <= self.limit


def figures(case: Case) -> Iterator[Figure]:
    """All figures of a case."""
    yield from count_figures(case)
    yield from mesh_figures(case)
    yield from edge_figures(case)
    yield from forcing_figures(case)
    yield from latent_figures(case)
    yield from answer_figures(case)
    yield from weight_figures(case)
    for steps in (1, 3):
        yield from loss_figures(case, steps)
        yield from gradient_figures(case, steps)
    yield from way_figures(case)


def count_figures(case: Case) -> Iterator[Figure]:
    """Numbers of weights, nodes, edges and channels."""
    graph, counts = case.backbone.graph, dict(case.info.get("counts", {}))
    ours = {
        "grid_nodes": len(graph.grid_features),
        "mesh_nodes": len(graph.mesh_features),
        "grid2mesh_edges": len(graph.grid_to_mesh),
        "mesh_edges": len(graph.mesh),
        "mesh2grid_edges": len(graph.mesh_to_grid),
        "input_channels": case.backbone.in_channels,
        "output_channels": case.backbone.out_channels,
        "parameters": sum(weight.numel() for weight in case.model.parameters()),
    }
    if "parameters" in case.info:
        counts["parameters"] = case.info["parameters"]
    apart = [abs(ours[name] - counts[name]) for name in ours if name in counts]
    if apart:
        yield Figure("counts (parameters, nodes, edges, channels)", len(apart), float(max(apart)), 0.0)


def mesh_figures(case: Case) -> Iterator[Figure]:
    """Vertices, faces and edges of all levels."""
    mesh = IcosahedralMesh.refined(case.settings.mesh_size)
    own = {"mesh_vertices": mesh.vertices, "max_mesh_edge": np.asarray(mesh.longest_edge)}
    own |= dict(zip(("mesh_senders", "mesh_receivers"), mesh.multi_mesh_edges, strict=True))
    for k, faces in enumerate(mesh.levels):
        own[f"mesh_faces_level{k}"] = faces
        own |= dict(zip((f"mesh_senders_level{k}", f"mesh_receivers_level{k}"), edges_of(faces), strict=True))
    for name, values in own.items():
        if name in case.graph:
            limit = POSITION if values.dtype.kind == "f" else 0.0
            yield apart(f"graph/{name}", values, case.graph[name], limit)


def edge_figures(case: Case) -> Iterator[Figure]:
    """Edges between grid and mesh, and structural features of nodes and edges."""
    if not case.graph:
        return
    stored, mesh = case.graph, IcosahedralMesh.refined(case.settings.mesh_size)
    grid, nodes = Places.of_axes(case.grid.latitudes, case.grid.longitudes), Places.of_positions(mesh.vertices)
    own = {
        "grid_lat": grid.latitude,
        "grid_lon": grid.longitude,
        "mesh_lat": nodes.latitude,
        "mesh_lon": nodes.longitude,
    }
    own |= {"grid_node_features": grid.node_features(), "mesh_node_features": nodes.node_features()}
    for name, values in own.items():
        if name in stored:
            yield apart(f"graph/{name}", values, stored[name], 1e-4 if name.endswith(("lat", "lon")) else POSITION)
    edges = edges_within(grid.positions, mesh, case.settings.radius_fraction)
    for name, values in zip(("grid2mesh_senders", "grid2mesh_receivers"), edges, strict=True):
        yield apart(f"graph/{name}", values, stored[name], 0.0)
    yield from own_choice(case, mesh.faces[containing_faces(grid.positions, mesh)])
    graph = case.backbone.graph
    for name, edges in (("grid2mesh", graph.grid_to_mesh), ("mesh", graph.mesh), ("mesh2grid", graph.mesh_to_grid)):
        yield feature_figure(name, edges, stored)


def own_choice(case: Case, own: np.ndarray) -> Iterator[Figure]:
    """Our mesh-to-grid edges where a point does not lie on an edge of faces; and whether the graph has just these."""
    theirs = case.mesh_to_grid
    clear = ~case.graph["mesh2grid_ambiguous"].astype(bool) if "mesh2grid_ambiguous" in case.graph else slice(None)
    yield apart("graph/mesh2grid, our choice, unambiguous points", own[clear], theirs[clear], 0.0)
    built = build_graph(case.grid, case.settings).mesh_to_grid.senders.view(-1, own.shape[1]).numpy()
    yield apart("graph/mesh2grid, our choice as built", built, own, 0.0)


def feature_figure(name: str, edges: EdgeSet, stored: Mapping[str, np.ndarray]) -> Figure:
    """Features of our edges, sorted by receiver, against those of the same edges of the reference."""
    order = np.argsort(stored[f"{name}_receivers"], kind="stable")
    same = np.array_equal(edges.senders.numpy(), stored[f"{name}_senders"][order])
    found = apart(
        f"graph/{name}_edge_features", edges.features.numpy(), stored[f"{name}_edge_features"][order], FEATURE
    )
    return found if same else replace(found, difference=np.nan)


def forcing_figures(case: Case) -> Iterator[Figure]:
    """Our forcings against those of the file."""
    times = sorted(case.forcings)
    own, theirs = global_forcings(np.array(times), case.grid), torch.stack([case.forcings[time] for time in times])
    for i, name in enumerate(FORCINGS):
        if name in case.task.forcing_variables:
            unit, limit = ("J m-2", RADIATION) if i == 0 else ("", PROGRESS)
            yield apart(f"forcings/{name}", own[:, i], theirs[:, i], limit, unit=unit)


def latent_figures(case: Case) -> Iterator[Figure]:
    """The stacked input and hidden values, of the first member."""
    for name, values in latents(case).items():
        if name in case.latents:
            limit = STACKED if name == "grid_input" else LATENT
            yield apart(f"latents/{name}", values, case.latents[name], limit)


@torch.no_grad()
def latents(case: Case) -> dict[str, Tensor]:
    """What ``latents.npz`` has, of ours."""
    network, stacked = case.model.network, case.model.stacked(case.frames)[:1]
    nodes = by_node(stacked)
    grid = network.embedded(nodes)
    mesh = network.encoded(grid)
    steps, edges = network.processor.traced(mesh)
    theirs = np.argsort(np.argsort(case.graph["mesh_receivers"], kind="stable")) if case.graph else slice(None)
    count = len(case.latents.get("mesh_latent_steps", steps))
    return {
        "grid_input": nodes,
        "grid_latent_encoder": network.encoded_grid(grid),
        "mesh_latent_encoder": mesh,
        "mesh_latent_steps": torch.stack(steps[:count]),
        "mesh_latent_processor": steps[-1],
        "mesh_edge_latent_last_every8": edges[theirs][::8],
    }


def answer_figures(case: Case) -> Iterator[Figure]:
    """The raw answer, one step and a roll-out."""
    times = (
        case.fields("rollout.nc", case.task.outputs[:1]).shape[1] if (case.directory / "rollout.nc").is_file() else 1
    )
    with torch.no_grad():
        answers = list(case.model.roll_out(case.frames, times))
    yield apart("raw_output", answers[0].raw, case.fields("raw_output.nc", case.task.outputs)[:, 0], RAW)
    for name, found in (("one_step", answers[:1]), ("rollout", answers)):
        if (case.directory / f"{name}.nc").is_file():
            yield from physical_figures(case, name, found)


def physical_figures(case: Case, name: str, answers: list[GlobalAnswer]) -> Iterator[Figure]:
    """States in units of the standard deviation of their changes, and what is answered besides in its own."""
    model, unit = case.model, "diffs_stddev"
    states = torch.stack([answer.state for answer in answers], dim=1)
    expected = case.fields(f"{name}.nc", model.keys)
    yield apart(f"{name}, states", states / model.change_std, expected / model.change_std, STEP, unit=unit)
    if model.diagnostic_keys:
        own = torch.stack([answer.diagnostics for answer in answers], dim=1) / model.diagnostics_std
        expected = case.fields(f"{name}.nc", model.diagnostic_keys) / model.diagnostics_std
        yield apart(f"{name}, answered only", own, expected, STEP, unit="stddev")


def weight_figures(case: Case) -> Iterator[Figure]:
    """Weights of the loss."""
    if "latitude_weights" in case.info:
        yield apart("loss/latitude_weights", latitude_weights(case.grid), case.info["latitude_weights"], 1e-5)
    if "level_weights" in case.info:
        levels = np.array(case.task.pressure_levels, float)
        yield apart("loss/level_weights", levels / levels.mean(), case.info["level_weights"], 1e-6)


def loss_figures(case: Case, steps: int) -> Iterator[Figure]:
    """Losses, in proportion to their size: the mean over members, each member, and each variable."""
    name = f"loss_{steps}step"
    if name not in case.info:
        return
    with torch.no_grad():
        total, by_variable = case.model.loss(case.windows(steps))
        members = case.info.get(f"{name}_per_member", [])
        windows = case.windows(steps)
        own = [case.model.loss(windows.select(slice(i, i + 1)))[0].item() for i in range(len(members))]
    yield relative(name, [total.item()], [case.info[name]], LOSS)
    yield relative(f"{name}, members", own, members, LOSS)
    theirs = {n: float(np.mean(v)) for n, v in case.info.get(f"{name}_per_variable", {}).items()}
    yield relative(f"{name}, variables", [by_variable[f"loss_{n}"] for n in theirs], list(theirs.values()), LOSS)


def gradient_figures(case: Case, steps: int) -> Iterator[Figure]:
    """Gradients of the loss by every weight that the file has, in proportion to the largest value of each."""
    expected = arrays_of(case.directory / ("gradients.npz" if steps == 1 else f"gradients_{steps}step.npz"))
    if not expected:
        return
    gradients = gradients_of(case, steps)
    for name, values in expected.items():
        largest = float(np.abs(values).max())
        own = gradients.get(name, np.full(values.shape, np.nan))
        yield apart(f"gradients, {steps} step/{name}", own, values, GRADIENT * (largest or 1.0), unit="", scale=largest)


def gradients_of(case: Case, steps: int) -> dict[str, np.ndarray]:
    """Our gradients by the published names, transposed as those are."""
    case.model.zero_grad()
    case.model.loss(case.windows(steps))[0].backward()
    weights, found = dict(case.model.network.named_parameters()), {}
    for own, (module, name) in published_names(case.settings).items():
        weight = weights[own]
        gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
        found[f"{module}:{name}"] = (gradient.T if name == "w" else gradient).numpy()
    return found


def way_figures(case: Case) -> Iterator[Figure]:
    """The raw answer and the norm of all gradients, computed in other ways, against the default."""
    model = case.model
    stacked = model.stacked(case.frames)
    expected, norm = outcome(model.network, stacked)
    for name, evaluation in WAYS.items():
        other = replace(
            case.backbone, settings=replace(case.settings, evaluation=evaluation), stored=case.backbone.graph
        )
        network = other.network()
        network.load_state_dict(model.network.state_dict())
        raw, other_norm = outcome(network, stacked)
        yield apart(f"{name}: raw output", raw, expected, RAW)
        yield relative(f"{name}: norm of gradients", [other_norm], [norm], GRADIENT)


def outcome(network: torch.nn.Module, stacked: Tensor) -> tuple[Tensor, float]:
    """The raw answer, computed without gradients, and the norm of those of its mean square."""
    with torch.no_grad():
        raw = network.eval()(stacked)
    network.zero_grad()
    network(stacked).square().mean().backward()
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    return raw, float(torch.stack([gradient.double().norm() for gradient in gradients]).norm())


def apart(
    name: str, own: object, theirs: object, limit: float, *, unit: str = "", scale: float | None = None
) -> Figure:
    """The largest difference of two arrays; of another shape, NaN. ``scale`` names limits that follow the values."""
    ours, expected = (np.asarray(values) for values in (own, theirs))
    unit = unit if scale is None else f"of largest {scale:.2g}"
    if ours.shape != expected.shape:
        return Figure(f"{name} {ours.shape} for {expected.shape}", ours.size, np.nan, limit, unit)
    largest = np.abs(ours.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0)
    return Figure(name, expected.size, float(largest), limit, unit)


def relative(name: str, own: list[float], theirs: list[float], limit: float) -> Figure:
    """The largest difference in proportion to the value."""
    differences = [abs(a - b) / max(abs(b), 1e-12) for a, b in zip(own, theirs, strict=True)]
    return Figure(name, len(differences), float(np.max(differences, initial=0.0)), limit, "relative")


def print_table(found: list[Figure], *, everything: bool) -> None:
    """One line a figure; gradients within their limits are counted in one line a file unless ``everything``."""
    print(f"{'quantity':62s} {'n':>8s} {'difference':>11s} {'limit':>9s}  ok")
    folded: dict[str, list[Figure]] = {}
    for figure in found:
        group, _, weight = figure.quantity.partition("/")
        if group.startswith("gradients") and weight and figure.ok and not everything:
            folded.setdefault(group, []).append(figure)
        else:
            print_line(figure)
    for group, parts in folded.items():
        worst = max(parts, key=lambda figure: figure.difference / figure.limit)
        print_line(replace(worst, quantity=f"{group}/*, nearest to its limit", count=len(parts)))


def print_line(figure: Figure) -> None:
    """One line of the table."""
    verdict = "yes" if figure.ok else "NO"
    numbers = f"{figure.count:8d} {figure.difference:11.2e} {figure.limit:9.1e}"
    print(f"{figure.quantity:62s} {numbers}  {verdict:3s} {figure.unit}".rstrip())


def main(arguments: list[str] | None = None) -> int:
    """Print the table and a summary line; 0 when every figure is within its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="of the case's files")
    parser.add_argument("--all", action="store_true", help="a line for every gradient")
    chosen = parser.parse_args(arguments)
    try:
        found = list(figures(Case.read(chosen.directory)))
    except (RtmaDiffdaError, KeyError, OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        print(f"graphcast parity: {chosen.directory} cannot be judged: {type(error).__name__}: {error}: FAILED")
        return 1
    print_table(found, everything=chosen.all)
    good = sum(figure.ok for figure in found)
    passed = good == len(found)
    verdict = "passed" if passed else "FAILED"
    print(f"graphcast parity: {good} of {len(found)} figures within limits, {chosen.directory}: {verdict}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
