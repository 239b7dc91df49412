"""How long each stage of a cycle takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stages:
    """Seconds by stage; a stage that is entered again adds to its time."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the body's time to the stage ``name``, also where the body fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def also(self, other: "Stages") -> "Stages":
        """These and those of ``other``, which has stages of its own."""
        return Stages({**self.seconds, **other.seconds})
