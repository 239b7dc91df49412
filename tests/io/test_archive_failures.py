"""What goes wrong around an archive ends in a sentence, and costs nothing that was stored."""

import errno
import os
import resource
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from archive_products import holds, make_archive, make_design, make_product, slot_time

from rtma_diffda.errors import InputError
from rtma_diffda.io import archive as archive_module
from rtma_diffda.io import archive_store
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_lock import exclusive_lock


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to let files grow beyond ``size`` bytes: a disk that fills while a write is under way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_disk_that_fills_within_a_new_slot(tmp_path, zarr_format):
    archive = make_archive(tmp_path, zarr_format=zarr_format)
    archive.write(make_product(0))
    with largest_file(300), pytest.raises(InputError, match=r"cannot write analysis of 2026-01-01T00:15Z .*unharmed"):
        archive.write(make_product(1))
    assert archive.times().tolist() == np.array([slot_time(0)]).tolist()
    assert archive.status(slot_time(1)) == "writing"
    with pytest.raises(InputError, match="status writing"):
        archive.read(slot_time(1))
    assert archive.write(make_product(1))
    assert holds(archive, make_product(0)) and holds(archive, make_product(1))


def test_a_disk_that_fills_within_an_overwrite(tmp_path):
    archive = make_archive(tmp_path)
    archive.write(make_product(0))
    with largest_file(300), pytest.raises(InputError, match="unharmed"):
        archive.write(make_product(0, seed=1), overwrite=True)
    assert holds(archive, make_product(0))
    assert [path.name for path in tmp_path.glob(".*") if path.name != ".lock"] == []


def test_a_disk_that_fills_while_a_day_is_made(tmp_path):
    archive = make_archive(tmp_path)
    with largest_file(300), pytest.raises(InputError, match="cannot write"):
        archive.write(make_product(0))
    assert archive.times().size == 0
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_full_disk_is_called_one(tmp_path, monkeypatch):
    archive = make_archive(tmp_path)
    archive.write(make_product(0))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(archive_store, "sync_files", full)
    with pytest.raises(InputError, match="the disk is full; what was stored before is unharmed"):
        archive.write(make_product(1))
    monkeypatch.undo()
    assert holds(archive, make_product(0))


def test_bytes_that_change_on_the_way_to_the_disk_are_not_published(tmp_path, monkeypatch):
    archive = make_archive(tmp_path)
    archive.write(make_product(0))

    def corrupt(files: list[Path]) -> None:
        chunk = next(file for file in files if file.parent.name == "u10m")
        shutil.copy(chunk.parent / "0.0.0", chunk)

    monkeypatch.setattr(archive_store, "sync_files", corrupt)
    with pytest.raises(InputError, match=r"u10m of 2026-01-01T00:15.* read back differs"):
        archive.write(make_product(1))
    monkeypatch.undo()
    assert archive.status(slot_time(1)) == "writing"
    assert archive.write(make_product(1))
    assert holds(archive, make_product(1))


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may write everywhere; as nobody it may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_a_read_only_archive_can_be_read_and_says_that_it_cannot_be_written(open_directory):
    archive = make_archive(open_directory)
    archive.write(make_product(0))
    (open_directory / ".lock").unlink()
    if os.geteuid() != 0:
        open_directory.chmod(0o555)
    with ordinary_user():
        reader = Archive.open(open_directory)
        assert holds(reader, make_product(0))
        with pytest.raises(InputError, match="no permission to write there"):
            reader.write(make_product(1))
        with pytest.raises(InputError, match=r"cannot write archive .*no permission"):
            Archive.open(open_directory / "new", make_design())
    open_directory.chmod(0o755)


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match="cannot write archive"):
        Archive.open(tmp_path / "a", make_design())
    with pytest.raises(InputError, match="part of the path is a file"):
        Archive.open(tmp_path / "a" / "b", make_design())


def test_a_second_writer_waits_and_then_refuses_naming_the_first(tmp_path):
    patient = make_archive(tmp_path)
    hasty = Archive(tmp_path, make_design(), lock_timeout=0.05)
    with exclusive_lock(tmp_path / ".lock", timeout=1.0):
        with pytest.raises(InputError, match=rf"is at present the work of process {os.getpid()} on .*waited 0.05 s"):
            hasty.write(make_product(0))
        waiting = threading.Thread(target=patient.write, args=(make_product(1),))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
    waiting.join()
    assert holds(patient, make_product(1))


