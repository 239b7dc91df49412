"""``Session``: one launch of a training: a learner, its data and its processes; an update and a validation of them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rtma_diffda.errors import RtmaDiffdaError
from rtma_diffda.training.ahead import Part
from rtma_diffda.training.batches import Batches
from rtma_diffda.training.clock import Clock
from rtma_diffda.training.evaluation import LossPass
from rtma_diffda.training.interruption import StopRequest
from rtma_diffda.training.learner import FIGURES, Learner
from rtma_diffda.training.metrics import MetricsFile
from rtma_diffda.training.progress import Progress
from rtma_diffda.training.schedule import learning_rate


class TrainingDiverged(RtmaDiffdaError):
    """Several updates in a row had no finite gradient."""


@dataclass(frozen=True)
class Session:
    """What a launch works with.

    Attributes:
        learner: the model and what an update changes with it.
        parts: of all updates to come, of this process.
        validation: members to be judged on.
        loss_pass: the model's loss, with settings and processes.
        metrics: where figures go.
        request: to stop early.
        clock: of this process.
    """

    learner: Learner
    parts: Iterator[Part]
    validation: Batches | None
    loss_pass: LossPass
    metrics: MetricsFile
    request: StopRequest
    clock: Clock

    def update(self, progress: Progress) -> tuple[Progress, bool]:
        """Make the next update, and tell whether any process was asked to stop.

        An update whose loss or gradient is not finite is skipped: weights and average stay as they are.

        Raises:
            TrainingDiverged: too many such updates in a row.
        """
        settings = self.loss_pass.settings
        figures = self._add_gradients()
        sums = dict(zip(FIGURES, self.learner.gradient.figures.tolist(), strict=True))
        norm, rate = self.learner.gradient.norm(), learning_rate(progress, settings)
        made = math.isfinite(sums["loss"]) and math.isfinite(norm)
        if made:
            self.learner.update(rate, norm=norm, number=progress.update + 1)
        progress = progress.after_update(made=made, seconds=sums["seconds"], cpu_seconds=sums["cpu_seconds"])
        row = {"update": progress.update, "loss": sums["loss"], "learning_rate": rate, "gradient_norm": norm}
        clocks = {name: round(sums[name], 3) for name in ("seconds", "cpu_seconds")}
        self.metrics.write({**figures, **row, **clocks})
        if progress.failures >= settings.max_failures:
            self.metrics.flush()
            raise TrainingDiverged(
                f"loss or gradient was not finite in {progress.failures} updates in a row, up to update "
                f"{progress.update}; look for bad values in the training members, or lower the learning "
                f"rate, which was {rate:.3g}"
            )
        return progress, sums["stop"] > 0

    def validate(self, progress: Progress) -> Progress:
        """Judge the averaged weights on the validation members, and keep them if they are the best so far."""
        if self.validation is None:
            return progress
        with self.learner.average.applied():
            scores = self.loss_pass.validate(self.validation)
        progress = progress.after_validation(scores["loss"])
        best = progress.best_update == progress.update and progress.since_best == 0
        if best:
            self.learner.keep_best()
        self.metrics.write({"update": progress.update, "validation": scores, "best": best})
        self.metrics.flush()
        return progress

    def _add_gradients(self) -> Mapping[str, float]:
        """Fill the gradient, and its figures, with the sum over all parts; figures of this process's last part."""
        settings, processes = self.loss_pass.settings, self.loss_pass.processes
        gradient = self.learner.gradient
        gradient.clear()
        loss_sum = 0.0
        figures: Mapping[str, float] = {}
        for _ in processes.share(settings.parts):
            part = next(self.parts)
            loss, figures = self.loss_pass(part.prepared, seed=part.seed)
            (loss / settings.parts).backward()
            loss_sum += float(loss.detach()) / settings.parts
        seconds = self.clock.seconds() if processes.is_first else 0.0
        own = (loss_sum, float(self.request.made), seconds, self.clock.cpu_seconds())
        gradient.figures.copy_(gradient.figures.new_tensor(own))
        processes.add(gradient.vector)
        return {name: float(value) for name, value in figures.items()}
