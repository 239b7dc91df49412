"""Methods that stand in for one another: an analysis is made whatever fails.

Each failure has its remedies: memory that runs out is saved by fewer members, an accelerator that fails is replaced by
the processor, and anything else (numbers that are not finite, a method that refuses) by the plain method at the end.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import torch

from rtma_diffda.errors import InputError
from rtma_diffda.interfaces import Analysis, AnalysisMethod, AssimilationProblem

_log = logging.getLogger(__name__)

_DEVICE_WORDS = ("cuda", "cudnn", "cublas", "device-side", "no kernel image", "hip error", "accelerator")
_MEMORY_WORDS = ("out of memory", "not enough memory", "cannot allocate memory", "alloc_cpu")


class Failure(Enum):
    """What may go wrong with a method."""

    MEMORY = "out of memory"
    DEVICE = "the accelerator failed"
    ANSWER = "no usable answer"


@dataclass(frozen=True)
class Alternative:
    """A method of a chain.

    Attributes:
        name: what a label says of it: ``on the processor``, ``optimal interpolation``.
        method: the method.
        remedies: failures of earlier ones after which it is tried.
    """

    name: str
    method: AnalysisMethod
    remedies: frozenset[Failure] = frozenset(Failure)


@dataclass(frozen=True)
class MethodChain:
    """An ``AnalysisMethod``: the first of several that gives a finite answer.

    Attributes:
        first: the method that is wanted.
        others: in order.
        unwell: reasons why even the first is less than was asked for: no accelerator was there to begin with.
    """

    first: Alternative
    others: tuple[Alternative, ...] = ()
    unwell: tuple[str, ...] = ()

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        """See ``AnalysisMethod``; every attempt draws the same numbers.

        Raises:
            InputError: all methods failed; the reasons of each are in the message.
        """
        state = generator.get_state()
        reasons: list[str] = []
        failure: Failure | None = None
        for alternative in (self.first, *self.others):
            if failure is not None and failure not in alternative.remedies:
                continue
            generator.set_state(state)
            try:
                analysis = alternative.method.analyse(problem, generator=generator)
                _require_usable(analysis)
            except Exception as error:
                failure = failure_of(error)
                _log.warning("%s failed (%s): %s", alternative.name, failure.value, _first_line(error))
                reasons.append(f"{alternative.name}: {failure.value}")
                continue
            told = (f"{reasons[-1]}; {alternative.name} instead",) if reasons else ()
            return replace(analysis, degraded=(*self.unwell, *told, *analysis.degraded))
        raise InputError(f"no method gave an analysis: {'; '.join(reasons)}")


def failure_of(error: BaseException) -> Failure:
    """What kind of failure an exception is."""
    text = str(error).lower()
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(word in text for word in _MEMORY_WORDS):
        return Failure.MEMORY
    if isinstance(error, RuntimeError) and any(word in text for word in _DEVICE_WORDS):
        return Failure.DEVICE
    return Failure.ANSWER


def _require_usable(analysis: Analysis) -> None:
    analysis.state.require_finite("the analysis")
    error = analysis.error_std
    if error is not None and bool((~torch.isfinite(error) | (error < 0)).any()):
        raise InputError("the analysis states errors that are negative or not finite")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def chain_of(alternatives: Sequence[Alternative], unwell: tuple[str, ...] = ()) -> MethodChain:
    """The first of the alternatives, with the others to stand in."""
    return MethodChain(alternatives[0], tuple(alternatives[1:]), unwell)
