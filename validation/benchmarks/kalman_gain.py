"""The gain of ``kalman`` against the network it goes with: seconds a step, in one run.

Claim: on 256 × 256 points of 2.5 km with 10,000 data (2,000 stations at random places, five variables) and 8 members a
step's gain takes less time than the network's evaluation, for every kind of B: by lag, each variable by itself, which
the product takes on grids of this size (``lag_averaged_error``); by modes, which it takes on smaller ones
(``low_rank_gain``); by lag, all variables together (``stationary_gain``). The network is the regional denoiser with the
widths of the shipped one, weights at random, in bfloat16 where the processor has it, else in float32. A step's gain
includes what has to be worked out for its noise level; the steps are those of the default sampler, which comes to each
level once. What is made once an analysis, whatever the sampler, is measured apart. For the last gain, also how far its
tiles and iterations are from the converged solution.

Run:       .venv/bin/python validation/benchmarks/kalman_gain.py [--threads 1] [--repeats 3]
Expected:  mean over the steps / network < 1 for each; exit status 0 if and only if all hold
Measured:  validation/README.md
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.covariance_modes import covariance_modes
from rtma_diffda.assimilation.denoising_network import DenoisingNetwork, denoiser_settings
from rtma_diffda.assimilation.lag_averaged_error import lag_averaged_error
from rtma_diffda.assimilation.network_inputs import InputEncoding
from rtma_diffda.assimilation.sample_covariance import gaspari_cohn
from rtma_diffda.backbones.precision import fast_in_bfloat16
from rtma_diffda.diffusion.conditioning.evidence import Evidence, evidence_of
from rtma_diffda.diffusion.conditioning.kalman import Gain
from rtma_diffda.diffusion.conditioning.low_rank_gain import LowRankGain
from rtma_diffda.diffusion.conditioning.stationary_gain import Solving, StationaryGain
from rtma_diffda.diffusion.stationary_covariance import StationaryCovariance
from rtma_diffda.experiments.diffusion_methods import DEFAULT_SAMPLER
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields, ridge_and_coast
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations, as_table
from rtma_diffda.times import Window

SIDE, SPACING, STATIONS, MEMBERS = 256, 2500.0, 2000, 8
SCALES = {"t2m": 1.4, "d2m": 1.6, "u10m": 1.2, "v10m": 1.2, "sp": 60.0}  # spread of B and unit of r (SI)
LENGTH, REACH = 20e3, 160e3  # m: second-order autoregressive, 0.5 at 34 km; its tail cut by Gaspari and Cohn's function
ERROR = 0.4  # of s
CORRELATION = torch.tensor(  # between variables at one place
    [
        [1.0, 0.5, 0.1, 0.0, -0.3],
        [0.5, 1.0, 0.0, 0.1, -0.2],
        [0.1, 0.0, 1.0, 0.1, 0.1],
        [0.0, 0.1, 0.1, 1.0, 0.1],
        [-0.3, -0.2, 0.1, 0.1, 1.0],
    ],
    dtype=torch.float64,
)


def build() -> tuple[AssimilationProblem, StaticFields]:
    """A problem of five variables at every station, and its static fields."""
    half = -0.5 * (SIDE - 1) * SPACING
    projection = "+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200 +units=m"
    grid = ProjectedGrid(projection, SIDE, SIDE, SPACING, SPACING, half, half)
    static, layout = ridge_and_coast(grid), Layout.of(grid, list(SCALES))
    noon, rng = np.datetime64("2026-01-01T12:00", "ns"), np.random.default_rng(0)
    row, column = rng.integers(1, SIDE - 1, (2, STATIONS))
    shift = rng.uniform(-0.4, 0.4, STATIONS)
    latitude = grid.latitude()[row, column] + shift * (grid.latitude()[row + 1, column] - grid.latitude()[row, column])
    places = pd.DataFrame({"latitude": latitude, "longitude": grid.longitude()[row, column]})
    places["station"] = [f"S{i:04d}" for i in range(STATIONS)]
    table = pd.concat([places.assign(variable=name, value=0.0, error_std=ERROR * s) for name, s in SCALES.items()])
    table = as_table(table.assign(network="synop", elevation=np.nan, valid_time=noon))
    background = State(torch.zeros(1, *layout.shape), layout, noon)
    window = Window.around(noon, np.timedelta64(30, "m"))
    observations = Observations.from_table(table, layout)
    return AssimilationProblem(background, observations, BilinearOperator(layout, static), window), static


def stationary() -> StationaryCovariance:
    """B of all variables together, in units of s."""
    lags = torch.arange(-int(REACH / SPACING), int(REACH / SPACING) + 1, dtype=torch.float64) * SPACING
    distance = torch.hypot(lags[:, None], lags)
    rho = (1.0 + distance / LENGTH) * torch.exp(-distance / LENGTH) * gaspari_cohn(distance, REACH)
    return StationaryCovariance(CORRELATION[:, :, None, None] * rho, (SIDE, SIDE))


def network() -> tuple[DenoisingNetwork, torch.Tensor]:
    """The denoiser and a context for it."""
    errors = {name: BackgroundError(s, LENGTH) for name, s in SCALES.items()}
    encoding = InputEncoding(SCALES, errors, spacing=SPACING)
    settings = denoiser_settings(encoding)
    context = torch.rand(MEMBERS, settings.in_channels - len(SCALES), SIDE, SIDE, generator=torch.Generator())
    return DenoisingNetwork(encoding, settings).eval(), context


def seconds(call: Callable[[], object], repeats: int = 1) -> float:
    """The shortest of some calls."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def network_seconds(repeats: int) -> float:
    """An evaluation for all members, as the product has it."""
    net, context = network()
    noisy, sigma = torch.randn(MEMBERS, len(SCALES), SIDE, SIDE), torch.ones(MEMBERS)
    wanted = fast_in_bfloat16(noisy.device)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=wanted):
        net(noisy, sigma, context)
        return seconds(lambda: net(noisy, sigma, context), repeats)


