"""Seconds to draw an ensemble with the default sampler, and what each way of running it gains over the plainest.

    python validation/benchmarks/sampling_speed.py [--device cpu|cuda] [--points 64,256] [--members 8] [--repeats 3]

The network is the shipped denoiser's, with weights that do not matter here; the gain has 441 modes a channel and five
data at each of a hundred stations. Peers, in one run: members one by one in float32; all together; the U-Net without a
mesh; in bfloat16; on a GPU also with ``torch.compile`` and CUDA graphs. One thread on a CPU. Making the modes of B is
measured apart, since it is done once an analysis whatever the sampler.
"""

import argparse
import time
from collections.abc import Callable

import torch

from rtma_diffda.assimilation.denoiser_checkpoint import denoiser_from_checkpoint
from rtma_diffda.diffusion.conditioning.evidence import Evidence, Stencil
from rtma_diffda.diffusion.conditioning.kalman import Kalman
from rtma_diffda.diffusion.conditioning.low_rank_gain import LowRankGain, Modes
from rtma_diffda.diffusion.preconditioning import edm
from rtma_diffda.diffusion.sampling import sample
from rtma_diffda.experiments.diffusion_methods import DEFAULT_SAMPLER
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.resources import resource_directory

CHANNELS, STATIONS, MODES = 5, 100, 441
WITH_MESH, WITHOUT_MESH = "denoiser", "denoiser_unet"


def denoiser(checkpoint: str, points: int, device: str) -> tuple[int, Callable]:
    """Context channels and the denoiser of a shipped checkpoint's network on a grid of its spacing, weights drawn."""
    trained = denoiser_from_checkpoint(read_checkpoint(resource_directory("checkpoints") / checkpoint))
    spacing = 5e3
    grid = ProjectedGrid("+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +R=6371200", points, points, spacing, spacing, 0, 0)
    backbone = trained.network.backbone.on_grid(grid)
    torch.manual_seed(0)
    net = backbone.network().to(device).eval()

    def denoise(noisy: torch.Tensor, sigma: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        coefficients = edm(sigma, torch.ones_like(sigma)[:, None, None, None])
        answer = net(torch.cat([coefficients.into * noisy, context], dim=1), sigma)
        return coefficients.denoised(noisy, answer.float())

    return backbone.in_channels - CHANNELS, denoise


def kalman(points: int, device: str) -> Kalman:
    """All channels observed at the same places, with modes of a smooth B."""
    generator = torch.Generator().manual_seed(1)
    at = torch.randint(points * points, (STATIONS,), generator=generator)
    channel = torch.arange(CHANNELS).repeat_interleave(STATIONS).to(device)
    cells, ones = at.repeat(CHANNELS)[:, None].to(device), torch.ones(CHANNELS * STATIONS, 1, device=device)
    value = torch.randn(CHANNELS * STATIONS, generator=generator).to(device)

    def equivalents(r: torch.Tensor) -> torch.Tensor:
        return r.flatten(2)[:, channel, cells[:, 0]]

    evidence = Evidence(equivalents, value, torch.full_like(value, 0.3), Stencil(channel, cells, ones))
    basis = torch.linalg.qr(torch.randn(points * points, MODES, generator=generator))[0].to(device)
    lengths = 1e3 * torch.exp(-torch.arange(MODES, device=device) / 60)
    modes = Modes(basis * lengths.sqrt(), lengths, torch.full((points * points,), 0.05, device=device))
    return Kalman(evidence, LowRankGain.of((modes,) * CHANNELS, evidence))


def seconds_of(draw: Callable[[], torch.Tensor], device: str, repeats: int) -> float:
    """The fastest of some repeats, after one that warms up."""
    times = []
    for _ in range(repeats + 1):
        _wait(device)
        start = time.perf_counter()
        draw()
        _wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def ways(points: int, members: int, device: str) -> dict[str, Callable[[], torch.Tensor]]:
    """Ways of drawing ``members`` fields of ``points`` × ``points``."""
    channels, denoise = denoiser(WITH_MESH, points, device)
    fewer, convolutions = denoiser(WITHOUT_MESH, points, device)
    conditioning = kalman(points, device)
    context = torch.randn(members, channels, points, points, device=device)

    def drawn(denoise: Callable, context: torch.Tensor, *, bfloat16: bool) -> torch.Tensor:
        generator = torch.Generator(device=device).manual_seed(0)
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=bfloat16):
            return sample(denoise, conditioning, DEFAULT_SAMPLER, context, channels=CHANNELS, generator=generator)

    def one_by_one() -> torch.Tensor:
        return torch.cat([drawn(denoise, context[i : i + 1], bfloat16=False) for i in range(members)])

    found = {
        "one by one, float32": one_by_one,
        "together, float32": lambda: drawn(denoise, context, bfloat16=False),
        "the U-Net, together, float32": lambda: drawn(convolutions, context[:, :fewer], bfloat16=False),
        "together, bfloat16": lambda: drawn(denoise, context, bfloat16=True),
    }
    if device != "cpu":
        compiled = torch.compile(denoise, mode="reduce-overhead")
        found["compiled, CUDA graphs"] = lambda: drawn(
            lambda *inputs: compiled(*inputs).clone(), context, bfloat16=True
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--points", default="64,256")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    name = "one thread" if arguments.device == "cpu" else torch.cuda.get_device_name()
    print(f"{arguments.members} members, {len(DEFAULT_SAMPLER.path) - 1} calls each, on {name}")
    for points in map(int, arguments.points.split(",")):
        reference = None
        for label, draw in ways(points, arguments.members, arguments.device).items():
            seconds = seconds_of(draw, arguments.device, arguments.repeats)
            reference = reference or seconds
            print(f"{points:4} × {points:<4} {label:30} {seconds:8.3f} s   {reference / seconds:6.1f} times as fast")


if __name__ == "__main__":
    main()
