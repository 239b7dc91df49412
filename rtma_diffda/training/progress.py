"""``Progress``: how far a training has come; with the tensors of the learner it is the whole state."""

import math
from dataclasses import dataclass, replace

from rtma_diffda.training.settings import TrainingSettings


@dataclass(frozen=True)
class Progress:
    """Counters of a training.

    Attributes:
        update: updates made, or skipped.
        seconds, cpu_seconds: wall clock and processor time used, of all processes and earlier launches.
        skipped: updates whose gradient was not finite.
        failures: how many of them came last, in a row.
        best_loss, best_update: the lowest validation loss so far, and when.
        last_loss, last_update: the latest validation loss, and when.
        since_best: validations since the best one.
    """

    update: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    skipped: int = 0
    failures: int = 0
    best_loss: float | None = None
    best_update: int = 0
    last_loss: float | None = None
    last_update: int = 0
    since_best: int = 0

    def after_update(self, *, made: bool, seconds: float, cpu_seconds: float) -> "Progress":
        """One update later; ``made`` is False when it was skipped."""
        return replace(
            self,
            update=self.update + 1,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            skipped=self.skipped + (not made),
            failures=0 if made else self.failures + 1,
        )

    def after_validation(self, loss: float) -> "Progress":
        """With the outcome of a validation; a loss that is not finite is never the best."""
        better = math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss)
        known = replace(self, last_loss=loss, last_update=self.update, since_best=self.since_best + 1)
        return replace(known, best_loss=loss, best_update=self.update, since_best=0) if better else known

    def stop_reason(self, settings: TrainingSettings) -> str | None:
        """Why the training is over, in words; None while it is not."""
        if self.update >= settings.updates:
            return f"all {settings.updates} updates are made"
        if settings.max_seconds is not None and self.seconds >= settings.max_seconds:
            return f"the budget of {settings.max_seconds:g} seconds is used up"
        if settings.max_cpu_seconds is not None and self.cpu_seconds >= settings.max_cpu_seconds:
            return f"the budget of {settings.max_cpu_seconds:g} seconds of processor time is used up"
        if settings.patience is not None and self.since_best >= settings.patience:
            return f"no new best in {self.since_best} validations"
        return None
