"""Time and memory of a step of our limited-area graph networks, against Neural-LAM's, in one run.

    python validation/benchmarks/limited_area.py --peer-python PEER/bin/python [--models GraphLAM,HiLAM] [--points 128]
        [--ways default,plain,…] [--repeats 5] [--threads 1] [--graph ours|peer]

Both sides have the same weights (width 64, 4 processor layers, 17 variables), the same graph (one mesh node per 3
cells; made by our builder, or by weather-model-graphs, which makes of that request one per 4.7), inputs and loss, in
float32 on a CPU. Every figure comes from a fresh
process; sides and ways take turns, and medians are printed with their ratio to the peer's. Memory is the highest above
what the process used with the model and its inputs in place. ``predict`` is a step without gradients, ``train`` one
with them. Without ``--peer-python`` a case that an earlier run kept with ``--case`` is measured for our side alone.
Expected: default at least 2 times faster than the peer in CPU time and at most half its memory, for both models;
outputs equal to 1e-4, losses and norms of gradients to 1e-4 of their size. Exits 0 only if that holds.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from limited_area_measure import measure, report, worker_arguments

HERE = Path(__file__).parent
FASTER, LEANER, EQUAL = 2.0, 0.5, 1e-4
KINDS = ("predict", "train")
FIGURES = ("cpu", "wall", "memory")
PEER = "Neural-LAM"
WAYS = {
    "default": {},
    "plain": {"split": False, "keep_static": False, "fixed_degree": False},
    "split first layer": {"keep_static": False, "fixed_degree": False},
    "recomputed": {"recompute": True},
    "chunks": {"chunk": 4096},
    "chunks, recomputed": {"chunk": 4096, "recompute": True},
    "compiled": {},
}
"""Settings of ``Evaluation`` that differ from its defaults."""


def measure_ours(chosen: argparse.Namespace) -> None:
    """Our side, in this process."""
    from rtma_diffda.backbones.limited_area.evaluation import Evaluation
    from rtma_diffda.backbones.limited_area.neural_lam_conversion import predictor_from, settings_from
    from rtma_diffda.backbones.limited_area.neural_lam_graph import graph_of_neural_lam
    from rtma_diffda.io.neural_lam_checkpoint import NeuralLamStatistics

    torch.set_num_threads(chosen.threads)
    case = torch.load(chosen.case, weights_only=True)
    channels = case["state"].shape[-1]
    zero, one = torch.zeros(channels), torch.ones(channels)
    statistics = NeuralLamStatistics(case["xy"].numpy(), case["static"], zero, one, zero, one)
    settings = settings_from(case["weights"], {}, state=channels, static=case["static"].shape[1])
    settings = replace(settings, evaluation=replace(Evaluation(), **WAYS[chosen.way]))
    graph = graph_of_neural_lam(case["graph"], statistics.xy)
    module = predictor_from(case["weights"], settings, graph, statistics)
    called = torch.compile(module) if chosen.way == "compiled" else module
    inputs = [case[name] for name in ("state", "previous", "forcing")]
    report(measure(lambda: called(*inputs)[0], case["target"], module, steps=chosen.steps))


def write_our_graph(model: str, points: int, path: Path) -> None:
    """The graph of our builder as Neural-LAM stores one: raw metres, by names of files, and the points' coordinates."""
    from limited_area_case import CELLS, SPACING

    from rtma_diffda.backbones.limited_area.graph_builder import build_graph
    from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
    from rtma_diffda.geo.grid import ProjectedGrid

    grid = ProjectedGrid("+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +R=6371200", points, points, SPACING, SPACING, 0, 0)
    design = MeshDesign("flat" if model == "GraphLAM" else "hierarchical", spacing=CELLS, refinement=3)
    graph, metres = build_graph(grid, design), (points - 1) * SPACING
    sets = {"g2m": graph.grid_to_mesh, "m2g": graph.mesh_to_grid}
    lists = {"m2m": graph.same_level, "mesh_up": graph.upward, "mesh_down": graph.downward}
    stored = {"mesh_features": [part * metres for part in graph.mesh_features]}
    for name, edges in sets.items():
        stored[f"{name}_edge_index"] = torch.stack([edges.senders, edges.receivers])
        stored[f"{name}_features"] = edges.features * metres
    for name, levels in lists.items():
        if levels:
            stored[f"{name}_edge_index"] = [torch.stack([edges.senders, edges.receivers]) for edges in levels]
            stored[f"{name}_features"] = [edges.features * metres for edges in levels]
    rows, columns = torch.meshgrid(*[torch.arange(points, dtype=torch.float64) * SPACING] * 2, indexing="ij")
    torch.save({"graph": stored, "xy": torch.stack([columns.flatten(), rows.flatten()], dim=1)}, path)


