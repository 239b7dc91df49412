"""``TrainingResult``: what a training gives back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from rtma_diffda.training.metrics import finite
from rtma_diffda.training.progress import Progress
from rtma_diffda.training.settings import TrainingSettings

_NOTICEABLE_RISE = 0.02  # validations with fixed draws and averaged weights differ by well under 1 % from noise alone


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training that came to its end.

    Attributes:
        weights: the model's state with averaged weights, of the best validation (of the end, without validation).
        progress: updates made and skipped, seconds, best and latest validation.
        stopped: why it ended, in words.
        settings: of the training.
        directory: where state and metrics lie.
    """

    weights: Mapping[str, Tensor]
    progress: Progress
    stopped: str
    settings: TrainingSettings
    directory: Path

    @property
    def validation_rise(self) -> float:
        """By which fraction the latest validation loss lies above the best one; 0 without validation."""
        best, last = self.progress.best_loss, self.progress.last_loss
        return 0.0 if best is None or last is None or best == 0 else (last - best) / abs(best)

    @property
    def overfitted(self) -> bool:
        """Whether the model got worse on validation members while training went on: by more than 2 %, or not finite."""
        return not self.validation_rise <= _NOTICEABLE_RISE

    def summary(self) -> str:
        """The outcome in a sentence or two."""
        progress = self.progress
        text = (
            f"Training ended after {progress.update} updates ({progress.cpu_seconds:.0f} CPU-seconds): {self.stopped}."
        )
        if progress.skipped:
            text += f" {progress.skipped} updates were skipped, their gradients not being finite."
        if progress.best_loss is not None:
            text += f" The best validation loss, {progress.best_loss:.5g}, was that of update {progress.best_update}."
        if self.overfitted:
            text += (
                f" It has risen by {self.validation_rise:.1%} since: the model over-fits its training members; the "
                "weights of the best validation are kept."
            )
        return text

    def provenance(self) -> dict[str, Any]:
        """Plain values for the manifest of a checkpoint."""
        return {
            "training": self.settings.facts(),
            "progress": finite(asdict(self.progress)),
            "stopped": self.stopped,
            "overfitted": self.overfitted,
        }
