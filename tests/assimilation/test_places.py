"""Heights and surfaces of data and grid points."""

from dataclasses import replace

import numpy as np
import torch

from rtma_diffda.assimilation.places import Surroundings
from rtma_diffda.geo.static_fields import StaticFields


def test_unknown_heights_are_the_terrain_there(make_problem):
    problem, static = make_problem(count=10)
    data = replace(problem.observations, elevation=torch.full((10,), torch.nan, dtype=torch.float64))
    data = replace(data, latitude=torch.full((10,), static.grid.latitude()[4, 9], dtype=torch.float64))
    data = replace(data, longitude=torch.full((10,), static.grid.longitude()[4, 9], dtype=torch.float64))
    places, _ = Surroundings(problem, static).of_data(data, 0)
    torch.testing.assert_close(
        places.height, torch.full((10,), float(static.orography[4, 9]), dtype=torch.float64), rtol=0, atol=1e-6
    )


def test_known_heights_are_the_stations_own(make_problem):
    problem, static = make_problem(count=10)
    data = replace(problem.observations, elevation=torch.linspace(5, 500, 10, dtype=torch.float64))
    places, _ = Surroundings(problem, static).of_data(data, 0)
    assert torch.equal(places.height, data.elevation)


def test_without_terrain_places_of_unknown_height_lie_at_the_mean_height(make_problem):
    problem, static = make_problem(count=3)
    data = replace(problem.observations, elevation=torch.tensor([100.0, 300.0, torch.nan], dtype=torch.float64))
    surroundings = Surroundings(replace(problem, observations=data), StaticFields(static.grid))
    assert surroundings.of_data(data, 0)[0].height.tolist() == [100.0, 300.0, 200.0]
    assert set(surroundings.of_grid(0)[0].height.tolist()) == {200.0}


def test_networks_say_their_surface_and_others_take_the_nearest_grid_points(make_problem):
    problem, static = make_problem(count=3)
    sea = StaticFields(static.grid, static.orography, np.zeros(static.grid.shape))
    data = replace(problem.observations, network=np.array(["METAR", "buoy", "private"], dtype=object))
    assert Surroundings(problem, sea).of_data(data, 0)[0].land.tolist() == [True, False, False]
    assert Surroundings(problem, StaticFields(static.grid)).of_data(data, 0)[0].land.tolist() == [True, False, True]


def test_background_values_are_departures_from_the_members_mean(make_problem):
    problem, static = make_problem(count=5, members=3)
    _, background = Surroundings(problem, static).of_grid(0)
    torch.testing.assert_close(background.mean(dim=1), torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0)
    assert background.shape == (3, static.orography.size)
