"""A simulated world: its global runs, its late reports, and that it is made once."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import torch

from rtma_diffda.errors import InputError
from rtma_diffda.experiments import simulated_world, stored_world
from rtma_diffda.experiments.simulated_spool import LATE_MINUTES, LATE_SHARE, with_late_ones
from rtma_diffda.experiments.simulated_world import WorldSettings, simulate_weather, write_world
from rtma_diffda.experiments.stored_world import NATURE, ensure_world, load_world
from rtma_diffda.fields.boundary import surrounding
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.boundary_points import boundary_grid
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import ridge_and_coast
from rtma_diffda.io.global_runs import GlobalRunFiles
from rtma_diffda.io.simulation_store import read_run
from rtma_diffda.observations.ingest.files import read_observations
from rtma_diffda.observations.ingest.name_times import time_in_name
from rtma_diffda.observations.ingest.stations import load_stations

HOUR, QUARTER = np.timedelta64(1, "h"), np.timedelta64(15, "m")
TIMES = np.datetime64("2026-06-15T20:00", "ns") + np.array([0, 15, 60, 7 * 60 + 45]) * np.timedelta64(1, "m")
SETTINGS = WorldSettings(stations=60, seed=3, global_runs=True)


@pytest.fixture(scope="module")
def place():
    region = load_region("osse_tiny")
    return region, ridge_and_coast(region.grid)


@pytest.fixture(scope="module")
def weather(place):
    return simulate_weather(*place, TIMES, SETTINGS)


@pytest.fixture(scope="module")
def punctual(place, weather, tmp_path_factory):
    return write_world(place[0], weather, settings=SETTINGS, directory=tmp_path_factory.mktemp("punctual"))


@pytest.fixture(scope="module")
def late(place, tmp_path_factory):
    """Of the same settings, but for the late reports; simulated anew."""
    directory = tmp_path_factory.mktemp("late") / "world"
    return ensure_world(*place, TIMES, settings=replace(SETTINGS, late_reports=True), directory=directory)


def runs_of(world, region) -> GlobalRunFiles:
    wider = boundary_grid(region.grid, spacing=region.boundary.spacing, width=region.boundary.width)
    return GlobalRunFiles(path=world.global_runs, layout=Layout.of(wider, region.variables), latency=4 * HOUR)


def read(paths, world, time) -> pd.DataFrame:
    found = read_observations(paths, reference_time=time, stations=load_stations(world.station_table))
    assert not len(found.rejected)
    table = found.table.drop(columns="source")  # the name of the file
    return table.sort_values(["station", "variable", "valid_time"], ignore_index=True)


def test_every_time_lies_between_states_of_an_older_global_run(punctual, place):
    runs = runs_of(punctual, place[0])
    first = TIMES[0] - 6 * HOUR
    assert [run.initial_time for run in runs.runs()] == [first, TIMES[0], TIMES[0] + 6 * HOUR]
    for time, start in zip(TIMES, (first, first, first, TIMES[0]), strict=True):
        found = runs.bracketing(surrounding(np.atleast_1d(time)), available_at=time + QUARTER, before=time)
        assert found.initial_time == start
        assert found.valid_times[0] <= time <= found.valid_times[-1]
    after = runs.bracketing(surrounding(TIMES[-1:] + HOUR), available_at=TIMES[-1])
    assert after.valid_times[-1] == TIMES[0] + 9 * HOUR


def test_global_states_are_the_large_scale_of_the_truth(punctual, place):
    found = runs_of(punctual, place[0]).bracketing(surrounding(TIMES[:1]), available_at=TIMES[0], before=TIMES[0])
    state, grid = found.states[0], place[0].grid
    inside = grid.contains(state.layout.grid.latitude(), state.layout.grid.longitude())
    middle = state.channel("t2m")[0][torch.from_numpy(inside)]
    assert abs(float(middle.mean() - punctual.truth[0].channel("t2m").mean())) < 2.0
    assert found.static.orography.max() > 200.0
    assert 0.0 <= found.static.land_fraction.min() < 0.1 < 0.9 < found.static.land_fraction.max() <= 1.0


def test_late_files_hold_the_same_reports_as_punctual_ones(late, punctual):
    assert len(punctual.bulletins) == len(TIMES)
    assert late.station_table.read_bytes() == punctual.station_table.read_bytes()
    for time, bulletin in zip(TIMES, punctual.bulletins, strict=True):
        parts = [path for path in late.bulletins if time_in_name(path) == time]
        assert len(parts) > 3
        pd.testing.assert_frame_equal(read(parts, late, time), read([bulletin], punctual, time))


def test_a_late_file_has_the_time_at_which_it_arrived(late):
    for path in late.bulletins:
        time = time_in_name(path)
        arrived = np.datetime64(datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None), "ns")
        _, _, stated = path.stem.partition("_a")
        latest = time + int(stated[:2] or 0) * HOUR + int(stated[2:] or 0) * np.timedelta64(1, "m")
        assert arrived <= latest
        assert not stated or arrived > latest - QUARTER
        assert read([path], late, time)["valid_time"].max() <= arrived
    assert list(late.bulletins) == sorted(late.bulletins)


def test_a_known_share_of_reports_is_late():
    time = np.datetime64("2026-06-15T20:00", "ns")
    frame = pd.DataFrame({"valid_time": np.full(500, time), "received_time": time + np.timedelta64(5, "m")})
    found = pd.concat(with_late_ones([frame] * 40, generator=torch.Generator().manual_seed(0)))
    delay = (found["received_time"] - found["valid_time"]).dt.total_seconds().to_numpy() / 60
    assert abs((delay > 5).mean() - LATE_SHARE) < 0.006
    assert (delay[delay > 5].min(), delay.max()) == LATE_MINUTES
    assert set(delay[delay <= 5]) == {5}


def test_a_world_is_made_once(late, place, monkeypatch):
    monkeypatch.setattr(simulated_world, "simulate_runs", lambda *_, **__: pytest.fail("it was simulated again"))
    directory, settings = late.station_table.parent, replace(SETTINGS, late_reports=True)
    for again in (ensure_world(*place, TIMES, settings=settings, directory=directory), load_world(directory)):
        assert (again.times == TIMES).all()
        assert all(torch.equal(a.values, b.values) for a, b in zip(again.truth, late.truth, strict=True))
        for name in ("station_table", "bulletins", "backgrounds", "global_runs"):
            assert getattr(again, name) == getattr(late, name)
    for other in (replace(settings, seed=4), replace(settings, late_reports=False)):
        with pytest.raises(InputError, match="another simulated world, with other settings"):
            ensure_world(*place, TIMES, settings=other, directory=directory)
    with pytest.raises(InputError, match="with other times"):
        ensure_world(*place, TIMES[:-1], settings=settings, directory=directory)


def test_a_stored_world_is_the_one_that_was_simulated(late, punctual):
    assert (late.times == punctual.times).all()
    for found, expected in zip(late.truth, punctual.truth, strict=True):
        assert found.layout == expected.layout and found.valid_time == expected.valid_time
        torch.testing.assert_close(found.values, expected.values, rtol=1e-5, atol=2e-2)
    assert [path.name for path in late.backgrounds] == [path.name for path in punctual.backgrounds]
    stored = read_run(late.station_table.parent / NATURE)
    assert torch.isfinite(stored.background.values).all() and stored.boundary().static is not None


def test_a_world_cut_short_is_made_again(place, weather, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_world, "simulate_weather", lambda *_: weather)
    directory = tmp_path / "world"
    with monkeypatch.context() as broken:
        broken.setattr(simulated_world, "write_netcdf", refuse)
        with pytest.raises(InputError, match="disk is full"):
            ensure_world(*place, TIMES, settings=SETTINGS, directory=directory)
    with pytest.raises(InputError, match="no complete simulated world"):
        load_world(directory)
    stale = directory / "spool" / "metar_20200101T0000.txt"
    stale.write_text("METAR=")
    world = ensure_world(*place, TIMES, settings=SETTINGS, directory=directory)
    assert len(world.bulletins) == len(world.backgrounds) == len(world.truth) == len(TIMES)
    assert not stale.exists()


def refuse(*_: object) -> None:
    raise InputError("the disk is full")


def test_files_of_unknown_origin_are_left_alone(place, tmp_path):
    (tmp_path / "backgrounds").mkdir()
    with pytest.raises(InputError, match=r"holds backgrounds but no world\.json"):
        ensure_world(*place, TIMES, settings=SETTINGS, directory=tmp_path)
    assert (tmp_path / "backgrounds").is_dir()
