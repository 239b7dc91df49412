"""Progress bars on stderr: only where somebody watches, and only if wanted."""

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Sequence[Item], label: str, *, shown: bool) -> Iterator[Item]:
    """The items in turn, with a bar unless ``shown`` is False or stderr is no terminal."""
    return iter(tqdm(items, desc=label, file=sys.stderr, disable=not (shown and sys.stderr.isatty()), leave=False))
