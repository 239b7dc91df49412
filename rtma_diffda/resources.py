"""Where the packaged data lie: ``conf/`` and ``regions/`` inside an installed wheel, at the top of a checkout else."""

from pathlib import Path

from rtma_diffda.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent


def resource_directory(name: str) -> Path:
    """Directory of packaged data called ``name``.

    Raises:
        UsageError: neither the package nor the checkout has it: the installation is incomplete.
    """
    for candidate in (_PACKAGE / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise UsageError(f"the installation lacks its '{name}' directory; install the package again")
