"""Parts that worker processes prepare ahead of time are those that the training process would have prepared itself."""

from dataclasses import dataclass

import pytest
import torch
from toy_learning import Line, Rows, line_rows, quick

from rtma_diffda.errors import UsageError
from rtma_diffda.training.loop import train

DATA = line_rows(64)


class PreparedLine(Line):
    """Draws the errors of the answers beforehand."""

    def prepare(self, batch: Rows, *, generator: torch.Generator) -> Rows:
        return Rows(batch.x, batch.y + 0.1 * torch.randn(len(batch), generator=generator))

    def prepared_loss(self, examples: Rows):
        return super().loss(examples, generator=torch.Generator())

    def loss(self, batch: Rows, *, generator: torch.Generator):
        return self.prepared_loss(self.prepare(batch, generator=generator))


@dataclass(frozen=True)
class Broken(Rows):
    """Cannot be read."""

    def select(self, members):
        raise ValueError("the disk is gone")


def weights(model, directory, *, data=DATA, **settings):
    return train(model, data, validation=None, settings=quick(**settings), directory=directory).weights


def test_the_number_of_workers_does_not_change_the_result(tmp_path):
    alone, helped = (weights(PreparedLine(), tmp_path / str(n), workers=n, parts=2) for n in (0, 2))
    assert all(torch.equal(alone[name], helped[name]) for name in alone)


def test_what_is_prepared_changes_with_the_update_and_the_seed(tmp_path):
    first, other = (weights(PreparedLine(), tmp_path / str(seed), seed=seed) for seed in (0, 1))
    assert not torch.equal(first["layer.weight"], other["layer.weight"])


def test_models_that_prepare_nothing_are_trained_with_workers_too(tmp_path):
    alone, helped = (weights(Line(), tmp_path / str(n), workers=n) for n in (0, 1))
    assert all(torch.equal(alone[name], helped[name]) for name in alone)


def test_a_failure_in_a_worker_is_the_failure_of_the_training(tmp_path):
    with pytest.raises(ValueError, match="the disk is gone"):
        weights(Line(), tmp_path, data=Broken(DATA.x, DATA.y), workers=1)


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(UsageError, match="workers is -1"):
        quick(workers=-1)
