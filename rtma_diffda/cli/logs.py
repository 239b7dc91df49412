"""Logging of the command line: one line an event on stderr, UTC time first; text or JSON lines."""

import json
import logging
import sys
import time

from rtma_diffda.errors import UsageError

_LEVELS = ("debug", "info", "warning", "error")


class _JsonFormatter(logging.Formatter):
    """One JSON object a line, for machines."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname.lower(),
            "module": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event, ensure_ascii=False)


def configure_logging(*, level: str, form: str) -> None:
    """Send the package's log to stderr.

    Raises:
        UsageError: the level or the form is unknown.
    """
    if level not in _LEVELS or form not in ("text", "json"):
        raise UsageError(f"log.level is '{level}' and log.format is '{form}'; expected {_LEVELS} and text or json")
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter = _JsonFormatter() if form == "json" else text
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger = logging.getLogger("rtma_diffda")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
