"""Block bootstrap: known spread of a mean over independent blocks, pairing, blocks of space × time, seeds."""

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import UsageError
from rtma_diffda.verification.bootstrap import BlockBootstrap, block_codes, percentile_interval, resampled_means


def dependent_errors(rng: np.random.Generator, blocks: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors that a whole block shares (variance 1) plus a part of their own (variance 0.25)."""
    codes = np.repeat(np.arange(blocks), size)
    return rng.normal(size=blocks)[codes] + 0.5 * rng.normal(size=codes.size), codes


def test_spread_of_the_mean_is_that_of_independent_blocks():
    values, codes = dependent_errors(np.random.default_rng(1), blocks=400, size=5)
    replicates = resampled_means(values[:, None], codes, bootstrap=BlockBootstrap(iterations=4000))
    block_means = values.reshape(400, 5).mean(axis=1)
    assert replicates.mean() == pytest.approx(values.mean(), abs=0.005)
    assert replicates.std() == pytest.approx(block_means.std() / 20.0, rel=0.05)


def test_interval_covers_the_truth_as_often_as_it_says_and_single_data_would_not():
    """True mean 0; 60 blocks of 8. Nominal 90 %: percentile intervals of 60 blocks come a little short of it."""
    rng = np.random.default_rng(2)
    bootstrap = BlockBootstrap(iterations=300, confidence=0.9)
    covered = np.zeros((200, 2), bool)
    for case in range(200):
        values, codes = dependent_errors(rng, blocks=60, size=8)
        for k, labels in enumerate((codes, np.arange(codes.size))):
            low, high = percentile_interval(resampled_means(values[:, None], labels, bootstrap=bootstrap), bootstrap)
            covered[case, k] = low[0] <= 0.0 <= high[0]
    by_block, by_datum = covered.mean(axis=0)
    assert 0.84 <= by_block <= 0.95
    assert by_datum < 0.6


def test_weights_multiply_rows():
    values = np.array([1.0, 3.0, 10.0])
    repeated = resampled_means(
        np.array([[1.0], [3.0], [3.0], [10.0]]), np.array([0, 0, 0, 1]), bootstrap=BlockBootstrap()
    )
    weighted = resampled_means(
        values[:, None], np.array([0, 0, 1]), bootstrap=BlockBootstrap(), weights=np.array([1.0, 2.0, 1.0])
    )
    assert np.allclose(repeated, weighted)
    assert set(np.round(np.unique(weighted), 6)) == {round(7 / 3, 6), 4.25, 10.0}


def test_columns_are_drawn_together_and_the_seed_decides():
    values, codes = dependent_errors(np.random.default_rng(3), blocks=20, size=3)
    both = np.stack([values, 2.0 * values], axis=1)
    first, again = (resampled_means(both, codes, bootstrap=BlockBootstrap(seed=7)) for _ in range(2))
    assert np.allclose(first[:, 1], 2.0 * first[:, 0])
    assert (first == again).all()
    assert (resampled_means(both, codes, bootstrap=BlockBootstrap(seed=8)) != first).any()


def test_many_blocks_are_drawn_in_parts_without_changing_the_draws(monkeypatch):
    values, codes = dependent_errors(np.random.default_rng(4), blocks=30, size=2)
    whole = resampled_means(values[:, None], codes, bootstrap=BlockBootstrap(iterations=50))
    monkeypatch.setattr("rtma_diffda.verification.bootstrap._COUNTS_AT_ONCE", 30 * 7)
    assert np.allclose(resampled_means(values[:, None], codes, bootstrap=BlockBootstrap(iterations=50)), whole)


def test_blocks_are_of_space_and_time():
    pairs = pd.DataFrame(
        {
            "latitude": [45.1, 45.9, 46.1, 45.1, 45.1],
            "longitude": [10.1, 10.9, 10.1, 10.1, 10.1],
            "valid_time": pd.to_datetime(
                ["2026-01-01T00:00", "2026-01-01T23:59", "2026-01-01T00:00", "2026-01-02T00:00", "2026-01-01T12:00"]
            ),
        }
    )
    assert block_codes(pairs, BlockBootstrap(block_degrees=1.0)).tolist() == [0, 0, 2, 1, 0]
    assert block_codes(pairs, BlockBootstrap(block_degrees=1.0, period=None)).tolist() == [0, 0, 1, 0, 0]
    assert block_codes(pairs, BlockBootstrap(block_degrees=None)).tolist() == [0, 0, 0, 1, 0]
    halves = BlockBootstrap(block_degrees=None, period=np.timedelta64(12, "h"))
    assert block_codes(pairs, halves).tolist() == [0, 1, 0, 2, 1]


def test_method_in_words_and_refusals():
    words = BlockBootstrap(block_degrees=0.5, confidence=0.9).describe()
    assert words == "90 % intervals by 1,000 resamplings of 0.5° blocks of stations × periods of 1 day"
    with pytest.raises(UsageError, match="in space, in time, or in both"):
        BlockBootstrap(block_degrees=None, period=None)
    with pytest.raises(UsageError, match="0 < confidence < 1"):
        BlockBootstrap(confidence=95)