def figures_of(side: str, case: Path, chosen: argparse.Namespace) -> dict:
    """What a fresh process measures for one side: the peer, or a way of ours."""
    script = HERE / ("limited_area_peer.py" if side == PEER else "limited_area.py")
    command = [chosen.peer_python if side == PEER else sys.executable, str(script), str(case)]
    command += ["--threads", str(chosen.threads), "--steps", str(chosen.steps)]
    command += [] if side == PEER else ["--way", side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compared(model: str, case: Path, chosen: argparse.Namespace) -> bool:
    """Measure one model on all sides and print it; whether the goals are met."""
    sides = ([PEER] if chosen.peer_python else []) + chosen.ways
    runs = {side: [] for side in sides}
    for _ in range(chosen.repeats):
        for side in sides:
            runs[side].append(figures_of(side, case, chosen))
    middle = {
        side: {kind: {f: median(run[kind][f] for run in found) for f in FIGURES} for kind in KINDS}
        for side, found in runs.items()
    }
    for kind in KINDS:
        for side in sides:
            print(row(f"{model} {kind} {side}", middle[side][kind], middle.get(PEER, {}).get(kind)), flush=True)
    if PEER not in runs:
        return True
    apart = {side: difference(found[0], runs[PEER][0]) for side, found in runs.items() if side != PEER}
    for side, parts in apart.items():
        print(f"{model} {side}: output, loss, gradient apart by {', '.join(f'{part:.1e}' for part in parts)}")
    default, peer = (middle[side]["train"] for side in ("default", PEER))
    met = peer["cpu"] >= FASTER * default["cpu"] and default["memory"] <= LEANER * peer["memory"]
    return met and all(part <= EQUAL for parts in apart.values() for part in parts)


def difference(ours: dict, theirs: dict) -> tuple[float, float, float]:
    """Largest absolute difference of outputs, relative ones of the loss and of the norm of the gradient."""
    output = max(abs(a - b) for a, b in zip(ours["output"], theirs["output"], strict=True))
    return output, *(abs(ours[name] / theirs[name] - 1.0) for name in ("loss", "gradient"))


def row(name: str, found: dict[str, float], peer: dict[str, float] | None) -> str:
    """A line of the table: figures, and how many times faster and leaner than the peer."""
    text = f"{name:44s} {found['cpu']:8.3f} {found['wall']:8.3f} {found['memory']:9.3f}"
    return text if peer is None else text + "".join(f"{peer[f] / max(found[f], 1e-9):9.2f}" for f in FIGURES)


def main() -> int:
    """Print the table and a summary line; 0 when the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="python of an environment with neural-lam and weather-model-graphs")
    parser.add_argument("--models", type=lambda text: text.split(","), default=["GraphLAM", "HiLAM"])
    parser.add_argument("--ways", type=lambda text: text.split(","), default=[way for way in WAYS if way != "compiled"])
    parser.add_argument("--points", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--graph", choices=("ours", "peer"), default="ours", help="whose builder makes both sides' graph"
    )
    parser.add_argument("--case", type=Path, help="directory that keeps the cases; made anew where there is a peer")
    chosen = parser.parse_args()
    print(f"{'':44s} {'CPU s':>8s} {'wall s':>8s} {'GiB':>9s}   peer's: CPU     wall   memory, times ours")
    with tempfile.TemporaryDirectory() as folder:
        met = []
        for model in chosen.models:
            case = (chosen.case or Path(folder)) / f"{model}.pt"
            if chosen.peer_python:
                script = str(HERE / "limited_area_peer.py")
                made = [chosen.peer_python, script, str(case), "--make", model, "--points", str(chosen.points)]
                if chosen.graph == "ours":
                    write_our_graph(model, chosen.points, Path(folder) / "graph.pt")
                    made += ["--graph", str(Path(folder) / "graph.pt")]
                subprocess.run(made, check=True, capture_output=True)
            met.append(compared(model, case, chosen))
    print(f"limited area: goals met for {sum(met)} of {len(met)} models: {'passed' if all(met) else 'FAILED'}")
    return 0 if all(met) else 1


if __name__ == "__main__":
    if "--way" in sys.argv:
        worker = worker_arguments()
        worker.add_argument("--way", choices=WAYS)
        measure_ours(worker.parse_args())
    else:
        sys.exit(main())
