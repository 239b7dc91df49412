"""What the tests of the runner compare with."""

import pytest
from small_system import COUNT, fields_of, replayed


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The fields of a run in which nothing happened, one cycle after the other."""
    directory = tmp_path_factory.mktemp("uninterrupted")
    outcome = replayed(directory, overlap=False)
    assert (len(outcome.with_status("complete")), outcome.kept, outcome.stopped) == (COUNT, 0, "")
    found = fields_of(directory)
    assert len(found) == COUNT * 6  # analysis, error and background of two variables
    return found
