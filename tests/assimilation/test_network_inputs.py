from dataclasses import replace

import numpy as np
import pytest
import torch
from regression_world import ENCODING, ERRORS, FEW, GRID, LAYOUT, NAMES, SCALES, STATIC, pairs_of
from test_simulated_observing import as_observations

from rtma_diffda.assimilation.network_inputs import InputEncoding
from rtma_diffda.assimilation.rotation import turned
from rtma_diffda.assimilation.simulated_observing import Reports, Stations, observe
from rtma_diffda.errors import UsageError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.times import Window

BLIND = replace(ENCODING, observations=False)
TOLD = replace(ENCODING, large_scale=True)
ALIKE = replace(ENCODING, background_errors={**ERRORS, "v10m": ERRORS["u10m"]})


def problem_of(batch, reports) -> AssimilationProblem:
    """The problem that the first member of a batch and its reports make."""
    observations, time = as_observations(reports.stations), batch.valid_time[0]
    operator, background = BilinearOperator(LAYOUT, STATIC), State(batch.background[:1].double(), LAYOUT, time)
    expected = operator(background.values, observations)[0]
    observations = replace(
        observations,
        value=expected + reports.innovation.double().flatten(),
        error_std=reports.error_std.double().flatten(),
    )
    return AssimilationProblem(background, observations, operator, Window.around(time, np.timedelta64(1, "h")))


def test_training_and_analysis_see_the_same_inputs():
    """A batch with its reports, and the problem that they make, are encoded alike."""
    batch = pairs_of(1)
    reports = observe(batch, FEW, generator=torch.Generator().manual_seed(1))
    ours = ENCODING.of_batch(batch, reports)
    theirs, error_std = ENCODING.of_problem(problem_of(batch, reports[0]), STATIC)
    torch.testing.assert_close(ours.context, theirs.context, rtol=0, atol=1e-3)
    torch.testing.assert_close(ours.observed, theirs.observed, rtol=0, atol=0.02)
    torch.testing.assert_close(ours.increment, theirs.increment, rtol=0, atol=5e-3)
    assert error_std.shape == LAYOUT.shape
    assert ours.context.shape[1] == ENCODING.context_count
    assert ours.observed.shape[1] == ENCODING.observed_count == 20


def test_without_observations_only_the_background_is_seen():
    batch = pairs_of(2)
    inputs = BLIND.of_batch(batch, [])
    assert inputs.observed.shape[1] == BLIND.observed_count == 0
    assert float(inputs.increment.abs().max()) == 0.0
    torch.testing.assert_close(inputs.side_by_side(), inputs.context)


def test_observing_nothing_gives_nought_everywhere():
    batch = pairs_of(1)
    nothing = replace(FEW, none_share=1.0)
    inputs = ENCODING.of_batch(batch, observe(batch, nothing, generator=torch.Generator()))
    assert float(inputs.observed.abs().max()) == 0.0
    problem = problem_of(batch, observe(batch, FEW, generator=torch.Generator())[0])
    problem = replace(problem, observations=problem.observations.select(np.zeros(0, int)))
    assert float(ENCODING.of_problem(problem, STATIC)[0].observed.abs().max()) < 1e-6


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_inputs_are_the_inputs_of_the_turned_world(turns):
    batch = pairs_of(1)
    reports = observe(batch, FEW, generator=torch.Generator().manual_seed(1))
    there, reported = batch, reports[0]
    for _ in range(turns):
        there, reported = quarter_turn(there, reported)
    expected, found = ALIKE.of_batch(there, [reported]), ALIKE.turned(ALIKE.of_batch(batch, reports), turns)
    torch.testing.assert_close(found.context, expected.context, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.observed[:, :15], expected.observed[:, :15], rtol=0, atol=5e-3)
    # the explained share is sampled beside the middle of squares, and so on the other side of it in a turned world
    pair = torch.stack([part.observed[:, 15:].flatten() for part in (found, expected)])
    assert float(torch.corrcoef(pair)[0, 1]) > 0.7
    torch.testing.assert_close(found.increment, expected.increment, rtol=0, atol=5e-3)


