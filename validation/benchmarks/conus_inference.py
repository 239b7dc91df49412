"""One call of a limited-area network over the contiguous United States (2345 × 1597 points): seconds and memory.

    python validation/benchmarks/conus_inference.py [--device cpu|cuda] [--hidden 64,128] [--layers 4] [--chunk 65536]
        [--precision float32|bfloat16] [--compile] [--repeats 1] [--hybrid]

Hi-LAM over a mesh of three cells' spacing, 43 channels in and 5 out, random weights: its speed does not depend on them.
The encoder and the decoder are worked through in chunks. Each case runs in a process of its own, which prints its
seconds, the highest memory, and rates: of arithmetic (FLOP counted from the widths) and of memory traffic (bytes that
must be read or written at least once: fields, gathered nodes, messages), and on a GPU the share of its limits.
With ``--hybrid`` the shipped denoiser's network instead; its convolutions are not chunked.
"""

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import replace

import torch

from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.graph import LimitedAreaGraph
from rtma_diffda.backbones.limited_area.graph_builder import build_graph
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.networks import LimitedAreaSettings, limited_area_network
from rtma_diffda.experiments.diffusion_methods import packaged_denoiser
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.region import load_region

CHANNELS_IN, CHANNELS_OUT = 43, 5
GIBI = 2.0**30


def main() -> None:
    """Run every case, or one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--hidden", default="64,128")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--chunk", type=int, default=65536)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--hybrid", action="store_true")
    parser.add_argument("--region", default="conus")
    parser.add_argument("--one", action="store_true", help="run this case here, not in a process of its own")
    given = parser.parse_args()
    if given.one:
        run(given)
        return
    for hidden in given.hidden.split(","):
        command = [sys.executable, __file__, *sys.argv[1:], "--hidden", hidden, "--one"]
        subprocess.run(command, check=True)


def case_of(given: argparse.Namespace, grid: ProjectedGrid) -> tuple[LimitedAreaSettings, LimitedAreaGraph]:
    """The shape of the network, and its graph on the grid."""
    evaluation = Evaluation(chunk=given.chunk, keep_static=False)
    if given.hybrid:
        backbone = packaged_denoiser().network.backbone.on_grid(grid)
        return replace(backbone.settings, evaluation=evaluation), backbone.graph
    common = {"processor_layers": given.layers, "hidden": int(given.hidden), "evaluation": evaluation}
    settings = LimitedAreaSettings(CHANNELS_IN, CHANNELS_OUT, mesh="hierarchical", **common)
    return settings, build_graph(settings.graph_grid(grid), MeshDesign(spacing=3))


def run(given: argparse.Namespace) -> None:
    """One case."""
    grid = load_region(given.region).grid
    began = time.perf_counter()
    settings, graph = case_of(given, grid)
    built = time.perf_counter() - began
    torch.manual_seed(0)
    network = limited_area_network(settings, graph).to(given.device).eval()
    call = torch.compile(network) if given.compile else network
    values = torch.randn(1, settings.in_channels, grid.ny, grid.nx, device=given.device)
    sigma = torch.ones(1, device=given.device) if settings.noise_level else None
    print(f"graph {built:.1f} s, levels {graph.level_sizes}", flush=True)
    seconds = timed(lambda: call(values, sigma), given)
    report(given, settings, graph, seconds, grid.nx * grid.ny)


def timed(call, given: argparse.Namespace) -> float:
    """The shortest of the calls, after one to warm up where there are several."""
    times, cpu, low = [], [], given.precision == "bfloat16"
    for _ in range(given.repeats + (given.repeats > 1)):
        began, of_processor = time.perf_counter(), time.process_time()
        with torch.no_grad(), torch.autocast(given.device, dtype=torch.bfloat16, enabled=low):
            answer = call()
        if given.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
        cpu.append(time.process_time() - of_processor)
        if not bool(torch.isfinite(answer).all()):
            raise SystemExit("the answer is not finite")
    print(f"{min(cpu):.1f} s of the processor", flush=True)
    return min(times)


def report(
    given: argparse.Namespace, settings: LimitedAreaSettings, graph: LimitedAreaGraph, seconds: float, points: int
) -> None:
    """Print one line."""
    if given.device == "cuda":
        memory = torch.cuda.max_memory_allocated() / GIBI
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIBI
    text = (
        f"hidden {settings.hidden}, {given.precision}, {given.device}: {seconds:.2f} s a call, highest {memory:.1f} GiB"
    )
    if not given.hybrid:
        flop, traffic = flop_of(settings, graph), bytes_of(settings, graph, given.precision)
        text += (
            f", {flop / 1e12:.2f} TFLOP at {flop / seconds / 1e12:.3f} TFLOP/s, {traffic / GIBI:.0f} GiB at "
            f"{traffic / seconds / GIBI:.0f} GiB/s"
        )
    print(f"{text} ({points} points)", flush=True)


def edges_and_receivers(settings: LimitedAreaSettings, graph: LimitedAreaGraph) -> tuple[int, int, int]:
    """Edges with static states, edges with updated ones, and receivers, each counted once a layer that they are in."""
    within = sum(map(len, graph.same_level))
    between = sum(map(len, (*graph.upward, *graph.downward)))
    nodes, above = sum(graph.level_sizes), sum(graph.level_sizes[1:])
    below = sum(graph.level_sizes[:-1])
    layers = settings.processor_layers
    static = len(graph.grid_to_mesh) + len(graph.mesh_to_grid)
    updated = between + layers * (2 * within + between)
    receivers = graph.level_sizes[0] + graph.interior_count + above + below + layers * (2 * nodes + above + below)
    return static, updated, receivers


def flop_of(settings: LimitedAreaSettings, graph: LimitedAreaGraph) -> float:
    """Of the products of matrices: 2 h² each; with the first layers split, nodes are projected before the gather."""
    h2 = 2.0 * settings.hidden**2
    static, updated, receivers = edges_and_receivers(settings, graph)
    embedding = 2.0 * settings.in_channels * settings.hidden + h2
    grid = graph.interior_count * (2.0 * embedding + 2.0 * h2 + h2 + 2.0 * settings.hidden * settings.out_channels)
    static_cost = 3.0 * h2  # embedded anew, projected, and the message
    return static * static_cost + updated * 2.0 * h2 + receivers * 5.0 * h2 + grid


def bytes_of(settings: LimitedAreaSettings, graph: LimitedAreaGraph, precision: str) -> float:
    """Read or written at least once if nothing but a layer of one set of edges were fused: see the module."""
    static, updated, receivers = edges_and_receivers(settings, graph)
    size = settings.hidden * (4.0 if precision == "float32" else 2.0)
    fields = graph.interior_count * 4.0 * (settings.in_channels * 2.0 + settings.out_channels)
    return fields + size * (static + 3.0 * updated + 4.0 * receivers)


if __name__ == "__main__":
    main()
