"""Shared fixtures. The package is imported first, so that pyproj opens its database before ecCodes may be loaded."""

import logging
from pathlib import Path

import pytest

import rtma_diffda  # noqa: F401

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory of reference data beside the checkout; tests that need it skip, and say so, without it."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data directory ../shared, which is not here")
    return SHARED


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """The command line configures the package's logger; what one test sets must not reach the next."""
    logger = logging.getLogger("rtma_diffda")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
