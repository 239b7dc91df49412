"""The decoding process: ``python -P -m rtma_diffda.io.isolated_worker``, started by ``io.isolated`` alone.

It answers requests until its input ends. A request is two frames: JSON naming the decoder (an importable function), its
arguments and the seconds it may take, then the bytes to decode. The answer is one frame, of which the first byte tells
whether a result (``DONE``) or a sentence (``FAILED``) follows.

A hang is cut by the kernel's alarm, which ends the process: no Python code need run for that.
"""

import json
import os
import resource
import signal
import sys
from importlib import import_module
from typing import BinaryIO

from rtma_diffda.errors import InputError
from rtma_diffda.io.isolated_frames import DONE, FAILED, READY, read_frame, write_frame


def main() -> None:
    """Serve the parent on standard input and output until it closes them."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what C code prints must not mix with the answers
    memory = int(sys.argv[1])
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CORE, 0)  # a crash is told, and leaves no file
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the parent may have ignored or blocked it, which is inherited
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    with os.fdopen(0, "rb") as requests:
        write_frame(answers, READY)
        _serve(requests, answers)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    while (request := read_frame(requests)) is not None:
        content = read_frame(requests)
        if content is None:
            return
        write_frame(answers, _answer(json.loads(request), content))


def _answer(request: dict, content: bytes) -> bytes:
    signal.setitimer(signal.ITIMER_REAL, request["seconds"])
    try:
        decode = getattr(import_module(request["module"]), request["function"])
        return DONE + decode(content, tuple(request["arguments"]))
    except InputError as error:
        return FAILED + str(error).encode(errors="replace")
    except Exception as error:  # whatever else it is concerns these bytes alone, and is told
        return FAILED + f"{type(error).__name__}: {error}".encode(errors="replace")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _limit(kind: int, amount: int) -> None:
    """Lower a limit of this process; where a lower one stands already, that stays."""
    _, hard = resource.getrlimit(kind)
    allowed = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    resource.setrlimit(kind, (allowed, hard))


if __name__ == "__main__":
    main()
