"""The optional library ecCodes, loaded where it is needed (after pyproj: see the package's ``__init__``)."""

from types import ModuleType

from rtma_diffda.errors import InputError


def load_eccodes(purpose: str) -> ModuleType:
    """The ``eccodes`` module.

    Args:
        purpose: what it is needed for, as it stands in the message, e.g. ``"GRIB files"``.

    Raises:
        InputError: it is not installed, or its shared library cannot be loaded.
    """
    try:
        import eccodes
    except (ImportError, RuntimeError, OSError) as error:
        raise InputError(
            f"{purpose} are read with ecCodes, which cannot be loaded ({error}); install it with "
            "pip install 'rtma_diffda[grib]'"
        ) from error
    return eccodes
