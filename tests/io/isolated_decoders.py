"""Decoders that misbehave as their bytes tell them, for the tests of the process they run in."""

import os
import signal
import time

_seen: list[bytes] = []


def decode(content: bytes, arguments: tuple[str, ...]) -> bytes:
    """The bytes with the arguments, unless they ask for something else."""
    _seen.append(content)
    match content:
        case b"abort":
            os.abort()
        case b"segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"exit":
            os._exit(3)
        case b"hang":
            time.sleep(60)
        case b"raise":
            raise ValueError("no sense in it")
        case b"upset by another" if len(_seen) > 1:  # memory that an earlier message has damaged
            os.abort()
        case b"noise":
            os.write(1, b"what C code prints")
            print("what Python prints", flush=True)
        case b"process":
            return str(os.getpid()).encode()
        case b"big":
            return bytes(3_000_000)
    return content + b"".join(argument.encode() for argument in arguments)
