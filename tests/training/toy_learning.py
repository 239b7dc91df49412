"""Small data and models whose training has a known outcome."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rtma_diffda.training.settings import TrainingSettings


@dataclass(frozen=True)
class Rows:
    """Members with inputs x (m, features) and answers y (m,)."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def select(self, members: np.ndarray) -> "Rows":
        rows = torch.from_numpy(members)
        return Rows(self.x[rows], self.y[rows])

    def to(self, device) -> "Rows":
        return Rows(self.x.to(device), self.y.to(device))


class Line(nn.Module):
    """y = w·x + c with the mean square error; draws nothing."""

    def __init__(self, features: int = 2) -> None:
        super().__init__()
        self.layer = nn.Linear(features, 1)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def loss(self, batch: Rows, *, generator: torch.Generator):
        errors = self.layer(batch.x)[:, 0] - batch.y
        loss = errors.square().mean()
        return loss, {"largest": float(errors.detach().abs().max()), "loss": -1.0}


class Noisy(nn.Module):
    """A network that uses every kind of randomness and of weight: draws, dropout, buffers, channels-last kernels."""

    def __init__(self, *, running: bool = True) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.kernel = nn.Conv2d(2, 4, 3, padding=1).to(memory_format=torch.channels_last)
        self.norm = nn.BatchNorm2d(4) if running else nn.GroupNorm(2, 4)
        self.dropout = nn.Dropout(0.2)
        self.out = nn.Linear(4, 1)
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)

    def loss(self, batch: Rows, *, generator: torch.Generator):
        noise = 0.1 * torch.randn(batch.x.shape, generator=generator)
        fields = (batch.x + noise)[:, :, None, None].expand(-1, -1, 4, 4)
        features = self.dropout(torch.relu(self.norm(self.kernel(fields)))).mean(dim=(2, 3))
        loss = (self.out(features)[:, 0] - batch.y).square().mean()
        return loss, {"noise": float(noise.std())}


def line_rows(count: int, *, seed: int = 0, features: int = 2, error: float = 0.0) -> Rows:
    """y = x₀ + 2x₁ + 3x₂ + … + 0.5 + error."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, features, generator=generator)
    y = x @ torch.arange(1.0, features + 1) + 0.5
    return Rows(x, y + error * torch.randn(count, generator=generator))


def quick(**changes) -> TrainingSettings:
    """Settings for a training of moments."""
    usual = {
        "updates": 40,
        "batch_size": 8,
        "learning_rate": 0.05,
        "warm_up_updates": 4,
        "average_half_life": 5.0,
        "validate_every": 10,
        "save_every": 10,
        "weight_decay": 0.0,
    }
    return TrainingSettings(**(usual | changes))
