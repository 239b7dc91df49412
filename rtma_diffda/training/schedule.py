"""The learning rate: a linear warm-up times a cosine,

    η(u) = η_max · min(1, (u + 1) / w) · [f + (1 − f) · (1 + cos πp) / 2],

with update u = 0, 1, …, warm-up w, final fraction f, and p the part of the training that is over: of its updates, or of
its budget of seconds if that is further advanced (Loshchilov & Hutter 2017, doi:10.48550/arXiv.1608.03983).
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
    warm_up = min(1.0, (progress.update + 1) / max(1, settings.warm_up_updates))
    cosine = (1 + math.cos(math.pi * part_over(progress, settings))) / 2
    f = settings.final_fraction
    return settings.learning_rate * warm_up * (f + (1 - f) * cosine)
