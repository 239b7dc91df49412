"""Solvers beyond what the methods' tests cover: rounding, tiles, and what cannot be solved."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.assimilation.correlation import BackgroundError, Places
from rtma_diffda.assimilation.posterior import AutomaticSolver, Evidence, ExactSolver, LocalSolver
from rtma_diffda.errors import InputError

SMOOTH = BackgroundError(std=2.0, horizontal_length=1e5, function="gaussian")


def places(position: np.ndarray) -> Places:
    zeros = torch.zeros(len(position), dtype=torch.float64)
    return Places(torch.from_numpy(position), zeros, zeros == 0, zeros)


def evidence(count: int = 300, *, error_variance: float = 0.25, seed: int = 0) -> Evidence:
    rng = np.random.default_rng(seed)
    position = rng.uniform(0, 4e5, (count, 2))
    innovations = np.sin(position[:, 0] / 9e4) + 0.1 * rng.normal(size=count)
    return Evidence(
        places(position), torch.full((count,), error_variance, dtype=torch.float64), torch.from_numpy(innovations)[None]
    )


def targets() -> Places:
    x, y = np.meshgrid(np.linspace(0, 4e5, 23), np.linspace(0, 4e5, 19))
    return places(np.column_stack([x.ravel(), y.ravel()]))


def test_all_data_in_every_tile_give_the_exact_solution():
    """With one datum fewer a tile than there are, tiles lack one far datum at most."""
    data = evidence(60)
    exact = ExactSolver().solve(SMOOTH, data, targets())
    local = LocalSolver(59, dtype=torch.float64).solve(SMOOTH, data, targets())
    torch.testing.assert_close(local.increment, exact.increment, rtol=0, atol=0.05)
    assert torch.equal(LocalSolver(60).solve(SMOOTH, data, targets()).increment, exact.increment)


def test_float32_tiles_agree_with_float64():
    narrow, wide = (
        LocalSolver(64, dtype=t).solve(SMOOTH, evidence(), targets()) for t in (torch.float32, torch.float64)
    )
    torch.testing.assert_close(narrow.increment, wide.increment, rtol=0, atol=2e-3)
    torch.testing.assert_close(narrow.variance, wide.variance, rtol=0, atol=2e-3)


def test_tiles_singular_in_float32_are_solved_in_float64():
    data = evidence(error_variance=1e-8)
    narrow, wide = (LocalSolver(64, dtype=t).solve(SMOOTH, data, targets()) for t in (torch.float32, torch.float64))
    assert bool(torch.isfinite(narrow.increment).all())
    torch.testing.assert_close(narrow.increment, wide.increment, rtol=0, atol=1e-6)


def test_what_cannot_be_solved_is_said():
    twice = np.repeat(np.array([[0.0, 0.0], [1e5, 0.0]]), 2, axis=0)
    data = Evidence(places(twice), torch.full((4,), -1.0, dtype=torch.float64), torch.ones(1, 4, dtype=torch.float64))
    with pytest.raises(InputError, match="covariance of 4 data is not positive definite"):
        ExactSolver().solve(SMOOTH, data, targets())


def test_automatic_solver_is_exact_up_to_its_limit():
    data = evidence()
    exact, local = ExactSolver(), LocalSolver(64)
    assert torch.equal(
        AutomaticSolver(300, local).solve(SMOOTH, data, targets()).increment,
        exact.solve(SMOOTH, data, targets()).increment,
    )
    assert torch.equal(
        AutomaticSolver(299, local).solve(SMOOTH, data, targets()).increment,
        local.solve(SMOOTH, data, targets()).increment,
    )


def test_chi_square_is_one_on_average_for_innovations_of_the_stated_covariance():
    rng, found = np.random.default_rng(1), []
    base = evidence(80)
    for _ in range(20):
        from_prior = ExactSolver()
        draw = torch.from_numpy(rng.normal(size=80)) * (4.0 + 0.25) ** 0.5
        uncorrelated = replace(SMOOTH, horizontal_length=1.0)
        found.append(from_prior.solve(uncorrelated, replace(base, innovations=draw[None]), targets()).chi_square)
    assert np.mean(found) == pytest.approx(1.0, abs=0.1)
