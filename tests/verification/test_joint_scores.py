"""Energy and variogram score: by hand, fair, closed forms against integrals and draws, and what they can tell apart."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from rtma_diffda.verification.ensemble_scores import Departures, crps, gaussian_crps
from rtma_diffda.verification.joint_scores import (
    Pairs,
    absolute_moment,
    block_energy_score,
    drawn_members,
    energy_score,
    variogram_score,
)

ONE_PAIR = Pairs(np.array([0]), np.array([1]), np.array([1.0]))
KM_PER_DEGREE = 6371.2 * np.pi / 180.0


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def correlated(rng: np.random.Generator, draws: int, *, length: float = 40.0) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 2) in degrees and unit errors (draws, n) with correlation exp(−d / length km)."""
    places = rng.uniform(0.0, 2.0, (40, 2))
    distance = KM_PER_DEGREE * np.linalg.norm(places[:, None] - places, axis=-1)
    root = np.linalg.cholesky(np.exp(-distance / length) + 1e-9 * np.eye(40))
    return places, rng.normal(size=(draws, 40)) @ root.T


def test_energy_score_by_hand():
    # Norms of (3, 4) and (0, 0) are 5/√2 and 0, and 5/√2 lies between them: 5/(2√2) − 5/(2√2).
    assert energy_score(np.array([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(0.0)
    # Norms 1, 1 and 3; between them 2, √10 and √10: 5/3 − (2 + 2√10)/6.
    three = np.array([[1.0, 1.0], [-1.0, -1.0], [3.0, -3.0]])
    assert energy_score(three) == pytest.approx((4.0 - np.sqrt(10.0)) / 3.0)
    assert energy_score(np.array([[3.0, 4.0]])) == pytest.approx(5.0 / np.sqrt(2.0))  # a point
    both = energy_score(np.stack([three, 2.0 * three], axis=1))
    assert both == pytest.approx([(4.0 - np.sqrt(10.0)) / 3.0, (8.0 - 2.0 * np.sqrt(10.0)) / 3.0])


def test_energy_score_of_one_place_is_the_fair_crps():
    errors = np.random.default_rng(0).normal(size=(5, 20))
    assert energy_score(errors[:, :, None]) == pytest.approx(crps(Departures(errors)))


def test_variogram_score_by_hand():
    truth = np.array([0.0, 4.0])  # v = 2

    def score(*differences: float) -> float:
        members = np.array([[0.0, difference] for difference in differences])
        return variogram_score(Departures(members - truth), truth, ONE_PAIR)

    assert score(1.0, 9.0) == pytest.approx((2.0 - 1.0) * (2.0 - 3.0))
    # Powers 1, 2 and 6: mean 3, variance 7; (2 − 3)² − 7/3.
    assert score(-1.0, 4.0, 36.0) == pytest.approx(-4.0 / 3.0)
    assert score(25.0) == pytest.approx(9.0)  # a point
    weighted = Pairs(np.array([0, 0]), np.array([1, 2]), np.array([0.25, 0.75]))
    truth = np.array([0.0, 4.0, 0.0])
    said = Departures(np.array([[0.0, 25.0, 1.0]]) - truth)
    assert variogram_score(said, truth, weighted) == pytest.approx(0.25 * 9.0 + 0.75 * 1.0)
    assert np.isnan(variogram_score(said, truth, Pairs.of(np.zeros(3), np.array([0.0, 2.0, 4.0]))))


def test_pairs_are_near_and_weigh_by_distance():
    longitude = np.array([0.0, 0.3, 0.9, 0.3, 5.0])  # the second and the fourth are one place; the last is alone
    pairs = Pairs.of(np.zeros(5), longitude)
    found = {(min(a, b), max(a, b)): w for a, b, w in zip(pairs.first, pairs.second, pairs.weight, strict=True)}
    assert set(found) == {(0, 1), (0, 3), (1, 2), (2, 3)}  # 0.9° are 100.07 km: too far
    assert found[0, 1] / found[1, 2] == pytest.approx(2.0)
    assert pairs.weight.sum() == pytest.approx(1.0)
    close = Pairs.of(np.zeros(3), np.array([0.0, 0.001, 0.5]))  # 0.1 km weigh as if they were 5 km
    assert close.weight.max() / close.weight.min() == pytest.approx(0.5 * KM_PER_DEGREE / 5.0)


@pytest.mark.parametrize("order", [0.5, 1.0, 1.7])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.7, 0.3), (5.0, 2.0), (3.0, 0.05)])
def test_absolute_moment_is_the_integral(mean, std, order):
    x = np.linspace(mean - 12 * std, mean + 12 * std, 400_001)
    expected = np.trapezoid(np.abs(x) ** order * norm.pdf(x, mean, std), x)
    assert absolute_moment(np.array([mean]), np.array([std]), order)[0] == pytest.approx(expected, rel=1e-6)


