"""The state of a training on disk: one safetensors file, replaced whole; a killed training leaves the latest one.

DIRECTORY/state.safetensors     tensors model/…, average/…, best/…, optimiser/…; progress and settings in its header
DIRECTORY/metrics.jsonl
"""

from dataclasses import asdict
from pathlib import Path

from rtma_diffda.errors import InputError
from rtma_diffda.io.tensor_file import read_tensors, write_tensors
from rtma_diffda.training.learner import Learner
from rtma_diffda.training.progress import Progress
from rtma_diffda.training.settings import TrainingSettings

_FORMAT = 1


def state_path(directory: Path) -> Path:
    """Where the state of a training in ``directory`` lies."""
    return directory / "state.safetensors"


def metrics_path(directory: Path) -> Path:
    """Where its metrics lie."""
    return directory / "metrics.jsonl"


def save_state(directory: Path, learner: Learner, progress: Progress, settings: TrainingSettings) -> Path:
    """Write the state; an older one is replaced when the new one is complete.

    Raises:
        InputError: the file system refused.
    """
    facts = {"format": _FORMAT, "progress": asdict(progress), "settings": settings.facts()}
    return write_tensors(state_path(directory), learner.tensors(), facts)


def resumed(directory: Path, learner: Learner, settings: TrainingSettings) -> Progress:
    """Put the stored state, if there is one, into ``learner``, and return how far it had come.

    Raises:
        InputError: the state is damaged, or of another model.
        UsageError: it was made with other settings.
    """
    path = state_path(directory)
    if not path.exists():
        return Progress()
    tensors, facts = read_tensors(path)
    if facts.get("format") != _FORMAT:
        raise InputError(f"training state {path} has format {facts.get('format')}, expected {_FORMAT}")
    settings.require_same(facts["settings"], path)
    learner.restore(tensors)
    return Progress(**facts["progress"])
