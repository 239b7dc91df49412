"""The inventory of gridded files: looked at anew, read again only where something changed, failures remembered."""

import logging
import os

import pytest
from test_global_runs import NAMES, hours, write

from rtma_diffda.errors import InputError
from rtma_diffda.io import file_inventory
from rtma_diffda.io.file_inventory import FileInventory, HeldField, OpenedFiles, complete_times, lacking


@pytest.fixture
def read(monkeypatch):
    """The names of the files read, in order."""
    names = []

    def noted(path, find=file_inventory.find_fields):
        names.append(path.name)
        return find(path)

    monkeypatch.setattr(file_inventory, "find_fields", noted)
    return names


def inventory(*paths):
    return FileInventory(paths, "backgrounds")


def test_fields_are_held_with_their_times(tmp_path):
    path = write(tmp_path / "a.nc", valid=7, run=6, names=("t2m",))
    terrain = write(tmp_path / "terrain.nc", valid=0, names=(), static=("orog",))
    held = inventory(tmp_path).held()
    assert held == (HeldField(path, "t2m", hours(7)[0], hours(6)[0]), HeldField(terrain, "orog", None, None))
    assert [one.is_analysis for one in held] == [False, True]


def test_a_file_is_read_again_only_if_its_size_or_age_changed(tmp_path, read):
    files = inventory(tmp_path)
    first = write(tmp_path / "a.nc", valid=6)
    files.held()
    write(tmp_path / "b.nc", valid=7)
    assert {one.valid_time for one in files.held()} == set(hours(6, 7))
    assert read == ["a.nc", "b.nc"]
    write(first, valid=8)
    assert {one.valid_time for one in files.held()} == set(hours(7, 8))
    os.utime(tmp_path / "b.nc", ns=(1, 1))
    first.unlink()
    assert {one.valid_time for one in files.held()} == set(hours(7))
    assert read == ["a.nc", "b.nc", "a.nc", "b.nc"]


def test_an_unreadable_file_is_told_once_and_remembered_until_it_is_replaced(tmp_path, read, caplog):
    write(tmp_path / "a.nc", valid=6)
    broken = tmp_path / "b.nc"
    broken.write_bytes(b"CDF\x01 and no more")
    files = inventory(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert all(one.path.name == "a.nc" for one in files.held() + files.held())
    assert [r.getMessage().split(" is skipped as a file of backgrounds")[0] for r in caplog.records] == [str(broken)]
    (failure,) = files.failures()
    assert failure.startswith(f"{broken} cannot be opened")
    assert read == ["a.nc", "b.nc"]
    write(broken, valid=7)
    assert {one.path.name for one in files.held()} == {"a.nc", "b.nc"}
    assert files.failures() == []


def test_several_paths_are_one_inventory_and_each_must_stand_for_a_file(tmp_path):
    path = write(tmp_path / "a.nc", valid=6, names=("t2m",))
    assert len(inventory(path, tmp_path, f"{tmp_path}/*.nc").held()) == 1
    with pytest.raises(InputError, match="there is no file"):
        inventory(path, tmp_path / "absent.nc").held()


def test_files_are_put_by_age_then_by_name(tmp_path):
    paths = [write(tmp_path / f"{name}.nc", valid=6, names=("t2m",)) for name in "abc"]
    for path, age in zip(paths, (10, 30, 10), strict=True):
        os.utime(path, (age, age))
    files = inventory(tmp_path)
    files.held()
    assert [path.name for path in files.newest_first(paths[::-1])] == ["b.nc", "a.nc", "c.nc"]


def test_opened_files_are_read_once_and_give_the_fields_asked_for(tmp_path, read):
    paths = [write(tmp_path / f"{hour}.nc", valid=hour, run=0) for hour in (6, 7)]
    held = inventory(tmp_path).held()
    read.clear()
    opened = OpenedFiles()
    wanted = [one for one in held if one.variable == "t2m"]
    found = opened.references_to(wanted, paths[::-1])
    assert [(r.variable, r.valid_time) for r in found] == [("t2m", hours(7)[0]), ("t2m", hours(6)[0])]
    assert len(opened.references(paths[0])) == len(NAMES)
    assert paths[0] in opened
    assert read == ["7.nc", "6.nc"]


def test_a_time_is_complete_if_all_variables_are_there_or_follow(tmp_path):
    write(tmp_path / "a.nc", valid=6)
    write(tmp_path / "b.nc", valid=7, names=("t2m", "u10m"))
    held = inventory(tmp_path).held()
    assert list(complete_times(held, ("t2m", "ws10m"))) == list(hours(6))
    assert list(complete_times(held, ("t2m",))) == list(hours(6, 7))
    assert lacking({"t2m", "u10m"}, ("t2m", "ws10m", "sp")) == ["ws10m", "sp"]
    assert lacking({"u10m", "v10m"}, ("ws10m",)) == []
