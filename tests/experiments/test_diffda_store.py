"""Results of long experiments survive a kill, a torn line, and other settings in the same directory."""

import numpy as np
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.experiments.diffda_store import ResultStore, fingerprint

KEY = ("single_step", "2026-01-01T00:00Z", "oi", 80)


def test_what_was_put_is_there_for_the_next_process(tmp_path):
    store = ResultStore(tmp_path / "new" / "directory", "abc")
    assert KEY not in store
    store.put(KEY, {"mse": {"mean": [1.5, 2]}, "seconds": 0.1})
    again = ResultStore(store.directory, "abc")
    assert KEY in again and again.get(KEY) == {"mse": {"mean": [1.5, 2]}, "seconds": 0.1} == store.get(KEY)
    with pytest.raises(KeyError):
        again.get((*KEY, "other"))


def test_the_last_value_of_a_key_counts(tmp_path):
    store = ResultStore(tmp_path, "abc")
    for value in (1, 2):
        store.put(KEY, {"n": value})
    assert ResultStore(tmp_path, "abc").get(KEY) == {"n": 2}


def test_a_torn_line_is_passed_over_and_spoils_no_other(tmp_path):
    store = ResultStore(tmp_path, "abc")
    store.put(KEY, {"n": 1})
    whole = store.path.read_bytes()
    store.put(("second",), {"n": 2})
    torn = store.path.read_bytes()[: len(whole) + 12]
    store.path.write_bytes(torn)
    after = ResultStore(tmp_path, "abc")
    assert KEY in after and ("second",) not in after
    after.put(("third",), {"n": 3})
    final = ResultStore(tmp_path, "abc")
    assert KEY in final and final.get(("third",)) == {"n": 3}


def test_results_of_other_settings_are_not_seen(tmp_path):
    ResultStore(tmp_path, fingerprint("seed", 1)).put(KEY, {"n": 1})
    other = ResultStore(tmp_path, fingerprint("seed", 2))
    assert KEY not in other and other.arrays(KEY) is None
    assert fingerprint(1, "a") == fingerprint(1, "a") != fingerprint("a", 1)


def test_arrays_are_kept_whole_and_can_be_dropped(tmp_path):
    store = ResultStore(tmp_path, "abc")
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = store.put_arrays(KEY, {"values": values, "more": np.array([1.0])})
    np.testing.assert_array_equal(store.arrays(KEY)["values"], values)
    assert store.arrays(KEY)["values"].dtype == np.float32
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="remove it"):
        store.arrays(KEY)
    store.drop_arrays(KEY)
    assert store.arrays(KEY) is None
    store.drop_arrays(KEY)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="part of the path is a file"):
        ResultStore(tmp_path / "file" / "results", "abc")
