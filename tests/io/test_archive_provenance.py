"""What an archive says of an analysis without its fields, and how a day leaves it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from archive_products import holds, make_archive, make_product, slot_time

from rtma_diffda.errors import InputError
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_lock import exclusive_lock
from rtma_diffda.times import SLOT, SLOTS_PER_DAY

HERE = Path(__file__).parent
NEXT_DAY = SLOTS_PER_DAY  # slot of the first analysis of the second day
KILLED_REMOVAL = """
import os, signal, sys
from archive_products import make_archive, slot_time
from pathlib import Path
from rtma_diffda.io import archive_days
moment = sys.argv[2]
die = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
setattr(archive_days, moment, die)
make_archive(Path(sys.argv[1])).remove_day(slot_time(0))
"""


@pytest.fixture
def archive(tmp_path) -> Archive:
    archive = make_archive(tmp_path / "archive")
    for slot in (0, 3, NEXT_DAY):
        archive.write(make_product(slot))
    return archive


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_provenance_and_times_are_those_of_the_product(tmp_path, zarr_format):
    archive = make_archive(tmp_path, zarr_format=zarr_format)
    product = make_product(5, seed=2, degraded=("late: by an hour",))
    archive.write(product)
    found = archive.made(product.valid_time)
    assert found["status"] == "degraded" and found["degraded"] == ["late: by an hour"]
    assert found["made"] == {"method": "optimal_interpolation", "background": "simulated", "seed": 2.0}
    assert archive.created(product.valid_time) == slot_time(5) + np.timedelta64(321, "s")
    assert archive.obs_cutoff(product.valid_time) == slot_time(5) + SLOT
    assert archive.created(product.valid_time).dtype == np.dtype("datetime64[ns]")


@pytest.mark.parametrize("question", ["made", "created", "obs_cutoff"])
def test_what_is_not_there_has_no_provenance(archive, question):
    with pytest.raises(InputError, match="no analysis of 2026-01-01T00:15Z"):
        getattr(archive, question)(slot_time(1))


def test_damaged_provenance_is_told_in_a_sentence(archive):
    next(archive.root.glob("20260101.zarr/provenance/20260101T0000Z.json")).write_text("{torn")
    with pytest.raises(InputError, match="cannot be read"):
        archive.made(slot_time(0))


def test_a_day_is_removed_whole_and_alone(archive):
    other = archive.root / "notes.zarr"
    other.mkdir()
    assert [str(day)[:10] for day in archive.days()] == ["2026-01-01", "2026-01-02"]
    assert archive.remove_day(slot_time(7))
    assert sorted(path.name for path in archive.root.iterdir()) == [".lock", "20260102.zarr", "notes.zarr"]
    assert archive.times().tolist() == np.array([slot_time(NEXT_DAY)]).tolist()
    assert not archive.remove_day(slot_time(7))


def test_a_link_in_the_place_of_a_store_is_refused_and_its_target_stays(archive, tmp_path):
    store, elsewhere = archive.root / "20260101.zarr", tmp_path / "elsewhere"
    store.rename(elsewhere)
    store.symlink_to(elsewhere)
    with pytest.raises(InputError, match="is a link"):
        archive.remove_day(slot_time(0))
    assert store.is_symlink() and (elsewhere / "provenance").is_dir()


def test_links_within_a_store_are_removed_but_not_followed(archive, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("stays")
    (archive.root / "20260101.zarr" / "way_out").symlink_to(precious)
    assert archive.remove_day(slot_time(0))
    assert (precious / "file").read_text() == "stays"


def test_a_writer_at_work_is_not_disturbed(archive):
    impatient = Archive(archive.root, archive.design, lock_timeout=0.0)
    with exclusive_lock(archive.root / ".lock", timeout=0.0), pytest.raises(InputError, match="at present the work of"):
        impatient.remove_day(slot_time(0))
    assert holds(archive, make_product(0))


@pytest.mark.parametrize(("moment", "there"), [("temporary_beside", True), ("sync_directory", False)])
def test_a_killed_removal_leaves_the_whole_store_or_what_repair_removes(archive, moment, there):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
    command = [sys.executable, "-c", KILLED_REMOVAL, str(archive.root), moment]
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    assert bool(list(archive.root.glob(".20260101.zarr.*.tmp"))) is not there
    again = Archive.open(archive.root, create=False)
    assert (again.status(slot_time(3)) == "complete") is there
    assert not there or holds(again, make_product(3))
    assert holds(again, make_product(NEXT_DAY)) and not list(archive.root.glob(".*.tmp"))
