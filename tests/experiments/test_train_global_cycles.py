"""B of the backgrounds of cycles on the toy globe: larger than that of one step, repeatable, stored and read."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffda_world import FIRST, GRID, STDS, STEP, toy_bench, true_fields

from rtma_diffda.assimilation.sphere_covariance import channel_variance, stored_tensors
from rtma_diffda.assimilation.sphere_fitting import fit_sphere_covariance
from rtma_diffda.assimilation.sphere_mixtures import SphereFitting
from rtma_diffda.assimilation.sphere_optimal_interpolation import SphereOptimalInterpolation
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.train_global_cycles import (
    _background_errors,
    cycled_checkpoint,
    cycled_covariance,
    read_cycled_covariance,
)
from rtma_diffda.experiments.train_global_settings import CycledSettings
from rtma_diffda.io.checkpoint import write_checkpoint

FITTING = SphereFitting(coupled=0)
SCALE = STDS.flatten().double()
SETTINGS = CycledSettings(sequences=4, cycles=10, spin_up=4, columns=(6,), rounds=1)


@pytest.fixture(scope="module")
def begun():
    """B of one step's errors, which are a tenth of those of many."""
    fields = true_fields(60, seed=5)
    steps = STDS * (fields[1:] - fields[:-1].roll(1, dims=-1))
    return fit_sphere_covariance(steps, GRID, SCALE, FITTING)


def fitted(world, begun, **changes):
    within = (FIRST, FIRST + 200 * STEP)
    return cycled_covariance(world, begun, replace(SETTINGS, **changes), within=within, fitting=FITTING, seed=3)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return toy_bench(tmp_path_factory.mktemp("cycles")).world


def test_backgrounds_of_cycles_carry_more_error_than_one_step(world, begun):
    found = fitted(world, begun)
    assert torch.equal(found.scale, begun.scale) and found.shape == begun.shape
    assert (channel_variance(found).mean(dim=1) > 2.0 * channel_variance(begun).mean(dim=1)).all()


def test_the_same_seed_gives_the_same_bits(world, begun):
    first, second = (stored_tensors(fitted(world, begun)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_fixed_columns_stay_and_new_ones_move(tmp_path, begun):
    bench, method = toy_bench(tmp_path), SphereOptimalInterpolation(begun, False)
    seen = []

    class Watched:
        def analyse(self, problem, *, generator):
            seen.append(problem.observations.longitude.tolist())
            return method.analyse(problem, generator=generator)

    for fixed in (True, False):
        seen.clear()
        cycles = _background_errors(bench, Watched(), FIRST + 12 * STEP, count=5, fixed=fixed)
        errors = [next(cycles) for _ in range(4)]
        assert len(seen) == 3 and (seen[0] == seen[2]) == fixed
        assert all(error.shape == (2, *GRID.shape) for error in errors)


def test_what_was_written_is_read_again(tmp_path, begun):
    write_checkpoint(
        tmp_path / "cycles", cycled_checkpoint(begun, SETTINGS, {"seed": 1}), created="2026-01-01T00:00:00Z"
    )
    found, stored = read_cycled_covariance(tmp_path / "cycles"), stored_tensors(begun)
    assert all(torch.equal(values, stored[name]) for name, values in stored_tensors(found).items())
    card = (tmp_path / "cycles" / "MODEL_CARD.md").read_text()
    assert "4 sequences" in card and "first 4 of 10 cycles" in card


def test_another_checkpoint_is_refused(tmp_path, begun):
    other = replace(cycled_checkpoint(begun, SETTINGS, {}), config={"architecture": "denoiser"})
    write_checkpoint(tmp_path / "other", other, created="2026-01-01T00:00:00Z")
    with pytest.raises(InputError, match="holds a 'denoiser'"):
        read_cycled_covariance(tmp_path / "other")


@pytest.mark.parametrize("wrong", [{"spin_up": 10}, {"rounds": 0}, {"columns": (0,)}, {"cycles": 2}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(UsageError, match=r"globe\.cycled"):
        replace(SETTINGS, **wrong)


def test_too_short_a_truth_is_told(world, begun):
    with pytest.raises(InputError, match="are wanted"):
        cycled_covariance(
            world, begun, replace(SETTINGS, sequences=4000), within=(FIRST, FIRST + np.timedelta64(9, "D"))
        )
