from dataclasses import replace

import numpy as np
import pytest
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.data_set import BATCH, DataSetDesign, RunCounts, run_generator, run_static, run_times

TINY = DataSetDesign(name="tiny", region="osse_tiny", hours=12, lags=(3,), runs=RunCounts(4, 2, 2))


def draw(*where):
    return torch.rand(3, generator=run_generator(*where)).tolist()


def test_every_run_split_seed_and_kind_of_draw_has_numbers_of_its_own():
    base = (1, "test", 0, "weather")
    others = [
        (2, "test", 0, "weather"),
        (1, "train", 0, "weather"),
        (1, "test", 1, "weather"),
        (1, "test", 0, "terrain"),
    ]
    assert draw(*base) == draw(*base)
    assert all(draw(*base) != draw(*other) for other in others)


def test_runs_have_their_own_terrain_and_a_region_may_lend_its():
    first, again, second = (run_static(TINY, 1, "test", number) for number in (0, 0, 1))
    np.testing.assert_array_equal(first.orography, again.orography)
    assert not np.array_equal(first.orography, second.orography)
    assert not np.array_equal(first.orography, run_static(TINY, 2, "test", 0).orography)
    lent = [run_static(replace(TINY, region="demo", terrain="region"), 1, "test", n).orography for n in (0, 1)]
    np.testing.assert_array_equal(*lent)


def test_runs_of_a_batch_share_their_date_and_begin_at_midnight():
    times = [run_times(TINY, 1, "train", number) for number in range(2 * BATCH)]
    assert all(np.array_equal(times[0], other) for other in times[1:BATCH])
    assert not np.array_equal(times[0], times[BATCH])
    assert times[0][0] == times[0][0].astype("datetime64[D]") and len(times[0]) == 12
    assert (np.diff(times[0]) == np.timedelta64(1, "h")).all()


def test_intervals_shorter_than_an_hour_give_more_states():
    assert len(run_times(replace(TINY, interval_minutes=15), 1, "test", 0)) == 48


def test_a_data_set_is_claimed_once_and_recognised(tmp_path):
    design = replace(TINY, directory=str(tmp_path))
    path = design.claim(1, {"nature": "x"})
    assert path == tmp_path / "tiny" / "seed_1" and (path / "data_set.json").is_file()
    assert design.claim(1, {"nature": "x"}) == path
    more_runs = replace(design, runs=RunCounts(400, 2, 2))
    assert more_runs.claim(1, {"nature": "x"}) == path
    with pytest.raises(InputError, match="holds another data set: hours is 12"):
        replace(design, hours=24).claim(1, {"nature": "x"})
    with pytest.raises(InputError, match="nature"):
        design.claim(1, {"nature": "y"})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hours": 0}, "data.hours"),
        ({"interval_minutes": 25}, "divide an hour"),
        ({"terrain": "flat"}, "data.terrain"),
        ({"lags": (20,)}, "data.lags"),
        ({"region": "nowhere"}, "unknown region"),
    ],
)
def test_a_wrong_design_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(UsageError, match=sentence):
        _ = replace(TINY, **change).place
