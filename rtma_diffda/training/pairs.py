"""Truths and backgrounds of a simulated data set for training: in memory where they fit, else read batch by batch."""

from pathlib import Path

from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.io.simulation_store import read_pairs
from rtma_diffda.io.stored_pairs import StoredPairs

MEMORY_LIMIT = 4 * 2**30
"""Bytes of pairs that are held in memory."""


def load_pairs(
    data_set: Path,
    split: str,
    *,
    runs: int | None = None,
    large_scale: bool = False,
    memory_limit: int = MEMORY_LIMIT,
) -> Pairs | StoredPairs:
    """The pairs of a split (or of its first ``runs`` runs); either kind has a length and ``select(members)``.

    Args:
        data_set: a directory made by ``rtma-diffda simulate``.
        split: ``train``, ``validation`` or ``test``.
        runs: use only the first so many.
        large_scale: whether they have the large scale on the region.
        memory_limit: bytes; more than that stays on disk.

    Raises:
        InputError: the split has no run, or a damaged one.
    """
    stored = StoredPairs(data_set, split, runs=runs, large_scale=large_scale)
    if stored.bytes > memory_limit:
        return stored
    return read_pairs(data_set, split, runs=runs, large_scale=large_scale)
