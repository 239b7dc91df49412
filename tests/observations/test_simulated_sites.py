"""Made-up and real networks: where stations stand, that networks nest, that withheld stations are apart."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import UsageError
from rtma_diffda.geo.grid import transformer
from rtma_diffda.geo.random_terrain import random_terrain
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.observations.simulated_sites import BIAS_COLUMNS, aerodrome_network, ranked_network, simulated_network


def cells_of(grid, network):
    return np.rint(np.stack(grid.fractional_index(network["latitude"], network["longitude"]))).astype(int)


def closest(cells, others):
    """Smallest distance in grid cells, the larger of both axes."""
    return np.abs(cells[:, :, None] - others[:, None, :]).max(axis=0).min()


def test_stations_stand_inside_and_apart_with_names_that_nobody_has(static, network):
    assert network["station"].is_unique
    assert network["station"].str.fullmatch("X[A-Z]{3}").all()
    row, column = static.grid.fractional_index(network["latitude"], network["longitude"])
    for place, size in ((row, static.grid.ny), (column, static.grid.nx)):
        assert place.min() > 2.4
        assert place.max() < size - 3.4
    assert len(set(zip(np.rint(row), np.rint(column), strict=True))) == len(network)
    assert set(network["reporting_minute"]) == set(range(-7, 8))
    assert set(network["delay_minutes"]) == set(range(2, 10))


def test_sites_prefer_low_land(static, seeded):
    many = simulated_network(static.grid, static, count=1000, generator=seeded(1))
    taken = np.zeros(static.grid.shape, bool)
    taken[tuple(cells_of(static.grid, many))] = True
    inner = np.zeros_like(taken)
    inner[3:-3, 3:-3] = True
    land, height = static.land_fraction >= 0.5, static.orography
    low, high, sea = (taken[inner & where].mean() for where in (land & (height < 300), height > 900, ~land))
    assert low > 1.5 * high
    assert high > 2.5 * sea


def test_heights_differ_from_the_terrain_more_where_it_is_rough(static, network):
    nearest = tuple(cells_of(static.grid, network))
    relief = np.hypot(*np.gradient(static.orography))[nearest]
    difference = network["elevation"] - static.orography[nearest]
    smooth, rough = difference[relief < 20], difference[relief > 80]
    assert smooth.std() < 20
    assert rough.std() > 2 * smooth.std()
    assert network["elevation"].min() >= 0


def test_a_sparse_network_is_the_beginning_of_a_dense_one(static, seeded):
    dense = ranked_network(static.grid, static, count=300, withheld=40, generator=seeded(3))
    sparse = ranked_network(static.grid, static, count=30, withheld=40, generator=seeded(3))
    pd.testing.assert_frame_equal(dense.first(30), sparse.stations)
    pd.testing.assert_frame_equal(dense.withheld, sparse.withheld)
    assert set(dense.first(100)["station"]) < set(dense.first(300)["station"])
    assert len(dense) == 300
    with pytest.raises(UsageError, match="no network of 301"):
        dense.first(301)


def test_a_sparse_network_covers_the_same_kind_of_places_as_a_dense_one(static, seeded):
    """Rank says nothing about the place: heights and longitudes of early and late ranks agree within their noise."""
    frames = [
        ranked_network(static.grid, static, count=300, withheld=0, generator=seeded(s)).stations for s in range(12)
    ]
    for column in ("elevation", "longitude", "latitude"):
        early = np.concatenate([frame[column][:150] for frame in frames])
        late = np.concatenate([frame[column][150:] for frame in frames])
        uncertainty = np.hypot(early.std(), late.std()) / np.sqrt(len(early))
        assert abs(early.mean() - late.mean()) < 3.5 * uncertainty


def test_withheld_stations_are_of_the_same_kind_and_apart(static, seeded):
    elevations = {"stations": [], "withheld": []}
    for seed in range(8):
        network = ranked_network(static.grid, static, count=200, withheld=60, generator=seeded(seed))
        assert not set(network.stations["station"]) & set(network.withheld["station"])
        assert closest(cells_of(static.grid, network.stations), cells_of(static.grid, network.withheld)) >= 2
        for name, values in elevations.items():
            values.append(getattr(network, name)["elevation"].to_numpy())
    used, withheld = (np.concatenate(values) for values in elevations.values())
    assert abs(used.mean() - withheld.mean()) < 3.5 * np.hypot(
        used.std() / np.sqrt(used.size), withheld.std() / np.sqrt(withheld.size)
    )


def test_constant_errors_of_stations_are_standard_normal(static, seeded):
    many = simulated_network(static.grid, static, count=1500, generator=seeded(0))[list(BIAS_COLUMNS.values())]
    assert np.abs(many.mean()).max() < 0.1
    np.testing.assert_allclose(many.std(), 1.0, atol=0.07)
    assert np.abs(np.corrcoef(many.to_numpy().T) - np.eye(5)).max() < 0.1


def test_the_same_seed_gives_the_same_network(static, network, seeded):
    again = simulated_network(static.grid, static, count=400, generator=seeded(5))
    pd.testing.assert_frame_equal(network, again)
    other = simulated_network(static.grid, static, count=400, generator=seeded(6))
    assert len(set(other["station"]) & set(network["station"])) < 40


def test_any_landscape_takes_the_densities_that_are_compared(seeded):
    grid = load_region("osse_small").grid
    for seed in range(5):
        static = random_terrain(grid, generator=seeded(seed))
        network = ranked_network(grid, static, count=300, withheld=100, generator=seeded(seed))
        at_sea = ~static.land_mask[tuple(cells_of(grid, network.stations))]
        assert at_sea.mean() < 0.2


def test_a_region_without_terrain_or_land_gets_a_network_too(static, seeded):
    flat = simulated_network(static.grid, StaticFields(static.grid), count=30, generator=seeded(0))
    assert np.abs(flat["elevation"]).max() < 25


def test_networks_that_do_not_fit_are_refused(static, seeded):
    with pytest.raises(UsageError, match="does not fit"):
        simulated_network(static.grid, static, count=5000, generator=seeded(0))
    grid = replace(load_region("osse_tiny").grid, nx=24, ny=24)
    with pytest.raises(UsageError, match="far enough"):
        ranked_network(grid, StaticFields(grid), count=100, withheld=100, generator=seeded(0))


def test_real_aerodromes_keep_name_place_and_height(static, seeded):
    grid = static.grid
    rows = np.random.default_rng(0).uniform(-4, 68, (2, 600))
    longitude, latitude = grid_position(grid, rows)
    names = [f"Q{i:03d}" for i in range(600)]
    places = pd.DataFrame({"station": names, "latitude": latitude, "longitude": longitude, "elevation": rows[0] * 10})
    network = aerodrome_network(grid, places, count=200, withheld=30, generator=seeded(2))
    both = pd.concat([network.stations, network.withheld]).set_index("station")
    assert len(both) == 230
    assert both.index.is_unique
    expected = places.set_index("station").loc[both.index]
    pd.testing.assert_frame_equal(both[["latitude", "longitude", "elevation"]], expected)
    used, withheld = cells_of(grid, network.stations), cells_of(grid, network.withheld)
    assert closest(used, withheld) >= 2
    assert used.min() >= 3
    assert used.max() <= 60
    assert len(np.unique(used, axis=1).T) == 200
    fewer = aerodrome_network(grid, places, count=20, withheld=30, generator=seeded(2))
    pd.testing.assert_frame_equal(fewer.stations, network.first(20))
    with pytest.raises(UsageError, match="do not fit"):
        aerodrome_network(grid, places, count=590, withheld=10, generator=seeded(2))


def grid_position(grid, rows):
    """Longitude and latitude of fractional (row, column), by the projection itself."""
    return transformer(grid.projection).transform(
        grid.x0 + grid.dx * rows[1], grid.y0 + grid.dy * rows[0], direction="INVERSE"
    )
