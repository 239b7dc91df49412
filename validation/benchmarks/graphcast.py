"""Time of a step of GraphCast: against the published JAX code on a CPU, and on an accelerator against its limits.

    python validation/benchmarks/graphcast.py --vs PEER/bin/python [--package DIR] [--threads 1] [--repeats 5]
    python validation/benchmarks/graphcast.py --device cuda [--network GraphCast_small,GraphCast] [--float32] [--train]

The first has both sides on the same processors with the same random weights and input, 2 degrees (91 × 180), 13
levels, mesh of 4 refinements, width 128, 16 steps, float32. Sides take turns in fresh processes of one warm-up and
``--repeats`` steps each, ``--rounds`` times; medians and ratios are printed. PEER has JAX, and what the package
``graphcast`` (tag v0.2) imports; DIR holds the package where it is not installed there. Ratios of processor seconds
are judged, for wall seconds tell of whatever else a machine is doing.
Expected: faster than the published code in both kinds; answers equal to 1e-4 but where a point lies on an edge of faces
(0.7 %), losses to 1e-3 and norms of gradients to 1e-2 of their size. Exits 0 only if that holds.

The second prints milliseconds and memory a step of the published shapes with random weights, and FLOP/s against what
an H200 can do; ``--network tiny`` is for a try on any device. Expected on an H200 in bfloat16, without gradients:
0.15 s or less at 0.25 degrees, 0.02 s at 1 degree. On another device nothing is judged.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from graphcast_measure import KINDS, pinned, timed

HERE = Path(__file__).parent
OURS, PEER = "ours", "published"
EQUAL, LOSS, GRADIENT, TIED = 1e-4, 1e-3, 1e-2, 0.02


def write_case(directory: Path, *, degrees: float) -> None:
    """Random weights of our own drawing, a normalised input, and what the peer must know of it."""
    import numpy as np
    import torch

    from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
    from rtma_diffda.backbones.graphcast.deepmind import model_config_of, task_config_of, to_deepmind
    from rtma_diffda.backbones.graphcast.published import global_grid_of
    from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
    from rtma_diffda.backbones.graphcast.task import ATMOSPHERIC, TASKS
    from rtma_diffda.io.deepmind_checkpoint import DeepMindCheckpoint, write_deepmind_checkpoint

    torch.manual_seed(0)
    task, settings, grid = TASKS["GraphCast_small"], GraphCastSettings(4, 128, 16), global_grid_of(degrees)
    backbone = GraphCastBackbone(settings, task, grid)
    state = backbone.network().state_dict()
    config = model_config_of(settings, resolution=degrees)
    stored = DeepMindCheckpoint(to_deepmind(state, settings), config, task_config_of(task), "random", "none")
    write_deepmind_checkpoint(directory / "checkpoint.npz", stored)
    stacked = torch.randn(1, backbone.in_channels, *grid.shape).numpy()
    np.savez(directory / "case.npz", stacked=stacked, latitudes=grid.latitudes, longitudes=grid.longitudes)
    channels = [(channel.variable, channel.level, channel.frame) for channel in task.inputs]
    about = {"channels": channels, "levels": task.pressure_levels, "atmospheric": ATMOSPHERIC}
    (directory / "case.json").write_text(json.dumps(about), encoding="utf-8")


def measure_ours(chosen: argparse.Namespace) -> None:
    """Our side of a case, in this process; prints one line of JSON."""
    pinned(chosen.threads)
    import numpy as np
    import torch

    from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
    from rtma_diffda.backbones.graphcast.deepmind import from_deepmind, settings_from, task_from
    from rtma_diffda.geo.grid import LatLonGrid
    from rtma_diffda.io.deepmind_checkpoint import read_deepmind_checkpoint

    torch.set_num_threads(chosen.threads)
    stored, arrays = read_deepmind_checkpoint(chosen.case / "checkpoint.npz"), np.load(chosen.case / "case.npz")
    grid = LatLonGrid(arrays["latitudes"], arrays["longitudes"], periodic=True)
    settings = settings_from(stored.model_config)
    network = GraphCastBackbone(settings, task_from(stored.task_config), grid).network()
    network.load_state_dict(from_deepmind(stored.params, settings))
    values = torch.from_numpy(arrays["stacked"])
    found = measured(network, values, chosen.repeats, train=True)
    with torch.no_grad():
        np.save(chosen.case / "ours.npy", network.eval()(values).numpy())
    loss = network(values).square().mean()
    network.zero_grad()
    loss.backward()
    squares = [float(w.grad.double().square().sum()) for w in network.parameters() if w.grad is not None]
    print(json.dumps(found | {"loss": float(loss.detach()), "gradient": sum(squares) ** 0.5}))


def measured(network, values, repeats: int, *, train: bool, bfloat16: bool = False) -> dict[str, dict[str, float]]:
    """Seconds of a step of our network, by kind."""
    import torch

    kind = values.device.type
    wait = torch.cuda.synchronize if kind == "cuda" else (lambda: None)

    def forward() -> None:
        with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
            network(values)

    def both() -> None:
        network.zero_grad(set_to_none=True)
        with torch.autocast(kind, torch.bfloat16, enabled=bfloat16):
            loss = network(values).square().mean()
        loss.backward()

    found = {}
    for name, step in zip(KINDS, (forward, both), strict=True):
        if step is both and not train:
            continue
        network.train(step is both)
        if kind == "cuda":
            torch.cuda.reset_peak_memory_stats()
        found[name] = timed(step, repeats, wait=wait)
        if kind == "cuda":
            found[name]["memory"] = torch.cuda.max_memory_allocated() / 1024**3
    return found


def figures_of(side: str, case: Path, chosen: argparse.Namespace) -> dict:
    """What a fresh process measures for one side."""
    script = HERE / ("graphcast_peer.py" if side == PEER else "graphcast.py")
    command = [chosen.vs if side == PEER else sys.executable, str(script), str(case)]
    command += ["--threads", str(chosen.threads), "--repeats", str(chosen.repeats)]
    command += ["--package", str(chosen.package)] if side == PEER and chosen.package else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(chosen: argparse.Namespace) -> bool:
    """Measure both sides in turn and print medians and ratios; whether what is expected holds."""
    with tempfile.TemporaryDirectory() as temporary:
        case = Path(temporary)
        write_case(case, degrees=chosen.degrees)
        runs = {side: [] for side in (PEER, OURS) if side == OURS or chosen.vs}
        for _ in range(chosen.rounds):
            for side, found in runs.items():
                found.append(figures_of(side, case, chosen))
        faster = [print_kind(kind, runs) for kind in KINDS]
        return (agreement(case, runs) and all(faster)) if chosen.vs else True


def print_kind(kind: str, runs: dict[str, list[dict]]) -> bool:
    """One line a side; whether ours takes less processor time."""
    middle = {s: {f: median(run[kind][f] for run in found) for f in found[0][kind]} for s, found in runs.items()}
    for side, figures in middle.items():
        numbers = f"cpu {figures['cpu']:7.3f} s  wall {figures['wall']:7.3f} s  memory {figures['memory']:5.2f} GiB"
        print(f"{kind:22s} {side:10s} {numbers}")
    if PEER not in middle:
        return True
    ratios = {figure: middle[PEER][figure] / middle[OURS][figure] for figure in ("cpu", "wall")}
    print(f"{kind:22s} {'ratio':10s} cpu {ratios['cpu']:5.2f}  wall {ratios['wall']:5.2f}", flush=True)
    return ratios["cpu"] > 1.0


def agreement(case: Path, runs: dict[str, list[dict]]) -> bool:
    """Whether both sides computed the same."""
    import numpy as np

    apart = np.abs(np.load(case / "ours.npy") - np.load(case / "peer.npy")).max(axis=(0, 1))
    tied = float((apart > EQUAL).mean())
    ours, theirs = runs[OURS][0], runs[PEER][0]
    loss, gradient = (abs(ours[name] - theirs[name]) / theirs[name] for name in ("loss", "gradient"))
    print(
        f"answers: {100 * tied:.2f} % of points differ by more than {EQUAL:.0e}, the median of all is "
        f"{np.median(apart):.1e}; loss {loss:.1e}, norm of gradients {gradient:.1e} apart in proportion"
    )
    return tied < TIED and loss < LOSS and gradient < GRADIENT


def on_device(chosen: argparse.Namespace) -> bool:
    """Steps of the published shapes on a device; whether they are as fast as expected, where that is known."""
    import torch
    from graphcast_cost import TENSOR_CORES, TRAFFIC_SECONDS, WITHIN_REACH, cost_of

    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: the accelerator mode was not run")
        return False
    torch.set_num_threads(chosen.threads)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this processor"
    fine = True
    for wanted in chosen.network:
        backbone = backbone_of(wanted, chosen)
        values = torch.randn(1, backbone.in_channels, *backbone.grid.shape, device=device)
        network, cost = backbone.network().to(device), cost_of(backbone)
        found = measured(network, values, chosen.repeats, train=chosen.train, bfloat16=not chosen.float32)
        for kind, figures in found.items():
            rate = cost.saved * (1 if kind == KINDS[0] else 3) / figures["wall"] / 1e12
            print(
                f"{wanted:22s} {kind:22s} {1e3 * figures['wall']:9.1f} ms  {figures['memory']:6.1f} GiB  "
                f"{rate:7.2f} TFLOP/s done, {cost.published / 1e12:.2f} TFLOP forward as published, on {name}",
                flush=True,
            )
        if wanted in WITHIN_REACH:
            floor = 1e3 * cost.saved / TENSOR_CORES
            print(
                f"{wanted:22s} on an H200 in bfloat16: arithmetic {floor:.0f} ms, memory traffic "
                f"{1e3 * TRAFFIC_SECONDS[wanted]:.0f} ms, expected {1e3 * WITHIN_REACH[wanted]:.0f} ms or less"
            )
            judged = "H200" in name and not chosen.float32
            fine &= not judged or found[KINDS[0]]["wall"] <= WITHIN_REACH[wanted]
        del network
    return fine


def backbone_of(name: str, chosen: argparse.Namespace):
    """A published network on its grid, or a tiny one."""
    from dataclasses import replace

    from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
    from rtma_diffda.backbones.graphcast.published import PUBLISHED, global_grid_of
    from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
    from rtma_diffda.backbones.graphcast.task import TASKS
    from rtma_diffda.backbones.limited_area.evaluation import Evaluation

    tiny = GraphCastBackbone(GraphCastSettings(2, 32, 4), TASKS["GraphCast_small"], global_grid_of(10.0))
    found = tiny if name == "tiny" else PUBLISHED[name].backbone
    evaluation = Evaluation(chunk=chosen.chunk, recompute=chosen.recompute)
    return replace(found, settings=replace(found.settings, evaluation=evaluation))


def main(arguments: list[str] | None = None) -> int:
    """0 when what is expected holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", type=Path, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--vs", help="interpreter of an environment with JAX and what the published package imports")
    parser.add_argument("--package", type=Path, help="directory that holds the published package")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--degrees", type=float, default=2.0)
    parser.add_argument("--device", help="cuda or cpu: steps of the published shapes on it")
    parser.add_argument("--network", type=lambda text: text.split(","), default=["GraphCast_small", "GraphCast"])
    parser.add_argument("--float32", action="store_true", help="instead of bfloat16")
    parser.add_argument("--train", action="store_true", help="with gradients, too")
    parser.add_argument("--chunk", type=int, help="grid points at a time")
    parser.add_argument("--recompute", action="store_true", help="activations in the backward pass")
    chosen = parser.parse_args(arguments)
    if chosen.case is not None:
        measure_ours(chosen)
        return 0
    passed = on_device(chosen) if chosen.device else compare(chosen)
    print(f"graphcast benchmark: {'passed' if passed else 'FAILED'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
