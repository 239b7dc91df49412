"""The parts of all updates that are still to be made, in order, prepared ahead of time by worker processes.

A GPU is done with a small network long before one processor has drawn the next batch. What a part holds depends on the
seed, the update and the part alone, so the result does not depend on how many workers there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from rtma_diffda.training.batches import UPDATE, Batches, derived_seed, members_of_update
from rtma_diffda.training.evaluation import LossPass


@dataclass(frozen=True)
class Part:
    """One part of one update: what was prepared, and the seed it was prepared with."""

    prepared: Any
    seed: int


@dataclass(frozen=True)
class _Parts(Dataset):
    """Part ``(update, part)`` of a training."""

    loss_pass: LossPass
    data: Batches

    def __getitem__(self, key: tuple[int, int]) -> Part:
        update, part = key
        settings = self.loss_pass.settings
        members = members_of_update(update, len(self.data), settings)[part]
        seed = derived_seed(settings.seed, UPDATE, update, part)
        return Part(self.loss_pass.prepare(self.data, members, seed=seed), seed)


def parts_ahead(loss_pass: LossPass, data: Batches, *, first: int) -> Iterator[Part]:
    """This process's parts of update ``first`` and of all later ones, one after the other."""
    settings = loss_pass.settings
    own = loss_pass.processes.share(settings.parts)
    keys = [(update, part) for update in range(first, settings.updates) for part in own]
    loader = DataLoader(
        _Parts(loss_pass, data),
        batch_size=None,
        sampler=keys,
        num_workers=settings.workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),
    )
    return iter(loader)


def _as_it_is(part: Part) -> Part:
    return part
