"""``TrainingSettings``: how a model is trained; with the data and the initial weights it determines the result."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rtma_diffda.errors import UsageError

_WITHOUT_EFFECT = ("device", "save_every", "show_progress", "workers")
_OPTIONAL = ("clip_value", "decay_until", "warm_up_from")  # without effect where not set; older states lack them


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. An *update* is one change of the weights, from one batch.

    Attributes:
        updates: how many to make.
        batch_size: members in one update, over all parts and processes.
        parts: equal parts that a batch is worked through in (gradient accumulation). Several processes share them out:
            a multiple of the number of processes. The result depends on ``parts``, not on the number of processes.
        learning_rate: the highest.
        warm_up_updates: over which the learning rate rises linearly.
        final_fraction: of the learning rate, reached by a cosine at the end of the training.
        weight_decay: of AdamW, for weights of two or more dimensions (not for offsets and scales).
        betas: of AdamW.
        clip_norm: longest gradient; longer ones are shortened to it.
        clip_value: in place of ``clip_norm``: the largest modulus of each element of the gradient; None: not so.
        decay_until: part of the training at which the cosine ends, having begun where the warm-up ends; the final
            fraction after it. None: the cosine spans the training, warm-up included.
        warm_up_from: with ``decay_until``, the fraction of the learning rate that the warm-up begins with; None: 0.
        average_half_life: of the exponential moving average of the weights, in updates.
        average_ramp: the half-life is at most this fraction of the updates made so far, so that the average forgets
            the initial weights early on (Karras et al. 2022, "EMA rampup").
        bfloat16: run the loss under autocast; weights, gradients and averages stay float32.
        validate_every: updates between validations.
        patience: validations without a new best after which to stop; None: never.
        save_every: updates between states on disk.
        max_seconds, max_cpu_seconds: budgets of wall clock and of processor time (all threads and processes together);
            the cosine follows whichever of updates and budgets is used up most. With a budget, the result depends on
            the speed of the machine.
        max_failures: updates in a row without a finite gradient before giving up.
        seed: of the order of the data and of everything that losses draw.
        device: "cpu" or "cuda".
        workers: processes that prepare batches ahead of time; 0: this one does it. Of use where the device is faster.
        show_progress: a bar on stderr.
    """

    updates: int
    batch_size: int
    parts: int = 1
    learning_rate: float = 1e-3
    warm_up_updates: int = 100
    final_fraction: float = 0.01
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    clip_norm: float = 1.0
    clip_value: float | None = None
    decay_until: float | None = None
    warm_up_from: float | None = None
    average_half_life: float = 200.0
    average_ramp: float = 0.05
    bfloat16: bool = False
    validate_every: int = 200
    patience: int | None = None
    save_every: int = 200
    max_seconds: float | None = None
    max_cpu_seconds: float | None = None
    max_failures: int = 10
    seed: int = 0
    device: str = "cpu"
    workers: int = 0
    show_progress: bool = False

    def __post_init__(self) -> None:
        for name in ("updates", "batch_size", "parts", "validate_every", "save_every", "max_failures"):
            _require(getattr(self, name) >= 1, f"{name} is {getattr(self, name)}, expected 1 or more")
        for name in ("learning_rate", "clip_norm", "average_half_life", "average_ramp"):
            _require(getattr(self, name) > 0, f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("max_seconds", "max_cpu_seconds", "patience", "clip_value"):
            limit = getattr(self, name)
            _require(limit is None or limit > 0, f"{name} is {limit}, expected more than 0, or none")
        _require(self.workers >= 0, f"workers is {self.workers}, expected 0 or more")
        _require(self.seed >= 0, f"seed is {self.seed}, expected 0 or more")
        _require(self.warm_up_updates >= 0, f"warm_up_updates is {self.warm_up_updates}, expected 0 or more")
        _require(self.weight_decay >= 0, f"weight_decay is {self.weight_decay}, expected 0 or more")
        for name in ("final_fraction", "decay_until", "warm_up_from"):
            part = getattr(self, name)
            _require(part is None or 0 <= part <= 1, f"{name} is {part}, expected 0 … 1")
        _require(
            self.batch_size % self.parts == 0,
            f"a batch of {self.batch_size} members cannot be worked through in {self.parts} equal parts",
        )

    @property
    def part_size(self) -> int:
        """Members of one part of a batch."""
        return self.batch_size // self.parts

    def facts(self) -> dict[str, Any]:
        """What determines the result, as plain values for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name not in _WITHOUT_EFFECT and not (name in _OPTIONAL and value is None)
        }

    def require_same(self, stored: Mapping[str, Any], place: object) -> None:
        """Refuse to go on with a training of other settings.

        Raises:
            UsageError: ``stored``, the facts of the training at ``place``, differ from these.
        """
        facts = self.facts()
        changed = [
            f"{name} was {stored.get(name)} and is {facts.get(name)}"
            for name in sorted(facts.keys() | stored.keys())
            if stored.get(name) != facts.get(name)
        ]
        _require(
            not changed,
            f"{place} holds a training with other settings ({'; '.join(changed)}); "
            "continue it with its own, or choose another directory",
        )


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise UsageError(f"training settings: {sentence}")
