"""Decoding in a process of its own: a library that damaged bytes crash, or hang, takes no more than that process down.

ecCodes (2.50 and before) ends the process on some damaged messages, by a bad memory access or by ``abort``. So each
message is decoded by a child, one at a time; if the child dies, that message is told to have failed, and a new child
decodes the next. A child outlives the file and is used again, because starting one takes a third of a second.

A child whose memory an earlier message has upset may die on a sound one: so a message counts as failed only if it ends
a fresh child too.
"""

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rtma_diffda.errors import InputError
from rtma_diffda.io.isolated_frames import DONE, READY, read_frame, write_frame

logger = logging.getLogger(__name__)

Decoder = Callable[[bytes, Sequence[str]], bytes]
"""What runs in the child: (content, arguments) → result; a function of an importable module. What it raises is told."""

_MOST_IDLE = 2  # children kept for the next file; more than one only where threads read at the same time
_MOST_REQUESTS = 20_000  # of one child: the library may leak where it fails


@dataclass(frozen=True)
class Limits:
    """What the decoding of one source may cost.

    Attributes:
        seconds: for one message.
        memory: address space of the child (bytes).
        crashes: messages that may end a child before the rest of the source is refused.
        timeouts: messages that may exceed ``seconds`` before the rest is refused.
    """

    seconds: float = 60.0
    memory: int = 4 << 30
    crashes: int = 50
    timeouts: int = 3


class Isolation:
    """Decodes the messages of one source (a file), each in a child, and keeps account of those that ended one."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.crashes = 0
        self.timeouts = 0

    def decode(self, decoder: Decoder, content: bytes, arguments: Sequence[str] = ()) -> bytes:
        """``decoder(content, arguments)``, called in a child.

        Raises:
            InputError: the decoder raised, crashed or took too long, too many did before it, or no child can start.
        """
        self._require_hope()
        request = json.dumps(
            {
                "module": decoder.__module__,
                "function": decoder.__name__,
                "arguments": list(arguments),
                "seconds": self.limits.seconds,
            }
        ).encode()
        child = _idle_child(self.limits) or _Child(self.limits)
        answer = child.ask(request, content)
        if answer is None and child.requests > 1:
            logger.info("the decoding process %s; the message is tried again in a new one", child.ending())
            child = _Child(self.limits)
            answer = child.ask(request, content)
        if answer is None:
            raise InputError(self._told(child))
        _keep(child)
        if answer[:1] != DONE:
            raise InputError(answer[1:].decode(errors="replace"))
        return answer[1:]

    def _require_hope(self) -> None:
        if self.crashes >= self.limits.crashes:
            raise InputError(f"not decoded, because ecCodes crashed on {self.crashes} messages before it")
        if self.timeouts >= self.limits.timeouts:
            raise InputError(f"not decoded, because {self.timeouts} messages before it took too long")

    def _told(self, child: "_Child") -> str:
        if child.timed_out:
            self.timeouts += 1
            return f"decoding this message took longer than {self.limits.seconds:g} s"
        self.crashes += 1
        return f"ecCodes crashed on this message (its process {child.ending()})"


class _Child:
    """A decoding process, and how many requests it has had."""

    def __init__(self, limits: Limits) -> None:
        self.memory = limits.memory
        self.requests = 0
        command = [sys.executable, "-P", "-m", "rtma_diffda.io.isolated_worker", str(limits.memory)]
        try:
            self._process = subprocess.Popen(  # noqa: S603  (our own module)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # the library's words on damaged bytes; ours are in the account
                env=_environment(),
                start_new_session=True,  # Ctrl-C is the parent's business; it ends its children
            )
        except OSError as error:
            raise InputError(f"the process that decodes cannot be started with {sys.executable!r}: {error}") from error
        if self._exchange(lambda: None) != READY:
            self.close()
            raise InputError(f"the process that decodes does not start: it {self.ending()} (command: {command})")

    def ask(self, request: bytes, content: bytes) -> bytes | None:
        """The answer; None if the process ended instead."""
        self.requests += 1
        return self._exchange(lambda: self._send(request, content))

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the process, which has nothing to save, and wait for its end."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except OSError:  # a request that it did not take is still in the buffer
                logger.debug("a request was left untaken by the decoding process")

    @property
    def timed_out(self) -> bool:
        return self._process.returncode == -signal.SIGALRM

    def ending(self) -> str:
        """How it ended, in words; to be asked only after that."""
        status = self._process.returncode
        if status is None or status >= 0:
            return f"ended with status {status}"
        return f"was ended by signal {-status}, {signal.strsignal(-status)}"

    def _send(self, request: bytes, content: bytes) -> None:
        write_frame(self._process.stdin, request)
        write_frame(self._process.stdin, content)

    def _exchange(self, send: Callable[[], None]) -> bytes | None:
        """Send and wait for the answer; whatever comes in between, an interrupt too, ends the process."""
        try:
            send()
            answer = read_frame(self._process.stdout)
        except BrokenPipeError:
            answer = None
        except BaseException:
            self.close()
            raise
        if answer is None:
            self._await_end()
        return answer

    def _await_end(self) -> None:
        """Where its output has ended the process is about to: give it a moment, for the true exit status."""
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            logger.debug("the decoding process closed its output, but does not end; it is killed")
        self.close()


def _environment() -> dict[str, str]:
    """Ours, with our search path (the child finds what we find), and no threads that each reserve memory."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109  (as the import system does)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


_idle: list[_Child] = []  # pop and append are atomic, so that threads need no lock


def _idle_child(limits: Limits) -> _Child | None:
    while _idle:
        try:
            child = _idle.pop()
        except IndexError:  # another thread was faster
            return None
        if child.is_alive() and child.memory == limits.memory:
            return child
        child.close()
    return None


def _keep(child: _Child) -> None:
    if len(_idle) < _MOST_IDLE and child.requests < _MOST_REQUESTS:
        _idle.append(child)
    else:
        child.close()


def _close_idle() -> None:
    while _idle:
        _idle.pop().close()


atexit.register(_close_idle)
os.register_at_fork(after_in_child=_idle.clear)  # a forked process must not talk to its parent's children
