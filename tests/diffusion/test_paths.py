"""Paths as data: spacings, RePaint's zig-zag and DiffDA's sequence against a straight transcription."""

import math
from itertools import pairwise

import pytest

from rtma_diffda.diffusion.paths import (
    count_falls,
    diffda_path,
    karras_path,
    logarithmic_path,
    require_path,
    uniform_path,
    with_jumps,
)
from rtma_diffda.errors import UsageError


def test_karras_levels_are_those_of_equation_5():
    path = karras_path(18, highest=80.0, lowest=0.002, rho=7.0)
    assert path[:3] == pytest.approx((80.0, 57.5860, 40.7856), rel=1e-5)
    assert path[-2:] == pytest.approx((0.002, 0.0))
    assert karras_path(5, highest=9.0, lowest=1.0, rho=1.0) == pytest.approx((9.0, 7.0, 5.0, 3.0, 1.0, 0.0))
    assert karras_path(1) == (80.0, 0.0)


def test_other_spacings():
    assert logarithmic_path(4, highest=8.0, lowest=1.0) == pytest.approx((8.0, 4.0, 2.0, 1.0, 0.0))
    assert uniform_path(4, highest=8.0) == pytest.approx((8.0, 6.0, 4.0, 2.0, 0.0))
    assert logarithmic_path(1, highest=8.0) == (8.0, 0.0)


def test_jumps_of_a_short_path_written_out():
    falling = (5.0, 4.0, 3.0, 2.0, 1.0, 0.0)
    found = with_jumps(falling, jump_length=2, resamplings=2)
    assert found == (5.0, 4.0, 3.0, 2.0, 3.0, 4.0, 3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0)
    assert with_jumps(falling, jump_length=2, resamplings=1) == falling
    assert with_jumps(falling, jump_length=5, resamplings=9) == falling  # nowhere to climb to


def states_of_the_release(steps: int, jump_length: int, passes: int) -> list[int]:
    """RePaint's chain: the index of every state it goes through; −1 is clean. Its step t makes state t − 1 of state t,
    and on the way back up state t − 1 of state t − 2."""
    jumps = dict.fromkeys(range(0, steps - jump_length, jump_length), passes - 1)
    t, states = steps, [steps - 1]
    while t >= 1:
        t -= 1
        states.append(t - 1)
        if jumps.get(t, 0) > 0:
            jumps[t] -= 1
            for _ in range(jump_length):
                t += 1
                states.append(t - 1)
    return states


def test_diffdas_sequence_has_2910_calls_in_the_order_of_the_release():
    path = diffda_path(300, jump_length=10, resamplings=10)
    assert count_falls(path) == 2910
    assert sum(after > before for before, after in pairwise(path)) == 2610
    chain = {level: index for index, level in enumerate(reversed(diffda_path(300, resamplings=1)), start=-1)}
    assert [chain[level] for level in path] == states_of_the_release(300, 10, 10)


@pytest.mark.parametrize(("calls", "passes", "falls"), [(300, 1, 300), (100, 10, 910), (50, 10, 410), (250, 10, 2410)])
def test_numbers_of_calls_in_the_published_table(calls, passes, falls):
    assert count_falls(diffda_path(calls, resamplings=passes)) == falls


def test_diffdas_first_level_is_step_897():
    kept = math.prod(1.0 - (1e-4 + step * (2e-2 - 1e-4) / 999) for step in range(898))
    assert diffda_path()[0] == pytest.approx(math.sqrt((1.0 - kept) / kept), rel=1e-10)


@pytest.mark.parametrize(
    "path", [(), (1.0,), (0.0, 0.0), (0.0, 1.0), (1.0, 0.5), (1.0, 1.0, 0.0), (1.0, -0.5, 0.0), (math.nan, 0.0)]
)
def test_refuses_what_no_sampler_can_follow(path):
    with pytest.raises(UsageError, match="a path needs"):
        require_path(path)


def test_refuses_what_makes_no_path():
    for made in (lambda: karras_path(0), lambda: logarithmic_path(3, lowest=9.0, highest=1.0), lambda: uniform_path(0)):
        with pytest.raises(UsageError, match="1 call or more"):
            made()
    with pytest.raises(UsageError, match="falling"):
        with_jumps((1.0, 2.0, 0.0), jump_length=1, resamplings=2)
    with pytest.raises(UsageError, match="1 or more"):
        with_jumps((2.0, 1.0, 0.0), jump_length=0, resamplings=2)
    for calls in (0, 1001):
        with pytest.raises(UsageError, match="DiffDA's schedule"):
            diffda_path(calls)
