"""``kill -9`` at several instants of a replay: the rerun ends with the fields of an undisturbed run, bit for bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_system import COUNT, TIMES, fields_of, replayed

from rtma_diffda.cycling.journal import Journal
from rtma_diffda.io.archive import Archive

HERE = Path(__file__).parent
KILLED = ("reading", "analysis", "feedback", "slot", "recording", "operation:300", "operation:1300")
STORED = {"reading": (2, 3, 4), "analysis": (3, 4), "feedback": (4,), "slot": (3,), "recording": (5, 6),
          "operation:300": (0,), "operation:1300": (4, 5, 6)}  # fmt: skip
"""How many analyses may be on the disk: the one before may still be under way when a cycle begins."""


@pytest.fixture(scope="module")
def victims(tmp_path_factory):
    """The directory of the killed runs."""
    root = tmp_path_factory.mktemp("killed")
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    done = subprocess.run(
        [sys.executable, str(HERE / "cycling_victim.py"), str(root), *KILLED],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    statuses = json.loads((root / "statuses.json").read_text())
    assert statuses == dict.fromkeys(KILLED, -signal.SIGKILL), done.stderr
    return root


@pytest.mark.parametrize("place", KILLED)
def test_a_run_that_is_killed_goes_on_to_the_same_bits(victims, uninterrupted, place):
    directory = victims / place.replace(":", "_")
    left, journal = fields_of(directory), Journal(directory / "journal")
    assert left.items() <= uninterrupted.items()  # what is published is whole
    assert len(left) // 6 in STORED[place]

    outcome = replayed(directory, watchers=[journal.append])
    assert outcome.stopped == "" and outcome.kept == len(left) // 6
    assert len(outcome.with_status("complete")) == COUNT - outcome.kept
    assert fields_of(directory) == uninterrupted
    assert len(list((directory / "feedback").glob("*.parquet"))) == COUNT

    archive = directory / "archive"
    assert [path for path in archive.rglob("*") if path.suffix in (".tmp", ".partial", ".retired")] == []
    assert Archive.open(archive, create=False).times(("writing",)).size == 0
    told = [record.analysis_time for record in journal.records()]
    assert told == sorted(set(told)) and len(told) >= COUNT - 1  # the last before the kill may not have been told
    assert set(told) <= set(TIMES)
