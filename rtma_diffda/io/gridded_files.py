"""Which files a path stands for: one, those that match a pattern, or all below a directory."""

from collections.abc import Iterator
from pathlib import Path

from rtma_diffda.errors import InputError
from rtma_diffda.io.gridded import is_gridded

_BESIDE_DATA = {".idx", ".inv", ".txt", ".md", ".json", ".csv", ".yaml", ".yml", ".html", ".png", ".sha256", ".log"}
_WILD = set("*?[")


def gridded_files(path: str | Path) -> tuple[Path, ...]:
    """The files, and Zarr stores, that ``path`` stands for, in the order of their names.

    Indices, texts and hidden files within a directory are passed over; whatever else is there is named, so that a
    damaged file is noticed by whoever reads it.

    Raises:
        InputError: there is none.
    """
    path = Path(path)
    if not path.exists():
        found = tuple(_matching(path))
    elif path.is_dir() and not is_gridded(path):
        found = tuple(_below(path))
    else:
        found = (path,)
    if not found:
        raise InputError(f"there is no file of global runs at {path}")
    return found


def _matching(pattern: Path) -> list[Path]:
    parts = pattern.parts
    first = next((i for i, part in enumerate(parts) if _WILD & set(part)), None)
    return [] if first is None else sorted(Path(*parts[:first]).glob("/".join(parts[first:])))


def _below(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() in _BESIDE_DATA:
            continue
        if path.is_dir() and not is_gridded(path):
            yield from _below(path)
        else:
            yield path
