"""Defaults exist for every variable, and scale with the region."""

from dataclasses import replace

import torch

from rtma_diffda.assimilation.defaults import (
    default_background_error,
    default_background_errors,
    default_structures,
    starts_for,
)
from rtma_diffda.assimilation.observation_interpolation import ObservationInterpolation
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.fields.layout import Layout
from rtma_diffda.variables import VARIABLES


def test_every_variable_has_a_background_error_and_a_structure(make_problem):
    problem, static = make_problem()
    layout = Layout.of(problem.background.layout.grid, VARIABLES)
    assert set(default_background_errors(layout)) == set(default_structures(layout)) == set(VARIABLES)
    ObservationInterpolation(static, default_structures(layout))


def test_lengths_scale_with_the_region(make_problem):
    grid = make_problem()[0].background.layout.grid
    wide = replace(grid, dx=10 * grid.dx, dy=10 * grid.dy)
    ratio = (
        default_background_error("t2m", wide).horizontal_length
        / default_background_error("t2m", grid).horizontal_length
    )
    assert 5.0 < ratio <= 10.0


def test_defaults_improve_on_the_background_before_any_tuning(make_problem):
    """A background that is 3 K too warm everywhere is drawn most of the way to data that say so."""
    problem, static = make_problem(count=60)
    truth = problem.operator(problem.background.values, problem.observations)[0]
    problem = replace(problem, observations=replace(problem.observations, value=truth - 3.0))
    errors = default_background_errors(problem.background.layout)
    found = OptimalInterpolation(static, errors).analyse(problem, generator=torch.Generator())
    assert -3.2 < float(found.increment().mean()) < -1.8


def test_starts_name_the_default_and_the_classical_form(make_problem):
    grid = make_problem()[0].background.layout.grid
    full, classical = starts_for(["t2m"], grid)["t2m"]
    assert full.depends_on_background and not classical.depends_on_background
