"""Progress bars on stderr: only where somebody watches, and only if wanted."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Sequence[Item], label: str, *, shown: bool) -> Iterator[Item]:
    """The items in turn, with a bar unless ``shown`` is False or stderr is no terminal."""
    return arriving(items, len(items), label, shown=shown)


def arriving(items: Iterable[Item], count: int, label: str, *, shown: bool) -> Iterator[Item]:
    """``progress`` for ``count`` items that come one by one, such as results of other processes."""
    wanted = shown and sys.stderr.isatty()
    return iter(tqdm(items, desc=label, total=count, file=sys.stderr, disable=not wanted, leave=False))
