"""Rewriting a published slot without ever losing what it held.

The day's store is duplicated by hard links (no data are copied), the slot is rewritten and verified in the duplicate,
and the two directories are exchanged. Until the exchange the old store is untouched: every file that changes is
replaced in the duplicate, never written through a link.
"""

import os
import shutil
from pathlib import Path

from rtma_diffda.io.archive_design import ArchiveDesign
from rtma_diffda.io.archive_store import write_slot
from rtma_diffda.io.atomic import remove, replace_directory, temporary_beside
from rtma_diffda.io.product import Product


def rewrite_slot(path: Path, product: Product, design: ArchiveDesign) -> None:
    """Put ``product`` in the place of a published analysis; killed at any moment, the old or the new one remains.

    Raises:
        InputError, OSError: as ``write_slot``; the old analysis is still there.
    """
    duplicate = temporary_beside(path)
    try:
        shutil.copytree(path, duplicate, copy_function=_link)
        write_slot(duplicate, product, design)
        replace_directory(duplicate, path)
    finally:
        remove(duplicate)


def _link(source: str, target: str) -> None:
    """Hard link, or a copy on a file system that has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
