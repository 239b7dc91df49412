"""Batches of global pairs: members, and what cannot be one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from global_denoising import LEADS, known_denoiser, pairs_of

from rtma_diffda.errors import InputError
from rtma_diffda.fields.global_pairs import terrain_and_land
from rtma_diffda.geo.static_fields import StaticFields


def test_members_keep_their_time_and_lead_time():
    pairs = pairs_of(known_denoiser())
    chosen = pairs.select(np.array([1, 0, 1]))
    assert len(chosen) == 3 and (chosen.lead == LEADS[[1, 0, 1]]).all()
    assert (chosen.valid_time == pairs.valid_time[[1, 0, 1]]).all()
    assert torch.equal(chosen.truth[0], pairs.truth[1]) and torch.equal(chosen.background[1], pairs.background[0])
    assert torch.equal(chosen.to("cpu").orography, pairs.orography)


def test_shapes_that_do_not_belong_together_are_refused():
    pairs = pairs_of(known_denoiser())
    with pytest.raises(InputError, match=r"global pairs of shape \(1, 4, 8, 16\)"):
        replace(pairs, truth=pairs.truth[:1])
    with pytest.raises(InputError, match=r"terrain of shape \(8, 15\)"):
        replace(pairs, orography=pairs.orography[:, 1:])
    with pytest.raises(InputError, match="need a lead time for each of 2 members"):
        replace(pairs, lead=np.array([6, 48]))
    with pytest.raises(InputError, match="needs terrain and land; 'none' lacks one of them"):
        terrain_and_land(StaticFields(pairs.layout.grid, np.zeros(pairs.layout.grid.shape)))
