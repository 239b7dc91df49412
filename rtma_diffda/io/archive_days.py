"""The day stores in an archive's directory: which there are, where each is now, and how one goes."""

from pathlib import Path

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.io.atomic import current_directory, remove, sync_directory, temporary_beside
from rtma_diffda.times import day_of

_DAY_STORE = "[0-9]" * 8 + ".zarr"


def stored_days(root: Path) -> list[np.datetime64]:
    """Days that have a store, ascending; also those whose store is being replaced at this moment."""
    names = {path.name[:8] for path in root.glob(_DAY_STORE)}
    names |= {path.name[1:9] for path in root.glob(f".{_DAY_STORE}.retired")}
    return [np.datetime64(f"{name[:4]}-{name[4:6]}-{name[6:]}", "ns") for name in sorted(names)]


def day_store(root: Path, day: np.datetime64) -> Path:
    """Where the store of ``day`` is now."""
    return current_directory(_path_of(root, day))


def remove_day_store(root: Path, day: np.datetime64) -> bool:
    """Take the store of ``day`` away, if there is one. For the only writer, after repair.

    Its directory gets a hidden name first, in one step: a process that is killed leaves the whole store, or something
    hidden that the next repair removes.

    Returns:
        True if there was one.

    Raises:
        InputError: what has its name is a link or a file, and therefore not the archive's own; it stays.
        OSError: the file system refused to rename it; it stays.
    """
    path = _path_of(root, day)
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise InputError(f"{path} is a link or a file, not a store that this archive made; it is not removed")
    if not path.exists():
        return False
    hidden = temporary_beside(path)
    path.rename(hidden)
    sync_directory(root)
    remove(hidden)
    return True


def _path_of(root: Path, day: np.datetime64) -> Path:
    return root / f"{str(day_of(day))[:10].replace('-', '')}.zarr"
