"""Can a network tell the background from the truth by its small scales? Claim: AUC ≤ 0.55 on runs it has not seen.

A detector (four convolutions, mean over the field, two layers) is trained on high-pass filtered fields of truth and
background: temperature and dew point reduced to sea level, wind, pressure reduced to sea level, each less its Gaussian
mean of 2 grid points, in units of its standard deviation. The training split teaches, the validation split stops, the
test split is scored. A background whose noise were of another kind than the truth's would be found out at once, and
a network that "corrects" it would win for the wrong reason.

    python validation/exchangeability.py outputs/osse_small/seed_0 [--cpu-minutes 4]
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.geo.height import LAPSE_RATES
from rtma_diffda.io.simulation_store import read_pairs
from rtma_diffda.training.loop import train
from rtma_diffda.training.settings import TrainingSettings

LIMIT = 0.55
_WIDTH = 2.0  # grid points of the Gaussian that is taken away
_EDGE = 6  # grid points that its mean needs, and that are cut off


@dataclass(frozen=True)
class Fields:
    """High-pass filtered fields: values (field, channel, y, x), truths first, then backgrounds; run (field,)."""

    values: Tensor
    is_background: Tensor
    run: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def select(self, rows: np.ndarray) -> "Fields":
        index = torch.from_numpy(np.asarray(rows))
        return Fields(self.values[index], self.is_background[index], self.run[rows])

    def to(self, device: torch.device | str) -> "Fields":
        return replace(self, values=self.values.to(device), is_background=self.is_background.to(device))


class Detector(nn.Module):
    """The log odds that a field is a background."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, 32), *_convolution(32, 32), nn.AvgPool2d(2), *_convolution(32, 64),
            *_convolution(64, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 32), nn.SiLU(),
            nn.Linear(32, 1),
        )  # fmt: skip

    def forward(self, values: Tensor) -> Tensor:
        return self.layers(values)[:, 0]

    def loss(self, batch: Fields, *, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        flips = [axis for axis in (-1, -2) if torch.rand((), generator=generator) < 0.5]
        logits = self(batch.values.flip(flips))
        return functional.binary_cross_entropy_with_logits(logits, batch.is_background), {}


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3), nn.SiLU()


def high_passed(pairs: Pairs, scale: Tensor | None) -> tuple[Fields, Tensor]:
    """Filtered truths and backgrounds of all members, and the scale (channel, 1, 1) that they were divided by."""
    both = torch.cat([pairs.truth, pairs.background])
    flat = _at_sea_level(both, torch.cat([pairs.orography] * 2), pairs.layout.names)
    detail = flat - _gaussian_mean(flat)
    detail = detail[..., _EDGE:-_EDGE, _EDGE:-_EDGE]
    scale = detail[: len(pairs)].std(dim=(0, 2, 3))[:, None, None] if scale is None else scale
    labels = torch.arange(2).repeat_interleave(len(pairs)).float()
    return Fields((detail / scale).clamp(-8.0, 8.0), labels, np.concatenate([pairs.run, pairs.run])), scale


def _at_sea_level(values: Tensor, terrain: Tensor, names: tuple[str, ...]) -> Tensor:
    flat = values.clone()
    for i, name in enumerate(names):
        if name in LAPSE_RATES:
            flat[:, i] -= LAPSE_RATES[name] * terrain
        if name == "sp":
            flat[:, i] /= (1.0 - 0.0065 * terrain / 288.15) ** 5.2559
    return flat


def _gaussian_mean(values: Tensor) -> Tensor:
    offsets = torch.arange(-_EDGE, _EDGE + 1)
    kernel = torch.exp(-0.5 * (offsets / _WIDTH) ** 2)
    kernel = kernel / kernel.sum()
    planes = functional.pad(values.flatten(0, 1)[:, None], (_EDGE,) * 4, mode="replicate")
    smooth = functional.conv2d(functional.conv2d(planes, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return smooth.reshape(values.shape)


@torch.no_grad()
def scores_of(detector: Detector, fields: Fields) -> np.ndarray:
    return torch.cat([detector(part) for part in fields.values.split(64)]).numpy()


def area_under_curve(scores: np.ndarray, is_background: np.ndarray) -> float:
    """The chance that a background scores above a truth."""
    order = scores.argsort().argsort() + 1.0
    positive = is_background > 0.5
    count = positive.sum()
    return float((order[positive].sum() - count * (count + 1) / 2) / (count * (~positive).sum()))


def with_interval(scores: np.ndarray, fields: Fields, *, draws: int = 500) -> tuple[float, float, float]:
    """AUC, and the 95 % interval from drawing whole runs."""
    labels, rng = fields.is_background.numpy(), np.random.default_rng(0)
    runs = {run: np.flatnonzero(fields.run == run) for run in np.unique(fields.run)}
    drawn = []
    for _ in range(draws):
        rows = np.concatenate([runs[run] for run in rng.choice(list(runs), len(runs))])
        drawn.append(area_under_curve(scores[rows], labels[rows]))
    return area_under_curve(scores, labels), *np.quantile(drawn, [0.025, 0.975])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_set", type=Path)
    parser.add_argument("--cpu-minutes", type=float, default=4.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    training, scale = high_passed(read_pairs(arguments.data_set, "train"), None)
    validation, test = (
        high_passed(read_pairs(arguments.data_set, split), scale)[0] for split in ("validation", "test")
    )
    detector = Detector(training.values.shape[1])
    settings = TrainingSettings(
        updates=100_000,
        batch_size=32,
        learning_rate=1e-3,
        weight_decay=1e-2,
        validate_every=100,
        save_every=10_000,
        max_cpu_seconds=60 * arguments.cpu_minutes,
    )
    with tempfile.TemporaryDirectory() as directory:
        result = train(detector, training, validation=validation, settings=settings, directory=Path(directory))
    print(result.summary())
    for name, fields in (("training", training), ("validation", validation), ("test", test)):
        value, low, high = with_interval(scores_of(detector, fields), fields)
        print(f"{name:<11} AUC {value:.3f} [{low:.3f}, {high:.3f}] on {len(fields):,} fields")
    passed = value <= LIMIT
    print(f"exchangeability: {'passed' if passed else 'failed'}, AUC {value:.3f} on test runs (limit {LIMIT})")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
