"""Accuracy against network calls, for every way in of the observations and several samplers, in one run.

    python validation/benchmarks/sampling.py [--data outputs] [--cases 24] [--only kalman,channels]

Cases are of the validation runs of ``osse_small``, seed 0 (`rtma-diffda simulate experiment=osse_small` makes them),
which ended the shipped denoiser's training and chose its settings: here the default sampler is chosen. All means are
over variables and the whole grid:

    RMSE           of the mean of 8 members, over tuned optimal interpolation's
    spread/skill   as sampled, before any calibration
    CRPS           of the members, calibrated on these cases, over that of optimal interpolation's Gaussian with the
                   best constant error
    roughness      mean square of a calibrated member's steps from point to point, over the truth's

Nothing fails: the last lines name the best within 30 calls.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add

import numpy as np
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
from rtma_diffda.diffusion.paths import diffda_path, karras_path, logarithmic_path
from rtma_diffda.diffusion.sampling import Ancestral, Heun, Multistep, Sampler
from rtma_diffda.experiments.data_set import DataSetDesign
from rtma_diffda.experiments.osse_cases import ObservingSettings, osse_cases
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.resources import resource_directory
from rtma_diffda.verification.ensemble_scores import Departures, crps, gaussian_crps


def entries(trained: TrainedDenoiser) -> dict[str, ObservationEntry]:
    """Every way in; landmarks one point apart are too many for modes, and ``kalman`` takes B by lag."""
    return {
        "kalman": ThroughKalman(trained.residual_errors, trained.residual_error_factors),
        "kalman_by_lag": ThroughKalman(trained.residual_errors, trained.residual_error_factors, spacing=1),
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
    found = {f"ancestral {n}": Sampler(karras_path(n, highest=80.0), Ancestral()) for n in (5, 10, 14, 20, 30)}
    found |= {f"ancestral 20 from {h:g}": Sampler(karras_path(20, highest=h), Ancestral()) for h in (10.0, 30.0)}
    found |= {f"eta {e:g} 20": Sampler(karras_path(20, highest=80.0), Ancestral(e)) for e in (0.0, 0.5)}
    found |= {f"Heun {n}": Sampler(karras_path(n, highest=80.0), Heun()) for n in (5, 10)}
    found |= {f"multistep {n}": Sampler(karras_path(n, highest=80.0), Multistep()) for n in (10, 20)}
    found |= {f"stochastic multistep {n}": Sampler(logarithmic_path(n), Multistep(1.0)) for n in (10, 14, 20, 30)}
    kept = {"ancestral 10", "ancestral 14", "ancestral 20", "stochastic multistep 14"}
    dear = entry not in ("kalman", "channels")
    return {name: sampler for name, sampler in found.items() if not dear or name in kept}


@dataclass(frozen=True)
class Judged:
    """What a method is worth: (channel,) figures in SI, calls a member and seconds an analysis."""

    rmse: np.ndarray
    reliability: np.ndarray
    crps: np.ndarray
    roughness: np.ndarray
    calls: float
    seconds: float


def judged(method: DiffusionAssimilation, cases: Sequence[TruthCase]) -> Judged:
    """The method's figures over all points of the cases."""
    generator, drawn, calls, start = torch.Generator().manual_seed(0), [], 0.0, time.perf_counter()
    for case in cases:
        analysis = replace(method, static=case.static).analyse(case.problem, generator=generator)
        drawn.append(analysis.state.values)
        calls += analysis.diagnostics["network_calls"] / method.members / len(cases)
    seconds = (time.perf_counter() - start) / len(cases)
    names, truths = cases[0].truth.layout.names, [case.truth.values[0] for case in cases]
    sums = reduce(add, map(SpreadSums.of, drawn, truths))
    calibration = sums.calibration(names)
    calibrated = [calibration(members, names) for members in drawn]
    scores = [ensemble_crps(members - truth) for members, truth in zip(calibrated, truths, strict=True)]
    rough = sum(map(roughness, calibrated)) / sum(map(roughness, truths))
    points = len(cases) * truths[0][0].numel()
    return Judged(
        (sums.squared_error / points).sqrt().numpy(),
        (sums.spread_variance / sums.squared_error).sqrt().numpy(),
        np.mean(scores, axis=0),
        rough.numpy(),
        calls * (2 if isinstance(method.sampler.stepper, Heun) else 1),
        seconds,
    )


def ensemble_crps(errors: torch.Tensor) -> np.ndarray:
    """Mean fair CRPS (channel,) of errors (member, channel, y, x)."""
    by_channel = errors.double().numpy().swapaxes(0, 1)
    return np.array([crps(Departures(found.reshape(len(found), -1))).mean() for found in by_channel])


def roughness(fields: torch.Tensor) -> torch.Tensor:
    """Mean square (channel,) of steps between neighbours, of fields (…, channel, y, x)."""
    fields = fields.double().reshape(-1, *fields.shape[-3:])
    return fields.diff(dim=-1).square().mean(dim=(0, 2, 3)) + fields.diff(dim=-2).square().mean(dim=(0, 2, 3))


def interpolated(trained: TrainedDenoiser, cases: Sequence[TruthCase]) -> tuple[np.ndarray, np.ndarray]:
    """RMSE and CRPS (channel,) of the tuned optimal interpolation that the encoding carries."""
    encoding = trained.network.encoding
    bare = OptimalInterpolation(cases[0].static, encoding.background_errors, encoding.observation_error_factors)
    analyses = [replace(bare, static=case.static).analyse(case.problem, generator=torch.Generator()) for case in cases]
    errors = np.stack(
        [
            (found.state.values[0] - case.truth.values[0]).double().numpy()
            for found, case in zip(analyses, cases, strict=True)
        ]
    )
    rmse = np.sqrt(np.square(errors).mean(axis=(0, 2, 3)))
    return rmse, gaussian_crps(errors, rmse[:, None, None]).mean(axis=(0, 2, 3))


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
    rmse, score = interpolated(trained, cases)
    print(f"{len(cases)} cases, 100 stations, 8 members, one thread")
    print(
        f"{'way in':18} {'sampler':24} {'calls':>6} {'RMSE':>6} {'spread/skill':>12} {'CRPS':>6} {'rough':>6} {'s':>6}"
    )
    best = {"RMSE": (float("inf"), ""), "CRPS": (float("inf"), "")}
    chosen = [name for name in arguments.only.split(",") if name]
    for name, entry in entries(trained).items():
        for label, sampler in samplers(name).items() if not chosen or name in chosen else ():
            found = judged(
                DiffusionAssimilation(cases[0].static, trained.network, entry, sampler, bfloat16=None), cases
            )
            ratios = {"RMSE": float((found.rmse / rmse).mean()), "CRPS": float((found.crps / score).mean())}
            print(
                f"{name:18} {label:24} {found.calls:6.0f} {ratios['RMSE']:6.3f} {found.reliability.mean():12.2f} "
                f"{ratios['CRPS']:6.3f} {found.roughness.mean():6.2f} {found.seconds:6.2f}",
                flush=True,
            )
            if found.calls <= 30:
                best = {key: min(known, (ratios[key], f"{name}, {label}")) for key, known in best.items()}
    for key, (value, who) in best.items():
        print(f"best {key} within 30 calls: {who}: {value:.3f}")


if __name__ == "__main__":
    main()