def test_absolute_moment_of_what_is_certain():
    found = absolute_moment(np.array([4.0, -9.0, 0.0, 4.0]), np.array([0.0, 1e-9, 0.0, 1e-300]), 0.5)
    assert found == pytest.approx([2.0, 3.0, 0.0, 2.0])


def test_closed_form_is_what_many_drawn_members_get():
    rng = np.random.default_rng(1)
    truth, std = rng.normal(0.0, 2.0, 6), rng.uniform(0.5, 2.0, 6)
    stated = Departures(rng.normal(size=(1, 6)), std)
    pairs = Pairs.of(rng.uniform(0.0, 0.5, 6), rng.uniform(0.0, 0.5, 6))
    drawn = Departures(drawn_members(stated, count=200_000, generator=generator()))
    assert variogram_score(stated, truth, pairs) == pytest.approx(variogram_score(drawn, truth, pairs), abs=2e-3)


def test_few_members_get_on_average_what_many_get():
    rng = np.random.default_rng(2)
    truth, stated = rng.normal(size=5), Departures(rng.normal(size=(1, 5)), np.ones(5))
    pairs = Pairs.of(np.zeros(5), 0.1 * np.arange(5))
    many = drawn_members(stated, count=16_000, generator=generator())
    for members in (2, 8):
        groups = many.reshape(-1, members, 5)
        energy = [float(energy_score(group)) for group in groups]
        variogram = [variogram_score(Departures(group), truth, pairs) for group in groups]
        assert np.mean(energy) == pytest.approx(float(energy_score(many[:2000])), abs=0.02)
        assert np.mean(variogram) == pytest.approx(variogram_score(stated, truth, pairs), abs=0.01)


def test_only_gaussians_are_drawn_from():
    point, ensemble = Departures(np.ones((1, 3))), Departures(np.ones((4, 3)), np.ones(3))
    assert drawn_members(point, count=8, generator=generator()) is point.errors
    assert drawn_members(ensemble, count=8, generator=generator()) is ensemble.errors
    gaussian = Departures(np.array([[5.0, -5.0]]), np.array([0.0, 2.0]))
    drawn = drawn_members(gaussian, count=8, generator=generator(3))
    assert drawn.shape == (8, 2)
    assert (drawn[:, 0] == 5.0).all()
    assert drawn.tolist() == drawn_members(gaussian, count=8, generator=generator(3)).tolist()
    one = drawn_members(Departures(np.array([[0.7]]), np.array([1.3])), count=2000, generator=generator())
    assert energy_score(one) == pytest.approx(gaussian_crps(np.array([0.7]), np.array([1.3]))[0], abs=0.03)


def test_joint_scores_see_what_the_crps_does_not():
    """A right ensemble, the same with its members shuffled at every place, and the right Gaussian at every place."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(60):
        places, draws = correlated(rng, 9)
        truth, members = draws[0], draws[1:]
        right, shuffled = Departures(members - truth), Departures(rng.permuted(members, axis=0) - truth)
        alone = Departures(-truth[None], np.ones(40))
        assert crps(right) == pytest.approx(crps(shuffled))
        pairs = Pairs.of(*places.T)
        energy = [
            float(energy_score(drawn_members(said, count=8, generator=generator()))) for said in (right, shuffled)
        ]
        found.append([*energy, *(variogram_score(said, truth, pairs) for said in (right, shuffled, alone))])
    energy, energy_shuffled, right, shuffled, alone = np.mean(found, axis=0)
    assert energy < energy_shuffled
    assert right < 0.9 * min(shuffled, alone)
    assert shuffled == pytest.approx(alone, rel=0.1)


def test_blocks_are_scored_by_themselves():
    rng = np.random.default_rng(4)
    errors = rng.normal(size=(3, 5, 7))
    squares = [errors[:, y : y + 2, x : x + 2].reshape(3, 4) for y in (0, 2) for x in (0, 2, 4)]
    assert block_energy_score(errors, size=2) == pytest.approx(np.mean([energy_score(square) for square in squares]))
    assert block_energy_score(errors) == pytest.approx(float(energy_score(errors.reshape(3, 35))))
