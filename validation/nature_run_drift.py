"""Do nature runs drift? Claim: nothing that is not finite, and no drift, over 60 hours of independent runs.

Truth and twin of several runs on random terrain. The third day against the second: the change of a mean must lie
within three of its standard errors over runs, or within 1 K, 1 K, 1 m/s, 1 m/s, 300 Pa, which single weather systems
explain; the spatial spread must stay within 0.7 to 1.4 of itself; the background error must not grow by more than 30 %.

    python validation/nature_run_drift.py [--runs 8]
"""

import argparse
import sys

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.dynamics.nature_run import simulate_runs
from rtma_diffda.dynamics.nature_settings import NatureSettings
from rtma_diffda.geo.random_terrain import random_terrain
from rtma_diffda.geo.region import load_region

TOLERATED = {"t2m": 1.0, "d2m": 1.0, "u10m": 1.0, "v10m": 1.0, "sp": 300.0}
_SECOND_DAY, _THIRD_DAY = slice(4, 12), slice(12, 20)  # states are three hours apart


def simulate(count: int) -> Tensor:
    """(run, truth or twin, time, channel, y, x) of 60 hours."""
    grid = load_region("osse_small").grid
    times = np.datetime64("2026-06-01T00:00", "ns") + np.arange(21) * np.timedelta64(3, "h")
    fields = []
    for seed in range(count):
        static = random_terrain(grid, generator=torch.Generator().manual_seed(900 + seed))
        (run,) = simulate_runs([static], times, NatureSettings(), generators=[torch.Generator().manual_seed(seed)])
        fields.append(torch.stack([run.truth, run.background]))
    return torch.stack(fields).double()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=8)
    torch.set_num_threads(1)
    values = simulate(parser.parse_args().runs)
    bad = int((~torch.isfinite(values)).sum())
    passed = bad == 0
    print(f"{bad} of {values.numel():,} values are not finite")
    print(f"{'':<5} {'change of mean':>15} {'std. error':>11} {'spread ×':>9} {'background RMSE ×':>18}")
    days = [values[:, :, day] for day in (_SECOND_DAY, _THIRD_DAY)]
    for i, (name, tolerated) in enumerate(TOLERATED.items()):
        change = (days[1] - days[0])[:, :, :, i].mean(dim=(1, 2, 3, 4))
        error = float(change.std() / len(change) ** 0.5)
        spread = [float(day[:, :, :, i].std(dim=(-1, -2)).mean()) for day in days]
        rmse = [float((day[:, 1, :, i] - day[:, 0, :, i]).square().mean().sqrt()) for day in days]
        mean, ratio, growth = float(change.mean()), spread[1] / spread[0], rmse[1] / rmse[0]
        print(f"{name:<5} {mean:>15.2f} {error:>11.2f} {ratio:>9.2f} {growth:>18.2f}")
        passed &= abs(mean) <= max(3 * error, tolerated) and 0.7 <= ratio <= 1.4 and growth <= 1.3
    print(f"nature_run_drift: {'passed' if passed else 'failed'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
