"""``kill -9`` at any moment of a write: what was stored stays bit-equal, the slot struck is absent or whole."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_products import holds, make_archive, make_product, slot_time

from rtma_diffda.io.archive import Archive
from rtma_diffda.times import SLOT

HERE = Path(__file__).parent


class Victims:
    """Writers that die: at a file operation of theirs, or when a signal comes from outside."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(HERE), str(HERE.parent)])
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "archive_victim.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )

    def start(self, root: Path, writes: list[tuple[int, int]], **task) -> int:
        task = {"root": str(root), "writes": writes, "zarr_format": 2, "overwrite": False, "kill_at": None} | task
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        """The signal that ended the writer; 0 if it finished."""
        return int(self.process.stdout.readline())

    def run(self, root: Path, writes: list[tuple[int, int]], **task) -> bool:
        """Whether the writer was killed before it had finished."""
        self.start(root, writes, **task)
        return self.end() == signal.SIGKILL

    def kill_after(self, delay: float, root: Path, writes: list[tuple[int, int]], **task) -> None:
        pid = self.start(root, writes, **task)
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        assert self.end() == signal.SIGKILL


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    victims = Victims()
    yield victims
    victims.process.stdin.close()
    victims.process.wait(timeout=10)


def duration_of(write) -> float:
    begin = time.perf_counter()
    write()
    return time.perf_counter() - begin


def traces(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.suffix in (".tmp", ".partial", ".retired")]


def kill_new_slots(victims: Victims, root: Path, count: int, *, seed: int = 7) -> tuple[int, int]:
    """Kill a writer of slot after slot ``count`` times; returns kills that struck inside a write, and slots stored."""
    delays = random.Random(seed)
    make_archive(root).write(make_product(0))
    typical = duration_of(lambda: make_archive(root).write(make_product(1)))
    expected, struck = [0, 1], 0
    for _ in range(count):
        ahead = range(expected[-1] + 1, expected[-1] + 50)
        victims.kill_after(delays.uniform(0.0, 1.5 * typical), root, [(slot, 0) for slot in ahead])
        left = traces(root)
        archive = Archive.open(root, create=False)
        published = ((archive.times() - slot_time(0)) // SLOT).tolist()
        assert published[: len(expected)] == expected
        assert published == list(range(len(published)))
        struck += bool(left or archive.times(("writing",)).size)
        newest = published[-1]
        assert all(holds(archive, make_product(i)) for i in {*published[len(expected) - 1 :], 0})
        expected = published
        assert make_archive(root).write(make_product(newest + 1))
        expected = [*expected, newest + 1]
    assert all(holds(make_archive(root), make_product(i)) for i in expected)
    return struck, len(expected)


def test_writers_killed_at_random_leave_every_finished_analysis_and_a_working_archive(victims, tmp_path):
    struck, stored = kill_new_slots(victims, tmp_path, 20)
    assert struck >= 8
    assert stored >= 22


@pytest.mark.slow
def test_writers_killed_at_random_many_times(victims, tmp_path):
    for seed in range(10):
        kill_new_slots(victims, tmp_path / str(seed), 60, seed=seed)


def count_operations(victims: Victims, root: Path, writes: list[tuple[int, int]], **task) -> int:
    assert not victims.run(root, writes, **task)
    return int(victims.process.stderr.readline())


def kill_points(total: int, count: int | None) -> Iterator[int]:
    """All operations, or ``count`` of them evenly spread with the last ones, where the exchange happens, among them."""
    return (
        range(1, total + 1)
        if count is None
        else sorted({*range(1, total + 1, total // count), *range(total - 4, total + 1)})
    )


def kill_first_writes(victims: Victims, root: Path, zarr_format: int, count: int | None) -> None:
    """Kill a writer of a day's first slot at its n-th file operation, on an archive that is new each time."""
    total = count_operations(victims, root / "whole", [(0, 0)], zarr_format=zarr_format)
    for n in kill_points(total, count):
        place = root / f"{n}"
        killed = victims.run(place, [(0, 0)], zarr_format=zarr_format, kill_at=n)
        archive = make_archive(place, zarr_format=zarr_format)
        assert killed
        assert archive.status(slot_time(0)) in ("missing", "writing", "complete")
        archive.write(make_product(0))
        assert holds(archive, make_product(0))
        assert not traces(place)


def kill_overwrites(victims: Victims, root: Path, zarr_format: int, count: int | None) -> None:
    """Kill a writer that replaces one of two analyses at its n-th file operation, with new content each time."""
    archive = make_archive(root, zarr_format=zarr_format)
    archive.write(make_product(0))
    archive.write(make_product(1))
    total = count_operations(victims, root, [(1, 1)], zarr_format=zarr_format, overwrite=True)
    held = 1
    for n, seed in zip(kill_points(total, count), itertools.count(2)):
        victims.run(root, [(1, seed)], zarr_format=zarr_format, overwrite=True, kill_at=n)
        fresh = Archive.open(root, create=False)
        assert list(fresh.times()) == [slot_time(0), slot_time(1)]
        assert holds(fresh, make_product(0))
        held = seed if holds(fresh, make_product(1, seed=seed)) else held
        assert holds(fresh, make_product(1, seed=held))
    assert archive.write(make_product(1, seed=5000), overwrite=True)
    assert holds(archive, make_product(1, seed=5000))
    assert not traces(root)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_killed_while_a_day_is_made_leaves_no_day_or_a_whole_one(victims, tmp_path, zarr_format):
    kill_first_writes(victims, tmp_path, zarr_format, 6)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_killed_while_replacing_an_analysis_leaves_the_old_or_the_new_one(victims, tmp_path, zarr_format):
    kill_overwrites(victims, tmp_path, zarr_format, 6)


@pytest.mark.slow
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_killed_at_every_single_file_operation(victims, tmp_path, zarr_format):
    kill_first_writes(victims, tmp_path / "first", zarr_format, None)
    kill_overwrites(victims, tmp_path / "over", zarr_format, None)
