"""Accuracy against network calls, for every way in of the observations and several samplers, in one run.

    python validation/benchmarks/sampling.py [--data outputs] [--cases 24] [--only kalman,channels]

Cases are of the validation runs of ``osse_small``, seed 0 (`rtma-diffda simulate experiment=osse_small` makes them),
which chose no weights of the shipped denoiser but its settings: this is where the default sampler is chosen. Ratios are
RMSE over the grid to tuned optimal interpolation's, mean over variables; the spread is not calibrated. Nothing fails:
the last line names the best within 30 calls.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser, denoiser_from_checkpoint
from rtma_diffda.assimilation.diffusion import DiffusionAssimilation
from rtma_diffda.assimilation.observation_entry import (
    ObservationEntry,
    ThroughChannels,
    ThroughGuidance,
    ThroughKalman,
    ThroughReplacement,
)
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.spread_calibration import SpreadSums
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.diffusion.conditioning.moment_matching import MomentMatching
from rtma_diffda.diffusion.conditioning.score_guidance import PosteriorSampling, ScoreGuidance
from rtma_diffda.diffusion.paths import diffda_path, karras_path
from rtma_diffda.diffusion.sampling import Ancestral, Heun, Multistep, Sampler
from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.osse_cases import ObservingSettings, osse_cases
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.resources import resource_directory


def entries(trained: TrainedDenoiser) -> dict[str, ObservationEntry]:
    """Every way in."""
    return {
        "kalman": ThroughKalman(trained.residual_errors, trained.residual_error_factors),
        "channels": ThroughChannels(),
        "score_guidance": ThroughGuidance(partial(ScoreGuidance, gamma=0.3)),
        "posterior_sampling": ThroughGuidance(PosteriorSampling),
        "moment_matching": ThroughGuidance(partial(MomentMatching, iterations=1)),
        "replacement": ThroughReplacement(),
    }


def samplers(entry: str) -> dict[str, Sampler]:
    """What is tried with a way in; the dear ones with fewer settings."""
    if entry == "replacement":
        return {
            "DiffDA 20, no jumps": Sampler(diffda_path(20, resamplings=1), Ancestral(0.0)),
            "DiffDA 20, jumps 5 × 4": Sampler(diffda_path(20, jump_length=5, resamplings=4), Ancestral(0.0)),
        }
    found = {f"ancestral {n}": Sampler(karras_path(n, highest=80.0), Ancestral()) for n in (5, 10, 20, 30)}
    found |= {f"ancestral 20 from {h:g}": Sampler(karras_path(20, highest=h), Ancestral()) for h in (10.0, 30.0)}
    found |= {f"eta {e:g} 20": Sampler(karras_path(20, highest=80.0), Ancestral(e)) for e in (0.0, 0.5)}
    found |= {f"Heun {n}": Sampler(karras_path(n, highest=80.0), Heun()) for n in (5, 10)}
    found |= {f"multistep {n}": Sampler(karras_path(n, highest=80.0), Multistep()) for n in (10, 20)}
    kept = {"ancestral 10", "ancestral 20"}
    dear = entry not in ("kalman", "channels")
    return {name: sampler for name, sampler in found.items() if not dear or name in kept}


def judged(
    method: DiffusionAssimilation, cases: Sequence[TruthCase]
) -> tuple[torch.Tensor, torch.Tensor, float, float]:
    """RMSE and spread over skill (channel,), calls a member, and seconds an analysis."""
    generator, sums, calls, start = torch.Generator().manual_seed(0), None, 0.0, time.perf_counter()
    for case in cases:
        analysis = replace(method, static=case.static).analyse(case.problem, generator=generator)
        found = SpreadSums.of(analysis.state.values, case.truth.values[0])
        sums = found if sums is None else sums + found
        calls += analysis.diagnostics["network_calls"] / method.members / len(cases)
    seconds = (time.perf_counter() - start) / len(cases)
    points = len(cases) * cases[0].truth.values[0, 0].numel()
    rmse = (sums.squared_error / points).sqrt()
    return rmse, (sums.spread_variance / sums.squared_error).sqrt(), calls, seconds


def interpolated(trained: TrainedDenoiser, cases: Sequence[TruthCase]) -> torch.Tensor:
    """RMSE (channel,) of the tuned optimal interpolation that the encoding carries."""
    encoding = trained.network.encoding
    bare = OptimalInterpolation(cases[0].static, encoding.background_errors, encoding.observation_error_factors)
    squared = torch.zeros(len(encoding.names), dtype=torch.float64)
    for case in cases:
        analysis = replace(bare, static=case.static).analyse(case.problem, generator=torch.Generator())
        squared += (analysis.state.values[0].double() - case.truth.values[0].double()).square().mean(dim=(1, 2))
    return (squared / len(cases)).sqrt()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", default="outputs")
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trained = denoiser_from_checkpoint(read_checkpoint(resource_directory("checkpoints") / "denoiser"))
    design = DataSetDesign(directory=arguments.data)
    known = osse_cases(design, ObservingSettings(), seed=0, split="validation", hours=(3, 9, 15, 21))
    every = [case.known for case in known]
    cases = every[:: max(1, len(every) // arguments.cases)][: arguments.cases]
    reference = interpolated(trained, cases)
    print(f"{len(cases)} cases, 100 stations, 8 members, one thread; ratios to tuned optimal interpolation")
    print(f"{'way in':18} {'sampler':24} {'calls':>6} {'ratio':>6} {'spread/skill':>12} {'s/analysis':>10}")
    best: tuple[float, str] = (float("inf"), "")
    chosen = [name for name in arguments.only.split(",") if name]
    for name, entry in entries(trained).items():
        for label, sampler in samplers(name).items() if not chosen or name in chosen else ():
            method = DiffusionAssimilation(cases[0].static, trained.network, entry, sampler, bfloat16=True)
            rmse, reliability, calls, seconds = judged(method, cases)
            calls *= 2 if isinstance(sampler.stepper, Heun) else 1
            ratio = float((rmse / reference).mean())
            print(f"{name:18} {label:24} {calls:6.0f} {ratio:6.3f} {float(reliability.mean()):12.2f} {seconds:10.2f}")
            if calls <= 30:
                best = min(best, (ratio, f"{name}, {label}, {calls:.0f} calls"))
    print(f"best within 30 calls: {best[1]}: {best[0]:.3f}")


if __name__ == "__main__":
    main()
