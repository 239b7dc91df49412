"""Withholding: published splits repeated, stations and blocks kept whole, independence of row order."""

import numpy as np
import pandas as pd
import pytest
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.table import Observations
from rtma_diffda.observations.withholding import (
    block_folds,
    lattice_blocks,
    random_station_folds,
    withheld_list_id,
    withheld_stations,
    withhold,
    withhold_in_table,
)


@pytest.fixture
def network() -> pd.DataFrame:
    """300 stations over 10° × 16°, two or three rows each, in no order."""
    rng = np.random.default_rng(3)
    places = pd.DataFrame(
        {
            "station": [f"S{i:03d}" for i in range(300)],
            "latitude": rng.uniform(45, 55, 300),
            "longitude": rng.uniform(-4, 12, 300),
        }
    )
    return places.iloc[rng.permutation(np.repeat(np.arange(300), rng.integers(2, 4, 300)))].reset_index(drop=True)


def test_station_folds_are_the_published_split_over_first_appearances():
    stations = np.array(["b", "a", "b", "c", "d", "a", "e"], dtype=object)
    expected = dict(zip("bacde", np.random.default_rng(5).permutation(5) % 2, strict=True))
    assert random_station_folds(stations, folds=2, seed=5).tolist() == [expected[s] for s in stations]


def test_station_folds_balance_and_keep_stations_whole(network):
    folds = random_station_folds(network["station"].to_numpy(), folds=10, seed=1)
    by_station = network.assign(fold=folds).groupby("station")["fold"]
    assert by_station.nunique().max() == 1
    assert by_station.first().value_counts().tolist() == [30] * 10


def test_block_folds_keep_blocks_whole_and_do_not_depend_on_row_order(network):
    latitude, longitude = network["latitude"].to_numpy(), network["longitude"].to_numpy()
    folds = block_folds(latitude, longitude, block_degrees=2.0, folds=5, seed=1)
    blocks = np.floor(latitude / 2.0) * 1000 + np.floor(longitude / 2.0)
    assert pd.Series(folds).groupby(blocks).nunique().max() == 1
    assert set(folds) == set(range(5))
    order = np.random.default_rng(0).permutation(len(network))
    again = block_folds(latitude[order], longitude[order], block_degrees=2.0, folds=5, seed=1)
    assert (again == folds[order]).all()
    assert (block_folds(latitude, longitude, block_degrees=2.0, folds=5, seed=2) != folds).any()


def test_blocks_are_the_same_for_both_writings_of_longitude():
    east, west = lattice_blocks([10.0], [350.5], block_degrees=0.5), lattice_blocks([10.0], [-9.5], block_degrees=0.5)
    assert east.tolist() == west.tolist() == [[20, -19]]


def test_withheld_stations_come_in_whole_blocks_near_the_fraction(network):
    chosen = withheld_stations(network, fraction=0.2, block_degrees=1.0, seed=4)
    assert abs(len(chosen) - 60) <= 3
    blocks = np.floor(network["latitude"]) * 1000 + np.floor(network["longitude"])
    assert network["station"].isin(chosen).groupby(blocks).nunique().max() == 1


def test_withheld_stations_do_not_depend_on_row_order_but_on_the_seed(network):
    options = {"fraction": 0.2, "block_degrees": 1.0}
    chosen = withheld_stations(network, **options, seed=4)
    assert withheld_stations(network.sample(frac=1.0, random_state=1), **options, seed=4) == chosen
    assert withheld_stations(network, **options, seed=5) != chosen


def test_a_silent_station_moves_few_others_in_or_out(network):
    options = {"fraction": 0.2, "block_degrees": 1.0, "seed": 4}
    chosen = set(withheld_stations(network, **options))
    silent = sorted(set(network["station"]) - chosen)[0]
    fewer = set(withheld_stations(network[network["station"] != silent], **options))
    assert len(fewer ^ chosen) <= 5


def test_stations_without_position_are_never_withheld(network):
    lost = pd.DataFrame({"station": ["LOST"], "latitude": [np.nan], "longitude": [3.0]})
    assert "LOST" not in withheld_stations(pd.concat([network, lost]), fraction=0.9, block_degrees=1.0, seed=4)


def test_withheld_flag_is_added_and_nothing_else_changes():
    n = 4
    column = torch.zeros(n, dtype=torch.float64)
    observations = Observations(
        value=column,
        error_std=column + 1,
        latitude=column,
        longitude=column,
        elevation=column,
        channel=torch.zeros(n, dtype=torch.int64),
        valid_time=np.full(n, np.datetime64("2026-01-01", "ns")),
        station=np.array(["a", "b", "a", "c"], dtype=object),
        network=np.full(n, "metar", dtype=object),
        flags=np.array([0, 0, int(Flag.RANGE), 0], np.int32),
        bound=np.zeros(n, np.int8),
    )
    marked = withhold(observations, {"a", "unheard of"})
    assert marked.flags.tolist() == [Flag.WITHHELD, 0, Flag.RANGE | Flag.WITHHELD, 0]
    assert observations.flags.tolist() == [0, 0, Flag.RANGE, 0]
    assert marked.withheld().station.tolist() == ["a"]
    assert marked.used().station.tolist() == ["b", "c"]
    table = pd.DataFrame({"station": observations.station, "flags": observations.flags})
    assert withhold_in_table(table, ["a"])["flags"].tolist() == marked.flags.tolist()


def test_list_id_names_the_set():
    assert withheld_list_id(["b", "a"]) == withheld_list_id(("a", "b", "a")) != withheld_list_id(["a", "c"])
    assert withheld_list_id(["a", "b"]) == "7e18f737311b"  # printf 'a\nb' | sha256sum
    assert len(withheld_list_id([])) == 12


def test_refusals(network):
    with pytest.raises(UsageError, match="between 0 and 1; found 1"):
        withheld_stations(network, fraction=1.0, block_degrees=1.0, seed=0)
    with pytest.raises(InputError, match="300 stations lie in 1 block"):
        withheld_stations(network.assign(latitude=50.0, longitude=1.0), fraction=0.1, block_degrees=2.0, seed=0)
    with pytest.raises(UsageError, match="2 stations can be split into 2 to 2 folds; found 3"):
        random_station_folds(np.array(["a", "b"]), folds=3, seed=0)
    with pytest.raises(InputError, match="1 of 2 positions are not finite, the first in row 1"):
        block_folds(np.array([1.0, np.nan]), np.array([1.0, 2.0]), block_degrees=1.0, folds=2, seed=0)
