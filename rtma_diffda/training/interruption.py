"""Ctrl-C and SIGTERM: the update at hand is finished and the state saved before the training ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rtma_diffda.errors import RtmaDiffdaError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(RtmaDiffdaError):
    """The training was asked to end early, and has saved its state: the same call goes on with it."""


class StopRequest:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.made = False


@contextmanager
def noticed_signals() -> Iterator[StopRequest]:
    """A request that the first Ctrl-C or SIGTERM sets; a second one acts as it would without us.

    In a thread other than the main one, where Python allows no handlers, signals do what they always do.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in _SIGNALS}

    def notice(number: int, _frame: FrameType | None) -> None:
        request.made = True
        signal.signal(number, before[number])

    try:
        for number in _SIGNALS:
            signal.signal(number, notice)
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
