"""Terrain and land: checks on construction, and what the generator promises."""

import numpy as np
import pytest

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields, generate_static_fields


def test_the_generator_makes_sea_in_the_west_and_mountains_in_the_east():
    grid = load_region("demo").grid
    static = generate_static_fields("ridge_and_coast", grid)
    again = generate_static_fields("ridge_and_coast", grid)
    assert np.array_equal(static.orography, again.orography)
    assert not static.land_mask[:, 0].any()
    assert static.land_mask[:, -1].all()
    sea = static.land_fraction < 0.05
    assert (static.orography[sea] == 0.0).all()
    assert static.orography.min() >= 0.0
    assert 700.0 < static.orography.max() < 2500.0
    assert np.argmax(static.orography.mean(axis=0)) > grid.nx // 2
    assert (static.land_fraction >= 0.0).all()
    assert (static.land_fraction <= 1.0).all()


def test_without_a_land_field_every_place_is_land():
    grid = load_region("demo").grid
    assert StaticFields(grid).land_mask.all()
    assert StaticFields(grid).orography is None


def test_wrong_static_fields_are_refused():
    grid = load_region("demo").grid
    with pytest.raises(InputError, match=r"\(3, 3\)"):
        StaticFields(grid, np.zeros((3, 3)))
    holed = np.zeros(grid.shape)
    holed[2, 2] = np.nan
    with pytest.raises(InputError, match="1 values"):
        StaticFields(grid, orography=holed)
    with pytest.raises(UsageError, match="ridge_and_coast"):
        generate_static_fields("flat", grid)
