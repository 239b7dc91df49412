"""GraphCast as the global model that forces a limited area."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from global_world import FIRST, SIX_HOURS, global_dataset, small_globe, small_network, small_static, write_store

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.boundary import surrounding
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.graphcast import GraphCastForecast
from rtma_diffda.forecast.graphcast_runs import GraphCastRuns
from rtma_diffda.forecast.steps import forecast_states
from rtma_diffda.geo.boundary_points import boundary_grid
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.regrid.regridder import Regridder
from rtma_diffda.io.weatherbench import open_archive

HOUR = np.timedelta64(1, "h")
REGION = load_region("demo")
LAYOUT = Layout.of(boundary_grid(REGION.grid, spacing=30_000.0, width=90_000.0), REGION.variables)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    dataset = global_dataset(times=6)
    dataset["geopotential_at_surface"] /= 10.0
    return open_archive(write_store(tmp_path_factory.mktemp("wb2") / "analyses.zarr", dataset))


@dataclass
class Counted:
    """GraphCast, with the number of its steps."""

    model: GraphCastForecast
    steps: list = field(default_factory=list)

    def __post_init__(self):
        self.layout, self.time_step, self.history_length = self.model.layout, self.model.time_step, 2

    def step(self, history, boundary, *, generator):
        self.steps.append(history[-1].valid_time)
        return self.model.step(history)


def runs_of(archive, **changes):
    model = Counted(GraphCastForecast(small_network(seed=5).eval()))
    analyses = archive.selected(model.model.network.keys)
    return GraphCastRuns(
        **{"analyses": analyses, "model": model, "layout": LAYOUT, "latency": 4 * HOUR, "steps": 6, **changes}
    )


def on_boundary(values):
    """Bilinear at the points of the boundary grid."""
    return Regridder.between(small_globe(), LAYOUT.grid, method="bilinear")(values)


def test_boundary_states_are_those_of_the_roll_out_on_the_boundary_grid(archive):
    runs = runs_of(archive)
    times = FIRST + np.array([9, 22]) * HOUR
    found = runs.bracketing(surrounding(times), available_at=FIRST + 11 * HOUR, before=FIRST + 9 * HOUR)
    assert found.initial_time == FIRST + SIX_HOURS and found.source == "graphcast"
    assert (found.valid_times == FIRST + np.array([6, 12, 18, 24]) * HOUR).all()
    analyses = runs.analyses
    history = (analyses.state(FIRST), analyses.state(FIRST + SIX_HOURS))
    expected = (history[1], *forecast_states(runs.model, history, None, steps=3))
    for state, whole in zip(found.states, expected, strict=True):
        assert state.layout == LAYOUT
        for name in ("t2m", "u10m", "v10m"):
            globe = whole.channel(name)[0].double().numpy()
            assert np.allclose(state.channel(name)[0], on_boundary(globe), atol=2e-3), name
        t2m, msl = (whole.channel(name)[0].double().numpy() for name in ("t2m", "msl"))
        warming = 0.0065 * analyses.static.orography
        assert np.allclose(state.channel("sp")[0], on_boundary(msl * (t2m / (t2m + warming)) ** 5.2559), atol=0.5)
        assert (state.channel("d2m") <= state.channel("t2m") + 1e-3).all()
    assert np.allclose(found.static.orography, on_boundary(analyses.static.orography), atol=1e-6)


def test_a_run_that_had_not_arrived_is_not_used(archive):
    runs = runs_of(archive)
    need = surrounding(np.atleast_1d(FIRST + 19 * HOUR))
    early, late = (runs.bracketing(need, available_at=FIRST + hours * HOUR) for hours in (15, 16))
    assert early.initial_time == FIRST + 6 * HOUR
    assert late.initial_time == FIRST + 12 * HOUR
    strict = runs.bracketing(need, available_at=FIRST + 40 * HOUR, before=FIRST + 18 * HOUR)
    assert strict.initial_time == FIRST + 12 * HOUR
    with pytest.raises(InputError, match=r"none of the 5 runs of graphcast, of .* is old enough"):
        runs.bracketing(need, available_at=FIRST + 9 * HOUR)


def test_only_the_steps_that_are_asked_for_are_made(archive):
    runs = runs_of(archive)
    assert len(runs.runs()) == 5 and runs.model.steps == []
    moment = {"available_at": FIRST + 10 * HOUR}
    first = runs.bracketing(surrounding(np.atleast_1d(FIRST + 13 * HOUR)), **moment)
    assert len(runs.model.steps) == 2
    second = runs.bracketing(surrounding(np.atleast_1d(FIRST + 20 * HOUR)), **moment)
    assert len(runs.model.steps) == 3
    assert torch.equal(first.states[-1].values, second.states[0].values)


def test_runs_begin_at_the_hours_of_the_interval_where_a_history_is(archive):
    times = [run.initial_time for run in runs_of(archive, run_interval=12 * HOUR).runs()]
    assert times == [FIRST + 12 * HOUR, FIRST + 24 * HOUR]


def test_an_older_run_serves_where_an_analysis_is_broken(archive):
    class Broken:
        valid_times, static = archive.valid_times, archive.static

        def state(self, time):
            if time == FIRST + 12 * HOUR:
                raise InputError("the analysis is damaged")
            return whole.analyses.state(time)

    whole, runs = runs_of(archive), runs_of(archive, analyses=Broken())
    need = surrounding(np.atleast_1d(FIRST + 19 * HOUR))
    for _ in range(2):
        found = runs.bracketing(need, available_at=FIRST + 18 * HOUR)
        assert found.initial_time == FIRST + 6 * HOUR


def test_a_run_that_does_not_reach_is_told(archive):
    with pytest.raises(InputError, match="none of the 5 usable runs of graphcast has what is needed"):
        runs_of(archive, steps=1).bracketing(
            surrounding(np.atleast_1d(FIRST + 90 * HOUR)), available_at=FIRST + 70 * HOUR
        )


def test_members_stay_members(archive):
    runs = runs_of(archive)

    class Ensemble:
        valid_times, static = archive.valid_times, small_static()

        def state(self, time):
            one = runs.analyses.state(time)
            return State(torch.cat([one.values, one.values + 0.1]), one.layout, one.valid_time)

    found = runs_of(archive, analyses=Ensemble()).bracketing(
        surrounding(np.atleast_1d(FIRST + 8 * HOUR)), available_at=FIRST + 10 * HOUR
    )
    assert [state.members for state in found.states] == [2, 2]
    assert not torch.equal(found.states[1].values[0], found.states[1].values[1])


def test_settings_that_make_no_sense_are_refused(archive):
    for changes in ({"latency": -HOUR}, {"steps": 0}, {"run_interval": 0 * HOUR}):
        with pytest.raises(UsageError, match="global runs need"):
            runs_of(archive, **changes)