def test_many_writers_at_once_lose_nothing(tmp_path):
    archives = [Archive(tmp_path, make_design(), lock_timeout=60.0) for _ in range(6)]
    threads = [threading.Thread(target=a.write, args=(make_product(i),)) for i, a in enumerate(archives)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(holds(archives[0], make_product(i)) for i in range(6))


def test_a_reader_during_overwrites_sees_the_old_or_the_new_analysis(tmp_path):
    archive = make_archive(tmp_path)
    archive.write(make_product(0))
    finished = threading.Event()

    def overwrite() -> None:
        for seed in range(1, 6):
            archive.write(make_product(0, seed=seed), overwrite=True)
        finished.set()

    writer = threading.Thread(target=overwrite)
    writer.start()
    seen = []
    while not finished.is_set():
        stored = Archive.open(tmp_path).read(slot_time(0))
        seed = int(stored.revision) - 1
        product = make_product(0, seed=seed)
        assert np.array_equal(stored.t2m.values, product.analysis.channel("t2m")[0].numpy())
        assert np.array_equal(stored.ceil_error.values, product.error_std[2].numpy())
        seen.append(seed)
    writer.join()
    assert seen == sorted(seen)


@pytest.mark.parametrize("rewritten", [0, 1], ids=["this slot", "another slot"])
def test_a_store_exchanged_in_the_middle_of_a_reading_is_read_again(tmp_path, monkeypatch, rewritten):
    archive = make_archive(tmp_path)
    archive.write(make_product(0))
    archive.write(make_product(1))
    load_whole, interruptions = archive_module.load_slot, iter([True])

    def load(path, time, names=None):
        if next(interruptions, False):
            archive.write(make_product(rewritten, seed=9), overwrite=True)
            raise FileNotFoundError(path)
        return load_whole(path, time, names)

    monkeypatch.setattr(archive_module, "load_slot", load)
    assert int(archive.read(slot_time(0)).revision) == (2 if rewritten == 0 else 1)


def test_a_store_that_is_away_for_an_instant_is_neither_absent_nor_damaged(tmp_path, monkeypatch):
    archive = make_archive(tmp_path)
    archive.write(make_product(0))
    store, away = tmp_path / "20260101.zarr", tmp_path / ".20260101.zarr.retired"
    read_whole, interruptions = archive_module.read_column, iter([True])

    def read(path, name):
        if next(interruptions, False):
            store.rename(away)
        return read_whole(path, name)

    monkeypatch.setattr(archive_module, "read_column", read)
    assert archive.status(slot_time(0)) == "complete"
    assert holds(archive, make_product(0))


@pytest.mark.parametrize("damage", ["status/0", "t2m/0.0.0", ".zmetadata", "revision/0"])
def test_a_damaged_store_is_named_and_the_other_days_are_unharmed(tmp_path, damage):
    archive = make_archive(tmp_path)
    archive.write(make_product(0))
    archive.write(make_product(96))
    (tmp_path / "20260101.zarr" / damage).write_bytes(b"\x00\x01\x02")
    with pytest.raises(InputError, match=r"20260101\.zarr"):
        archive.read(slot_time(0))
    assert holds(archive, make_product(96))


def test_a_directory_that_is_no_store_of_ours_is_passed_over_with_a_warning(tmp_path, caplog):
    archive = make_archive(tmp_path)
    archive.write(make_product(0))
    (tmp_path / "20260102.zarr").mkdir()
    assert Archive.open(tmp_path).times().tolist() == np.array([slot_time(0)]).tolist()
    assert archive.latest(slot_time(200)) == slot_time(0)
    assert "20260102.zarr is not a store of this archive: it has no status of its slots" in caplog.text
    with pytest.raises(InputError, match=r"20260102\.zarr"):
        archive.write(make_product(96))


def test_an_archive_of_which_nothing_can_be_read_is_refused(tmp_path):
    (tmp_path / "20260102.zarr").mkdir()
    with pytest.raises(InputError, match="has 1 day stores, and none can be read"):
        Archive.open(tmp_path, make_design())