def step_seconds(gain: Gain, departures: torch.Tensor, at: torch.Tensor, repeats: int) -> list[float]:
    """Of every step of the default sampler; the first pass also works out what is made once, and does not count."""
    levels = DEFAULT_SAMPLER.path[:-1]

    def one_pass() -> list[float]:
        return [seconds(lambda level=level: gain(departures, level, at)) for level in levels]

    one_pass()
    return np.min([one_pass() for _ in range(repeats)], axis=0).tolist()


def misses(gain: StationaryGain, departures: torch.Tensor, at: torch.Tensor) -> list[float]:
    """Distance from the converged solution, as a share of the increment, at three noise levels."""
    converged = replace(gain, solving=Solving(tolerance=1e-5, iterations=60))
    path, shares = DEFAULT_SAMPLER.path, []
    for sigma in (path[0], path[len(path) // 2], path[-2]):
        exact = converged(departures, sigma, at)
        shares.append(float((gain(departures, sigma, at) - exact).norm() / exact.norm()))
    return shares


def made_once(problem: AssimilationProblem, static: StaticFields, evidence: Evidence) -> dict[str, tuple[Gain, float]]:
    """The gains, and the seconds that go before the first step."""
    errors = {name: BackgroundError(s, LENGTH) for name, s in SCALES.items()}
    scale = torch.tensor(list(SCALES.values())).view(-1, 1, 1)
    makers: dict[str, Callable[[], Gain]] = {
        "by lag": lambda: StationaryGain(lag_averaged_error(errors, problem, static, scale), evidence),
        "by modes": lambda: LowRankGain.of(covariance_modes(errors, problem, static, scale), evidence),
        "joint": lambda: StationaryGain(stationary(), evidence),
    }
    return {name: _made(maker, *departures_of(evidence)) for name, maker in makers.items()}


def _made(maker: Callable[[], Gain], departures: torch.Tensor, at: torch.Tensor) -> tuple[Gain, float]:
    began = time.perf_counter()
    gain = maker()
    made = time.perf_counter() - began
    first, again = (seconds(lambda sigma=sigma: gain(departures, sigma, at)) for sigma in (1.0, 1.1))
    return gain, made + max(first - again, 0.0)


def departures_of(evidence: Evidence) -> tuple[torch.Tensor, torch.Tensor]:
    """Departures of one s, and the fields that the gain is asked for."""
    s = torch.tensor(list(SCALES.values()))[evidence.stencil.channel]
    departures = s * torch.randn(MEMBERS, len(evidence), generator=torch.Generator().manual_seed(1))
    return departures, torch.zeros(MEMBERS, len(SCALES), SIDE, SIDE)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    problem, static = build()
    evidence = evidence_of(problem, torch.tensor(list(SCALES.values())).view(-1, 1, 1), members=MEMBERS)
    gains, data = made_once(problem, static, evidence), departures_of(evidence)
    before = network_seconds(arguments.repeats)
    steps = {name: step_seconds(gain, *data, arguments.repeats) for name, (gain, _) in gains.items()}
    net = min(before, network_seconds(arguments.repeats))
    kind = "bfloat16" if fast_in_bfloat16(torch.device("cpu")) else "float32"
    print(f"{len(evidence)} data, {MEMBERS} members; network {net:.3f} s in {kind}")
    for name, times in steps.items():
        mean, worst = float(np.mean(times)), max(times)
        ratios = f"/ network {mean / net:.2f} (at most {worst / net:.2f})"
        print(f"{name:<10} once {gains[name][1]:6.2f} s; a step {mean:.3f} s (at most {worst:.3f}); {ratios}")
    shares = ", ".join(f"{share:.4f}" for share in misses(gains["joint"][0], *data))
    print(f"joint, from the converged solution at large, middling and small noise: {shares}")
    holds = all(np.mean(times) < net for times in steps.values())
    print("every claim holds" if holds else "a claim does not hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
