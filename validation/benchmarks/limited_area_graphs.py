"""Building the graph of a region: seconds and memory, and weather-model-graphs beside ours in one run.

Claim: the whole CONUS at 2.5 km (2345 × 1597 points, mesh spacing 3, hierarchical) takes less than 15 s and 2 GiB, and
512 × 512 points are done at least 50 times as fast as by weather-model-graphs 0.4.0. Every build is a process of its
own. Seconds are those of building alone, without imports: of wall clock and, what the ratio is made of, of the
processor, as a shared machine disturbs them less. Memory is the process's peak, imports included. Ours ends with
tensors sorted by receiver; the peer with a networkx graph, so that its time for making tensors of it is not counted. At
equal spacing ours has the larger mesh: the peer's has a power of the refinement a side (27 × 27, not 43 × 43, nodes for
128 × 128 points).

Run:       .venv/bin/python validation/benchmarks/limited_area_graphs.py [--repeats 3] [--peer-python PATH]
Needs:     for --peer-python, the interpreter of another environment with
           pip install torch==2.13.0 torch-geometric matplotlib weather-model-graphs==0.4.0
Expected:  CONUS < 15 s of processor time and < 2 GiB; with a peer, ratio at 512 × 512 ≥ 50; exit status 0 if and only
           if all hold
Measured:  validation/README.md
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

SIZES = ((128, 128), (512, 512), (2345, 1597))
PEER_LARGEST = 512
SPACING, SPEED, SECONDS, MEMORY = 3, 50.0, 15.0, 2.0
MEASURE = """
import json, resource, sys, time
def measured(build):
    began, began_cpu = time.perf_counter(), time.process_time()
    mesh, edges = build()
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak, "mesh": mesh, "edges": edges}))
nx, ny, spacing = (int(word) for word in sys.argv[1:])
"""
OURS = """
from rtma_diffda.backbones.limited_area.graph_builder import build_graph
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.geo.grid import ProjectedGrid
grid = ProjectedGrid("+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=265 +R=6371200", nx, ny, 2500.0, 2500.0, 0.0, 0.0)
def build():
    graph = build_graph(grid, MeshDesign(kind="hierarchical", spacing=spacing, refinement=3))
    sets = (graph.grid_to_mesh, graph.mesh_to_grid, *graph.same_level, *graph.upward, *graph.downward)
    return sum(graph.level_sizes), sum(map(len, sets))
measured(build)
"""
PEER = """
import numpy as np
from loguru import logger
logger.remove()
from weather_model_graphs.create.archetype import create_oskarsson_hierarchical_graph
x, y = np.meshgrid(2500.0 * np.arange(nx), 2500.0 * np.arange(ny), indexing="ij")
places = np.stack([x.ravel(), y.ravel()], axis=1)
def build():
    graph = create_oskarsson_hierarchical_graph(places, mesh_node_distance=2500.0 * spacing, level_refinement_factor=3)
    return graph.number_of_nodes() - nx * ny, graph.number_of_edges()
measured(build)
"""


def run(python: str, script: str, size: tuple[int, int], repeats: int) -> dict[str, float]:
    """The quickest of some builds, each in a process of its own.

    This process stays small: a child's peak memory begins with that of its parent.
    """
    command = [python, "-c", MEASURE + script, *map(str, (*size, SPACING))]
    found = []
    for _ in range(repeats):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"a build of {size[0]} × {size[1]} points by {python} failed:\n{done.stderr}")
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return min(found, key=lambda figures: figures["cpu"]) | {"peak": max(figures["peak"] for figures in found)}


def line(name: str, size: tuple[int, int], figures: dict[str, float]) -> str:
    return (
        f"{name:5} {size[0]:5d} × {size[1]:<5d} {figures['cpu']:8.2f} {figures['wall']:8.2f} {figures['peak']:9.2f} "
        f"{figures['mesh']:11,d} {figures['edges']:12,d}"
    )


def compare(repeats: int, peer: str | None) -> bool:
    """Print all figures; true if those that have a limit are within it."""
    print(f"{'':5} {'points':13} {'CPU s':>8} {'wall s':>8} {'peak GiB':>9} {'mesh nodes':>11} {'edges':>12}")
    within = True
    for size in SIZES:
        ours = run(sys.executable, OURS, size, repeats)
        print(line("ours", size, ours), flush=True)
        if size == SIZES[-1]:
            within &= ours["cpu"] < SECONDS and ours["peak"] < MEMORY
        if peer and max(size) <= PEER_LARGEST:
            theirs = run(peer, PEER, size, repeats)
            ratio = theirs["cpu"] / ours["cpu"]
            print(line("peer", size, theirs))
            print(f"      peer / ours: CPU {ratio:.0f}, wall {theirs['wall'] / ours['wall']:.0f}", flush=True)
            within &= ratio >= SPEED or max(size) < PEER_LARGEST
    return within


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1, help="builds of each kind, of which the quickest counts")
    parser.add_argument("--peer-python", type=Path, help="interpreter of an environment with weather-model-graphs")
    arguments = parser.parse_args()
    within = compare(arguments.repeats, str(arguments.peer_python) if arguments.peer_python else None)
    print(f"limits (CONUS {SECONDS:g} s and {MEMORY:g} GiB, ratio {SPEED:g}): {'met' if within else 'NOT met'}")
    return 0 if within else 1


if __name__ == "__main__":
    raise SystemExit(main())
