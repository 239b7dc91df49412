"""Paths: the noise levels that a sampler visits, as data. A path begins with the highest and ends with 0.

Where a path falls the sampler denoises; where it rises (RePaint's jumps back) it adds noise, which needs no network.
The number of network calls of a first-order sampler is therefore the number of falls (``count_falls``). References:
Karras et al. (2022), arXiv 2206.00364, eq. 5; Lugmayr et al. (2022), arXiv 2201.09865, appendix B; ``diffda.md`` §4.4.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from rtma_diffda.diffusion.schedules import linear_betas, noise_levels
from rtma_diffda.errors import UsageError

Path = tuple[float, ...]


def karras_path(calls: int, *, highest: float = 80.0, lowest: float = 0.03, rho: float = 7.0) -> Path:
    """``calls`` noise levels evenly spaced in σ^(1/ρ), then 0.

    Raises:
        UsageError: no calls, or not 0 < lowest ≤ highest.
    """
    _require_levels(calls, lowest, highest)
    if calls == 1:
        return (highest, 0.0)
    ends = highest ** (1 / rho), lowest ** (1 / rho)
    return (*((ends[0] + i / (calls - 1) * (ends[1] - ends[0])) ** rho for i in range(calls)), 0.0)


def logarithmic_path(calls: int, *, highest: float = 80.0, lowest: float = 0.03) -> Path:
    """``calls`` noise levels evenly spaced in ln σ, then 0."""
    _require_levels(calls, lowest, highest)
    ratio = lowest / highest
    return (*(highest * ratio ** (i / max(calls - 1, 1)) for i in range(calls)), 0.0)


def uniform_path(calls: int, *, highest: float = 80.0) -> Path:
    """Noise levels evenly spaced in σ, from ``highest`` to 0."""
    _require_levels(calls, highest, highest)
    return (*(highest * (1.0 - i / calls) for i in range(calls)), 0.0)


def with_jumps(path: Sequence[float], *, jump_length: int, resamplings: int) -> Path:
    """RePaint's zig-zag over a falling path: stretches of it are climbed and fallen again.

    Counted back from the end, every ``jump_length``-th level, the final 0 included, is a place from which, when it is
    reached, the path climbs ``jump_length`` levels, ``resamplings`` − 1 times; none from where there are no more than
    ``jump_length`` levels above. This is the order of steps of RePaint and of DiffDA's release: 300 levels, jumps of 10
    and 10 passes make 2,910 falls.

    Args:
        path: strictly falling, ending with 0.
        jump_length: levels climbed at a time.
        resamplings: how often each stretch is fallen through in all; 1: no jumps.

    Raises:
        UsageError: the path does not fall, or a count below 1.
    """
    if any(after >= before for before, after in pairwise(path)):
        raise UsageError("jumps are added to a path of falling noise levels")
    if jump_length < 1 or resamplings < 1:
        raise UsageError(f"jumps need a length and resamplings of 1 or more; found {jump_length} and {resamplings}")
    jumps_left = _jump_places(len(path) - 1, jump_length, resamplings)
    position, visited = 0, [0]
    while position < len(path) - 1:
        position += 1
        visited.append(position)
        if jumps_left.get(position, 0) > 0:
            jumps_left[position] -= 1
            for _ in range(jump_length):
                position -= 1
                visited.append(position)
    return tuple(path[i] for i in visited)


def diffda_path(calls: int = 300, *, jump_length: int = 10, resamplings: int = 10) -> Path:
    """DiffDA's sequence: every ⌊1000 / calls⌋-th level of its schedule, with jumps.

    The release visits the training steps t = (calls − 1) s, …, s, 0 with s = ⌊1000 / calls⌋, so that with 300 calls
    the first is 897, not 999.

    Raises:
        UsageError: not 1 … 1000 calls.
    """
    levels = noise_levels(linear_betas())
    if not 1 <= calls <= len(levels):
        raise UsageError(f"DiffDA's schedule has 1 … {len(levels)} levels; found {calls} calls")
    stride = len(levels) // calls
    falling = [float(levels[i * stride]) for i in reversed(range(calls))]
    return with_jumps((*falling, 0.0), jump_length=jump_length, resamplings=resamplings)


def count_falls(path: Sequence[float]) -> int:
    """Denoiser calls of a first-order sampler along the path."""
    return sum(after < before for before, after in pairwise(path))


def require_path(path: Sequence[float]) -> None:
    """Refuse what no sampler can follow.

    Raises:
        UsageError: fewer than two levels, one that is negative or not finite, two equal ones in a row, a beginning
            without noise or an end with some.
    """
    sound = len(path) > 1 and all(math.isfinite(level) and level >= 0.0 for level in path)
    if not sound or path[0] == 0.0 or path[-1] != 0.0 or any(a == b for a, b in pairwise(path)):
        raise UsageError(
            f"a path needs noise levels ≥ 0, no two equal in a row, the first above 0 and the last 0; found "
            f"{len(path)} levels from {path[0] if path else 'none'} to {path[-1] if path else 'none'}"
        )


def _jump_places(last: int, jump_length: int, resamplings: int) -> dict[int, int]:
    """{index into the path: jumps from there}; RePaint's t = 0, j, … has just been denoised at index ``last`` − t."""
    return {last - t: resamplings - 1 for t in range(0, last - jump_length, jump_length)}


def _require_levels(calls: int, lowest: float, highest: float) -> None:
    if calls < 1 or not 0.0 < lowest <= highest < math.inf:
        raise UsageError(f"a path needs 1 call or more and 0 < lowest ≤ highest; found {calls}, {lowest} and {highest}")