def quarter_turn(batch, reports):
    """The world clockwise by 90°, written out: (row, column) → (last − column, row), (u, v) → (v, −u)."""
    fields = {name: turned(getattr(batch, name), 1, vectors=[(2, 3)]) for name in ("truth", "background")}
    ground = {name: torch.rot90(getattr(batch, name), dims=(-2, -1)) for name in ("orography", "land_fraction")}
    old, last = reports.stations, GRID.nx - 1
    row, column = old.points // GRID.nx, old.points % GRID.nx
    position = torch.stack([old.position[:, 1], last * 1e4 - old.position[:, 0]], dim=1)
    stations = Stations(position, (last - column) * GRID.nx + row, old.weights, old.height)
    observed = {}
    for name in ("background", "innovation"):
        values = getattr(reports, name)
        observed[name] = torch.stack([values[0], values[1], values[3], -values[2], values[4]])
    swapped = reports.error_std[[0, 1, 3, 2, 4]]
    return replace(batch, **fields, **ground), Reports(
        stations, observed["background"], observed["innovation"], swapped
    )


def test_unknown_terrain_counts_as_flat_land():
    batch = pairs_of(1)
    problem = problem_of(batch, observe(batch, FEW, generator=torch.Generator())[0])
    bare = StaticFields(GRID)
    problem = replace(problem, operator=BilinearOperator(LAYOUT, bare))
    context = ENCODING.of_problem(problem, bare)[0].context
    assert float(context[:, 6:10].abs().max()) == 0.0
    assert float(context[:, 10].min()) == 1.0


def test_other_variables_are_refused():
    batch = pairs_of(1)
    other = replace(batch, layout=Layout.of(GRID, ("d2m", "t2m", "u10m", "v10m", "sp")))
    with pytest.raises(UsageError, match=r"in that order; found d2m, t2m"):
        ENCODING.of_batch(other, [])


def test_impossible_encodings_are_refused():
    with pytest.raises(UsageError, match="must be positive"):
        InputEncoding({"t2m": 0.0}, ERRORS)
    with pytest.raises(UsageError, match="no background error for"):
        InputEncoding(SCALES, {"t2m": ERRORS["t2m"]})
    assert InputEncoding(SCALES, {}, observations=False).names == NAMES


def test_the_large_scale_is_the_global_state_less_the_background_and_a_flag():
    batch = pairs_of(2)
    truth = batch.background + torch.tensor(list(SCALES.values()))[:, None, None]
    reports = observe(batch, replace(FEW, none_share=1.0), generator=torch.Generator())
    inputs = TOLD.of_batch(replace(batch, large_scale=truth), reports)
    assert inputs.large_scale.shape[1] == TOLD.large_scale_count == len(NAMES) + 1
    torch.testing.assert_close(inputs.large_scale, torch.ones_like(inputs.large_scale), rtol=0, atol=1e-3)
    assert inputs.side_by_side().shape[1] == TOLD.context_count + TOLD.observed_count + TOLD.large_scale_count


def test_where_there_is_no_global_run_the_large_scale_is_nought():
    batch = pairs_of(1)
    reports = observe(batch, FEW, generator=torch.Generator().manual_seed(1))
    for inputs in (TOLD.of_batch(batch, reports), TOLD.of_problem(problem_of(batch, reports[0]), STATIC)[0]):
        assert inputs.large_scale.shape[1] == TOLD.large_scale_count and not inputs.large_scale.any()
    untold = ENCODING.of_batch(replace(batch, large_scale=batch.truth), reports)
    assert untold.large_scale.shape[1] == 0


def test_training_and_analysis_are_told_the_same_large_scale():
    batch = pairs_of(1)
    reports = observe(batch, FEW, generator=torch.Generator().manual_seed(1))
    problem = problem_of(batch, reports[0])
    time = problem.background.valid_time
    boundary = Boundary((State(batch.truth, LAYOUT, time),), time, "global", STATIC)
    theirs, _ = TOLD.of_problem(replace(problem, boundary=boundary), STATIC)
    ours = TOLD.of_batch(replace(batch, large_scale=batch.truth), reports)
    torch.testing.assert_close(ours.large_scale, theirs.large_scale, rtol=0, atol=2e-3)


def test_a_turned_world_has_a_turned_large_scale():
    batch = pairs_of(1)
    reports = observe(batch, replace(FEW, none_share=1.0), generator=torch.Generator())
    inputs = TOLD.of_batch(replace(batch, large_scale=batch.truth), reports)
    once = TOLD.turned(inputs, 1).large_scale
    u, v = NAMES.index("u10m"), NAMES.index("v10m")
    torch.testing.assert_close(once[:, u], torch.rot90(inputs.large_scale[:, v], 1, dims=(-2, -1)))
    torch.testing.assert_close(once[:, v], -torch.rot90(inputs.large_scale[:, u], 1, dims=(-2, -1)))
    four = TOLD.turned(TOLD.turned(inputs, 3), 1).large_scale
    torch.testing.assert_close(four, inputs.large_scale)
