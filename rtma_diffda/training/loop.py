"""``train``: the loop. One update is

    g = mean over the parts of a batch of ∇ loss(part),   shortened to the clip norm,
    w ← AdamW(w, g, η(update)),    a ← a + (1 − d)(w − a),

and now and then the averaged weights a are judged on validation members, and the state is saved.
"""

import logging
import sys
from contextlib import ExitStack
from pathlib import Path

import torch
from tqdm import tqdm

from rtma_diffda.io.atomic import explain_failures, remove_stale_temporaries
from rtma_diffda.training.ahead import parts_ahead
from rtma_diffda.training.batches import Batches, require_enough
from rtma_diffda.training.clock import Clock
from rtma_diffda.training.distributed import joined_processes
from rtma_diffda.training.evaluation import LossPass
from rtma_diffda.training.interruption import TrainingInterrupted, noticed_signals
from rtma_diffda.training.learner import Learner
from rtma_diffda.training.metrics import opened_metrics
from rtma_diffda.training.progress import Progress
from rtma_diffda.training.result import TrainingResult
from rtma_diffda.training.session import Session
from rtma_diffda.training.settings import TrainingSettings
from rtma_diffda.training.state import metrics_path, resumed, save_state

logger = logging.getLogger(__name__)


def train(
    model: torch.nn.Module,
    training: Batches,
    *,
    validation: Batches | None,
    settings: TrainingSettings,
    directory: Path,
) -> TrainingResult:
    """Train a model, or go on with its training in ``directory``, to the end.

    The same call resumes what a kill, Ctrl-C or SIGTERM ended, from the latest state and to the same bits (on one
    device and number of threads, without budgets of seconds). Launched by torchrun, processes share every batch.

    Args:
        model: a module with a ``loss`` (``interfaces.Trainable``); changed in place, moved to the device, and left
            with the weights that the result has.
        training: what to learn from.
        validation: members of independent runs, which choose the weights to keep; None keeps the last average.
        settings: how.
        directory: for state and metrics, of this training alone; made when absent. All processes must see it.

    Returns:
        The averaged weights of the best validation, and how it went.

    Raises:
        UsageError: settings, model and stored training do not fit together.
        InputError: too few data, or a damaged state.
        TrainingInterrupted: asked to end early; the state is saved.
        TrainingDiverged: ``max_failures`` updates in a row without a finite gradient.
    """
    require_enough(training, validation, settings)
    with ExitStack() as stack:
        processes = stack.enter_context(joined_processes(settings.device))
        processes.require_share(settings.parts)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        request = stack.enter_context(noticed_signals())
        processes.copy_first(model.to(processes.device).train())
        learner = Learner(model, settings)
        progress = _begin(learner, settings, directory, is_first=processes.is_first)
        path = metrics_path(directory) if processes.is_first else None
        metrics = stack.enter_context(opened_metrics(path, after=progress.update))
        clock = Clock(progress.seconds, progress.cpu_seconds if processes.is_first else 0.0)
        loss_pass = LossPass(model, settings, processes)
        parts = parts_ahead(loss_pass, training, first=progress.update)
        session = Session(learner, parts, validation, loss_pass, metrics, request, clock)
        progress = _run(session, progress, directory)
    return _result(learner, progress, settings, directory)


def _begin(learner: Learner, settings: TrainingSettings, directory: Path, *, is_first: bool) -> Progress:
    if is_first:
        with explain_failures(f"training directory {directory}"):
            directory.mkdir(parents=True, exist_ok=True)
        remove_stale_temporaries(directory)
    progress = resumed(directory, learner, settings)
    if progress.update and is_first:
        logger.info("training in %s goes on after update %d of %d", directory, progress.update, settings.updates)
    return progress


def _run(session: Session, progress: Progress, directory: Path) -> Progress:
    """Updates, validations and saved states until there is a reason to stop."""
    settings, first = session.loss_pass.settings, session.loss_pass.processes.is_first
    hidden = not (settings.show_progress and first and sys.stderr.isatty())
    begun = progress
    with tqdm(total=settings.updates, initial=progress.update, desc="training", disable=hidden) as bar:
        while progress.stop_reason(settings) is None:
            progress, stop = session.update(progress)
            bar.update()
            if progress.update % settings.validate_every == 0:
                progress = session.validate(progress)
            if stop or progress.update % settings.save_every == 0:
                _save(session, progress, directory)
            if stop:
                raise TrainingInterrupted(
                    f"training was interrupted after update {progress.update} of {settings.updates}; its state is in "
                    f"{directory}, and the same command goes on from there"
                )
    if progress.last_update != progress.update:
        progress = session.validate(progress)
    if progress != begun:
        _save(session, progress, directory)
    return progress


def _save(session: Session, progress: Progress, directory: Path) -> None:
    session.metrics.flush()
    if session.loss_pass.processes.is_first:
        save_state(directory, session.learner, progress, session.loss_pass.settings)


def _result(learner: Learner, progress: Progress, settings: TrainingSettings, directory: Path) -> TrainingResult:
    weights = learner.take_best()
    stopped = progress.stop_reason(settings) or "no reason"
    result = TrainingResult(weights, progress, stopped, settings, directory)
    logger.log(logging.WARNING if result.overfitted else logging.INFO, result.summary())
    return result
