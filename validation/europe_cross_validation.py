"""Europe, 2018-11-20 12 UTC: withheld error of 2 m temperature with tuned optimal interpolation.

Claim: over all 1,471 SYNOP stations with a 2 m temperature, gross departures included, ten random folds by station with
numpy seeds 1-5 (permutation modulo 10), settings chosen inside the training folds only and quality control on the
training side only, the mean withheld RMSE is at most 1.87 K; with whole 2° blocks withheld, at most 2.08 K. The
background (ECMWF, 48 h, reduced Gaussian N160) has 2.45 K where it is interpolated straight to the stations, 2.42 K by
way of the 25-km grid.

Height terms: no model orography comes with the file. H makes no height correction. The covariance uses differences in
station height and in the background's own value at the station. Its parameters are tuned by leave-one-out on the
training stations of each fold, from a maximum-likelihood start. The last row has the classical form instead: it looks
at distance and station height alone. The family (exponential, with the background's value) was chosen after exploring
these very data, so a little of the gain over the classical form may be luck; the parameters are nested strictly.

It is the case that ``rtma-diffda analyse experiment=europe_20181120 data=DIR`` analyses and verifies.

Run:       .venv/bin/python validation/europe_cross_validation.py ../shared/data/europe_20181120
Expected:  exit status 0: mean of the random splits ≤ 1.87 K, of the block splits ≤ 2.08 K
Measured:  validation/README.md
"""

import argparse
import sys
from pathlib import Path

from rtma_diffda.assimilation.defaults import spare_background_error
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.tuning import tune_problems
from rtma_diffda.cli.configuration import compose_settings
from rtma_diffda.experiments.analyse import AnalyseSettings, prepare_case
from rtma_diffda.experiments.cross_validation import cross_validate
from rtma_diffda.experiments.fold_verification import FoldSettings, scored_problem, verify_by_folds
from rtma_diffda.experiments.methods import MethodSettings
from rtma_diffda.experiments.reporting import Verification
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.quality_control import BackgroundCheck
from rtma_diffda.observations.withholding import random_station_folds
from rtma_diffda.verification.bootstrap import BlockBootstrap

SEEDS = (1, 2, 3, 4, 5)
LIMITS = {"10 random folds of stations": 1.87, "10 folds of 2° blocks": 2.08}


def show(label: str, verification: Verification) -> float:
    """Print a row of the table; the RMSE of the analysis."""
    scores = verification.scores.set_index("source")
    row, background = scores.drop(index="background").iloc[0], scores.loc["background"]
    print(
        f"{label:<38}{row['n']:>6.0f}{background['rmse']:>12.3f}{row['rmse']:>8.3f}  "
        f"{row['rmse_low']:.2f} … {row['rmse_high']:.2f}{row['mae']:>8.3f}{row['bias']:>+8.3f}",
        flush=True,
    )
    return float(row["rmse"])


def classical(problem: AssimilationProblem) -> OptimalInterpolation:
    """Distance and station height alone, tuned on the training problem."""
    grid, static = problem.background.layout.grid, problem.operator.static
    tuned = tune_problems([problem], static, {"t2m": [spare_background_error("t2m", grid)]})["t2m"]
    return OptimalInterpolation(static, {"t2m": tuned.background_error}, {"t2m": tuned.observation_error_factor})


def main() -> int:
    """Run every split and judge the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="holds t2m_grib.grib and obs_3day.bufr")
    settings = compose_settings(
        "analyse", ["experiment=europe_20181120", f"data={parser.parse_args().directory}", f"seed={SEEDS[0]}"]
    )
    settings.pop("log")
    case, _ = prepare_case(AnalyseSettings.from_mapping(settings))
    print(f"{'split (K; intervals: 95 %, 2° blocks)':<38}{'n':>6}{'background':>12}{'OI':>8}  {'interval':<11}"
          f"{'MAE':>8}{'bias':>8}")  # fmt: skip
    rmse: dict[str, list[float]] = {}
    stations = 0
    for seed in SEEDS:
        for label, verification in verify_by_folds(case, MethodSettings(), FoldSettings(10, (seed,), 2.0)).items():
            stations = len(verification.pairs)
            rmse.setdefault(label.rpartition(", seed ")[0], []).append(show(label, verification))
    problem, suspect = scored_problem(case)
    folds = random_station_folds(problem.observations.station, folds=10, seed=1)
    pairs = cross_validate(problem, folds, classical, check=BackgroundCheck(), suspect=suspect)
    show("classical, random folds, seed 1", Verification.of(pairs, (), BlockBootstrap(block_degrees=2.0)))
    means = {kind: sum(values) / len(values) for kind, values in rmse.items()}
    holds = stations == 1471 and all(means[kind] <= limit for kind, limit in LIMITS.items())
    told = ", ".join(f"{kind} {mean:.3f} K (limit {LIMITS[kind]})" for kind, mean in means.items())
    print(f"europe_cross_validation: {'passed' if holds else 'FAILED'}, {stations} stations, mean RMSE: {told}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
