"""Files and directories appear whole or not at all."""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.io import atomic


def listing(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_written_file_has_its_content_and_leaves_nothing_beside_it(tmp_path):
    assert atomic.write_bytes(tmp_path / "a.bin", b"new") == tmp_path / "a.bin"
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert listing(tmp_path) == ["a.bin"]


def test_a_writer_that_fails_leaves_the_older_file(tmp_path):
    atomic.write_bytes(tmp_path / "a.bin", b"old")

    def half(path: Path) -> None:
        path.write_bytes(b"ha")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        atomic.write_file(tmp_path / "a.bin", half)
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert listing(tmp_path) == ["a.bin"]


def test_the_temporary_is_in_the_same_directory_and_hidden(tmp_path):
    seen = []

    def writer(path: Path) -> None:
        seen.append(path)
        path.write_bytes(b"x")

    atomic.write_file(tmp_path / "a.bin", writer)
    assert seen[0].parent == tmp_path
    assert seen[0].name.startswith(".a.bin.")


def test_a_file_larger_than_the_system_allows_is_refused_in_a_sentence(tmp_path):
    atomic.write_bytes(tmp_path / "a.bin", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write file .*a\.bin: a file would exceed"):
            atomic.write_bytes(tmp_path / "a.bin", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert listing(tmp_path) == ["a.bin"]


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(InputError, match=r"No such file or directory .*nowhere"):
        atomic.write_bytes(tmp_path / "nowhere" / "a.bin", b"x")


def test_a_directory_is_published_whole_and_never_over_another(tmp_path):
    final = tmp_path / "day"
    temporary = atomic.temporary_beside(final)
    (temporary / "inner").mkdir(parents=True)
    (temporary / "inner" / "a").write_text("1")
    atomic.publish_directory(temporary, final)
    assert (final / "inner" / "a").read_text() == "1"
    second = atomic.temporary_beside(final)
    second.mkdir()
    with pytest.raises(InputError, match="exists already"):
        atomic.publish_directory(second, final)


def make_directory(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "a").write_text(text)
    return path


def test_replacing_a_directory_leaves_the_new_content_alone(tmp_path):
    final = make_directory(tmp_path / "day", "old")
    atomic.replace_directory(make_directory(atomic.temporary_beside(final), "new"), final)
    assert (final / "a").read_text() == "new"
    assert listing(tmp_path) == ["day"]


def test_a_replacement_killed_between_its_renames_is_found_and_undone(tmp_path):
    final = tmp_path / "day"
    retired = make_directory(tmp_path / ".day.retired", "old")
    assert atomic.current_directory(final) == retired
    assert atomic.recover_directories(tmp_path) == [final]
    assert (atomic.current_directory(final) / "a").read_text() == "old"


def test_a_replacement_killed_after_its_renames_is_finished(tmp_path):
    final = make_directory(tmp_path / "day", "new")
    make_directory(tmp_path / ".day.retired", "old")
    assert atomic.recover_directories(tmp_path) == []
    assert (final / "a").read_text() == "new"
    assert listing(tmp_path) == ["day"]


def test_a_replacement_that_cannot_be_put_in_place_brings_the_old_back(tmp_path):
    final = make_directory(tmp_path / "day", "old")
    with pytest.raises(InputError, match="cannot write directory"):
        atomic.replace_directory(tmp_path / "absent", final)
    assert (final / "a").read_text() == "old"


def temporary_of_dead_process(directory: Path) -> Path:
    code = "import sys, pathlib, rtma_diffda.io.atomic as a; print(a.temporary_beside(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(directory / "a")]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return Path(name)


def test_only_temporaries_of_dead_processes_are_removed(tmp_path):
    own = make_directory(atomic.temporary_beside(tmp_path / "a"), "mine")
    dead = make_directory(temporary_of_dead_process(tmp_path), "theirs")
    host, pid, start = own.name.split(".")[2].split("-")
    reused = tmp_path / f".a.{host}-{pid}-{int(start) + 1}.01234567.tmp"  # same number, another process
    abroad = tmp_path / f".a.other_host-{pid}-{int(start) + 1}.01234567.tmp"
    foreign = tmp_path / ".somebody.tmp"
    for path in (reused, abroad, foreign):
        path.write_text("x")
    assert sorted(atomic.remove_stale_temporaries(tmp_path)) == sorted([dead, reused])
    assert listing(tmp_path) == sorted([own.name, abroad.name, foreign.name])


def opened_by(action: Callable[[], None]) -> set[str]:
    opened, recording = [], [True]
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if recording and event == "open" else None)
    action()
    recording.clear()
    return set(opened)


def test_sync_tree_reaches_every_file_and_passes_over_shared_ones(tmp_path):
    tree = make_directory(tmp_path / "tree", "1")
    os.link(tree / "a", tree / "b")
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "c").write_text("2")
    opened = opened_by(lambda: atomic.sync_tree(tree))
    assert {str(tree / name) for name in (".", "deep", "deep/er", "deep/c")} == opened


def test_a_directory_that_a_thread_still_writes_into_is_removed(tmp_path, monkeypatch):
    place, removed = tmp_path / "day.tmp", []
    place.mkdir()
    tree = atomic.shutil.rmtree

    def first_too_early(path, ignore_errors):
        removed.append(path)
        tree(path, ignore_errors=ignore_errors)
        if len(removed) == 1:  # what a late thread does
            writer = threading.Thread(target=lambda: (path.mkdir(), (path / "chunk").write_bytes(b"late")))
            writer.start()
            writer.join()

    monkeypatch.setattr(atomic.shutil, "rmtree", first_too_early)
    begin = time.perf_counter()
    atomic.remove(place)
    assert not place.exists() and len(removed) == 2 and time.perf_counter() - begin < 10.0
