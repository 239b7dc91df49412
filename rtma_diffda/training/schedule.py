"""The learning rate: a linear warm-up times a cosine,

    η(u) = η_max · min(1, (u + 1) / w) · [f + (1 − f) · (1 + cos πp) / 2],

with update u = 0, 1, …, warm-up w, final fraction f, and p the part of the training that is over: of its updates, or of
its budget of seconds if that is further advanced (Loshchilov & Hutter 2017, doi:10.48550/arXiv.1608.03983). With
``decay_until`` = e, as in optax's ``warmup_cosine_decay_schedule``, one after the other,

    η(u) = η_max (f₀ + (1 − f₀) u / w)  while u < w,    then with p' = (p − w/U) / (e − w/U), at most 1, for p.
"""

import math

from rtma_diffda.training.progress import Progress
from rtma_diffda.training.settings import TrainingSettings


def part_over(progress: Progress, settings: TrainingSettings) -> float:
    """p: how much of the training is over, 0 … 1."""
    parts = [progress.update / settings.updates]
    if settings.max_seconds is not None:
        parts.append(progress.seconds / settings.max_seconds)
    if settings.max_cpu_seconds is not None:
        parts.append(progress.cpu_seconds / settings.max_cpu_seconds)
    return min(1.0, max(parts))


def learning_rate(progress: Progress, settings: TrainingSettings) -> float:
    """η of the next update."""
    if settings.decay_until is not None:
        return settings.learning_rate * _one_after_the_other(progress, settings)
    warm_up = min(1.0, (progress.update + 1) / max(1, settings.warm_up_updates))
    return settings.learning_rate * warm_up * _cosine(part_over(progress, settings), settings)


def _one_after_the_other(progress: Progress, settings: TrainingSettings) -> float:
    begun, warm_up = settings.warm_up_from or 0.0, settings.warm_up_updates
    if progress.update < warm_up:
        return begun + (1 - begun) * progress.update / warm_up
    warm = min(warm_up / settings.updates, settings.decay_until)
    over, span = part_over(progress, settings) - warm, settings.decay_until - warm
    return _cosine(1.0 if over >= span else max(0.0, over) / span, settings)


def _cosine(part: float, settings: TrainingSettings) -> float:
    """From 1 to the final fraction."""
    f = settings.final_fraction
    return f + (1 - f) * (1 + math.cos(math.pi * part)) / 2
