"""What an update sees: which members, and which random draws, as a function of (seed, update, part) alone.

Members are shuffled anew every epoch; what is left over after the last whole batch of an epoch is left out of it.
"""

from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.training.settings import TrainingSettings

ORDER, UPDATE, VALIDATION = 1, 2, 3  # what numbers are drawn for


class Batches(Protocol):
    """Data to learn from: a number of members, any of which can be put into a batch. ``Pairs`` are such data."""

    def __len__(self) -> int:
        """Number of members."""

    def select(self, members: np.ndarray) -> Any:
        """A batch of the members of an index array (m,) int64; it has ``to(device)``, as tensors have."""


def derived_seed(seed: int, purpose: int, *numbers: int) -> int:
    """A seed for one purpose at one place of a training, below 2⁶³; well mixed (``numpy.random.SeedSequence``)."""
    return int(np.random.SeedSequence([seed, purpose, *numbers]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def members_of_update(update: int, members: int, settings: TrainingSettings) -> np.ndarray:
    """The members of one update: (parts, part size) int64."""
    updates_an_epoch = members // settings.batch_size
    epoch, position = divmod(update, updates_an_epoch)
    order = _shuffled(settings.seed, epoch, members)
    start = position * settings.batch_size
    return order[start : start + settings.batch_size].reshape(settings.parts, -1)


def require_enough(training: Batches, validation: Batches | None, settings: TrainingSettings) -> None:
    """Refuse data from which no batch can be made.

    Raises:
        InputError: fewer training members than one batch, or no validation members.
    """
    if len(training) < settings.batch_size:
        raise InputError(
            f"there are {len(training)} training members, fewer than one batch of {settings.batch_size}; "
            "simulate more runs or lower batch_size"
        )
    if validation is not None and len(validation) == 0:
        raise InputError("there are no validation members; simulate validation runs, or train without validation")


@lru_cache(maxsize=2)
def _shuffled(seed: int, epoch: int, members: int) -> np.ndarray:
    generator = torch.Generator().manual_seed(derived_seed(seed, ORDER, epoch))
    return torch.randperm(members, generator=generator).numpy()
