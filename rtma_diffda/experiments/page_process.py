"""Drawing a run's page in a process of its own, beside the cycles.

    python -m rtma_diffda.experiments.page_process DIRECTORY

draws it once.
"""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.cycle_page import write_cycle_page

_log = logging.getLogger(__name__)

_LONGEST_SECONDS = 120.0
_NICENESS = 10  # the cycles go first


class PageProcess:
    """Draws the page of one directory, one process at a time."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._process: subprocess.Popen | None = None
        self._deadline = 0.0

    def draw(self) -> bool:
        """Begin to draw; False if the drawing before is still under way, which is left alone unless it hangs."""
        if self._process is not None and self._process.poll() is None and time.monotonic() < self._deadline:
            return False
        self._finish()
        self._process = self._started()
        self._deadline = time.monotonic() + _LONGEST_SECONDS
        return self._process is not None

    def close(self) -> None:
        """Wait for the drawing under way, and draw a last time."""
        self._finish()
        self.draw()
        self._finish()

    def _started(self) -> subprocess.Popen | None:
        try:
            return subprocess.Popen(  # noqa: S603  (our own module)
                _command(self.directory),
                stdin=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is the parent's business, which draws a last time
            )
        except OSError as error:
            _log.warning("the page of %s cannot be drawn: %s", self.directory, error)
            return None

    def _finish(self) -> None:
        """Wait for the end of the drawing under way, as long as it may take; tell what went wrong."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout=max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.warning("drawing the page of %s took longer than %g s", self.directory, _LONGEST_SECONDS)
            self._process.kill()
            self._process.wait()
        if self._process.returncode:
            _log.warning("the page of %s was not drawn: exit status %d", self.directory, self._process.returncode)
        self._process = None


def draw_in_process(directory: str | Path) -> PageProcess:
    """What draws the page of ``directory`` from now on; its first process is started."""
    drawing = PageProcess(directory)
    drawing.draw()
    return drawing


def _command(directory: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "rtma_diffda.experiments.page_process", str(directory)]


def _environment() -> dict[str, str]:
    """Ours, with our search path (the child finds what we find), and a single thread."""
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109  (as the import system does)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def main(arguments: list[str]) -> int:
    """Draw the page of the directory that is named; returns the exit status."""
    logging.basicConfig(level=logging.WARNING)
    os.nice(_NICENESS)
    try:
        write_cycle_page(arguments[0])
    except InputError as error:
        _log.warning("no page: %s", error)
        return error.exit_status
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
