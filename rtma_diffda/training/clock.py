"""``Clock``: wall clock and processor time of a training, all threads of this process together."""

import time


class Clock:
    """Runs on from what earlier launches of the same training used.

    Args:
        seconds, cpu_seconds: used before.
    """

    def __init__(self, seconds: float = 0.0, cpu_seconds: float = 0.0) -> None:
        self._wall_zero = time.monotonic() - seconds
        self._cpu_zero = time.process_time() - cpu_seconds

    def seconds(self) -> float:
        """Of the wall clock."""
        return time.monotonic() - self._wall_zero

    def cpu_seconds(self) -> float:
        """Of the processors."""
        return time.process_time() - self._cpu_zero
