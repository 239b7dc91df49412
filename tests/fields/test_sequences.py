from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import small_grid

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.sequences import Sequences

HOUR = np.timedelta64(1, "h")
INNER, OUTER = Layout.of(small_grid(4, 3), ("t2m", "sp")), Layout.of(small_grid(3, 5, 30e3), ("t2m", "sp"))


def sequences(members: int = 3) -> Sequences:
    times = np.datetime64("2026-06-01T00:00", "ns") + HOUR * (np.arange(3) + 5 * np.arange(members)[:, None])
    numbers = torch.arange(members * 3 * 2 * 12.0).reshape(members, 3, 2, 3, 4)
    return Sequences(
        numbers,
        torch.arange(members * 2 * 2 * 15.0).reshape(members, 2, 2, 5, 3),
        numbers[:, 0, 0],
        numbers[:, 0, 1],
        torch.zeros(members, 5, 3),
        torch.ones(members, 5, 3),
        times,
        times[:, 1:],
        np.arange(members),
        INNER,
        OUTER,
    )


def test_members_are_picked_in_the_order_asked_for():
    batch = sequences()
    chosen = batch.select(np.array([2, 0]))
    assert len(chosen) == 2 and chosen.run.tolist() == [2, 0]
    for name in ("states", "boundary", "orography", "land_fraction", "boundary_land_fraction"):
        assert torch.equal(getattr(chosen, name), getattr(batch, name)[[2, 0]]), name
    assert (chosen.valid_times == batch.valid_times[[2, 0]]).all()
    assert (chosen.boundary_times == batch.boundary_times[[2, 0]]).all()
    assert chosen.to("cpu").layout == INNER


def test_parts_join_to_the_whole():
    batch = sequences()
    whole = Sequences.joined([batch.select(slice(0, 1)), batch.select(slice(1, 3))])
    assert torch.equal(whole.states, batch.states) and torch.equal(whole.boundary, batch.boundary)
    assert (whole.boundary_times == batch.boundary_times).all() and (whole.run == batch.run).all()
    with pytest.raises(InputError, match="0 batches"):
        Sequences.joined([])


@pytest.mark.parametrize("name", ["states", "boundary", "boundary_orography"])
def test_shapes_that_do_not_fit_are_named(name):
    with pytest.raises(InputError, match=f"{name} of a batch"):
        replace(sequences(), **{name: getattr(sequences(), name)[:, :1]})
