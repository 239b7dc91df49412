"""``TrainPlan``: what is trained on what, and how its checkpoint is made, whatever the target."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rtma_diffda.io.checkpoint import Checkpoint
from rtma_diffda.training.batches import Batches


@dataclass(frozen=True)
class TrainPlan:
    """A training to be done.

    Attributes:
        network: makes it, from torch's global generator.
        begin: gives it the weights of the checkpoint at a path to begin with, and returns their provenance.
        data, validation: what it learns from and is judged on.
        origin: where the data come from, for the checkpoint's manifest: ``data_set``, ``splits``; plain values.
        checkpoint: from the trained network and its provenance.
    """

    network: Callable[[], torch.nn.Module]
    begin: Callable[[torch.nn.Module, Path], Mapping[str, Any]]
    data: Batches
    validation: Batches
    checkpoint: Callable[[torch.nn.Module, Mapping[str, Any]], Checkpoint]
    origin: Mapping[str, Any] = field(default_factory=dict)
