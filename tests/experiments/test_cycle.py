"""``cycle`` from files to archive, journal, metrics and report, as a user runs it."""

import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from cycle_world import BEFORE, COUNT, START, TIMES, CycleWorld, make_world, truth

from rtma_diffda.cli.main import main, parse_call
from rtma_diffda.cycling.journal import Journal
from rtma_diffda.errors import UsageError
from rtma_diffda.io.archive import Archive
from rtma_diffda.observations.flags import Flag
from rtma_diffda.times import SLOT, compact_time

CYCLED = ("first_guess.kind=background_change", "first_guess.weight=0.1")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> CycleWorld:
    return make_world(tmp_path_factory.mktemp("cycle_world"))


@pytest.fixture(scope="module")
def run(world, tmp_path_factory):
    """An undisturbed run with re-analyses; its directory and what it answered."""
    output, logger = tmp_path_factory.mktemp("run"), logging.getLogger("rtma_diffda")
    handlers, level = list(logger.handlers), logger.level
    status = main(world.arguments(output, "urma.run=true", "urma.interval_minutes=30", "urma.cutoff_hours=4"))
    logger.handlers[:] = handlers  # what one test's fixture restores, a module's must restore itself
    logger.setLevel(level)
    return output, status


def fields(directory, times=TIMES) -> dict[np.datetime64, np.ndarray]:
    archive = Archive.open(directory / "archive", create=False)
    found = {time: archive.read(time) for time in times}
    return {
        time: np.stack([array.values for _, array in sorted(one.data_vars.items()) if array.dims == ("y", "x")])
        for time, one in found.items()
    }


def same(first, second, times=TIMES) -> bool:
    a, b = fields(first, times), fields(second, times)
    return all(np.array_equal(a[time], b[time], equal_nan=True) for time in times)


def feedback(directory, time) -> pd.DataFrame:
    return pd.read_parquet(directory / "feedback" / f"{compact_time(time)}.parquet")


def test_every_cycle_ends_with_a_product_that_is_nearer_to_the_truth(run, world):
    output, status = run
    archive = Archive.open(output / "archive", create=False)
    assert status == 0 and list(archive.times()) == list(TIMES)
    squares = np.zeros((2, len(world.layout.names)))
    for time in TIMES:
        found, exact = archive.read(time), truth(world.layout, time)
        for i, name in enumerate(world.layout.names):
            for row, field in enumerate((name, f"{name}_background")):
                squares[row, i] += np.mean((found[field].values - exact.values[0, i].numpy()) ** 2)
    assert (squares[0] < 0.75 * squares[1]).all()


def test_products_say_how_they_were_made(run):
    archive = Archive.open(run[0] / "archive", create=False)
    made = archive.made(TIMES[2])
    assert made["status"] == "complete" and made["degraded"] == []
    told = made["made"]
    assert told["stream"] == "ru" and told["method"] == "optimal_interpolation" and told["first_guess"] == "background"
    assert {"seconds_reports", "seconds_analysis", "t2m_ombg", "t2m_oman", "t2m_withheld_oman"} <= set(told)
    assert told["t2m_oman"] < told["t2m_ombg"]


def test_withheld_stations_are_one_list_that_no_stream_uses(run):
    output, _ = run
    withheld = set(json.loads((output / "run.json").read_text())["withheld"])
    assert 8 <= len(withheld) <= 16
    for directory in (output, output / "urma"):
        table = feedback(directory, TIMES[1])
        assert not withheld & set(table.loc[table["flags"] == 0, "station"])
        assert set(table.loc[table["flags"] == int(Flag.WITHHELD), "station"]) <= withheld


def test_the_later_stream_has_the_late_reports_in_its_own_archive(run):
    output, _ = run
    late = Archive.open(output / "urma" / "archive", create=False)
    half_hours = [time for time in TIMES if (time - time.astype("datetime64[D]")) % np.timedelta64(30, "m") == 0]
    assert list(late.times()) == half_hours
    used = {d: sum(int((feedback(output / d, t)["flags"] == 0).sum()) for t in half_hours) for d in ("", "urma")}
    assert used["urma"] > used[""]
    assert late.made(half_hours[0])["made"]["stream"] == "urma"
    assert late.obs_cutoff(half_hours[0]) == half_hours[0] + np.timedelta64(4, "h")


def test_journal_metrics_and_report_are_there(run):
    output, _ = run
    records = Journal(output / "journal").records()
    assert [r.analysis_time for r in records if r.stream == "ru"] == list(TIMES)
    assert all(r.status == "complete" and r.seconds["store"] > 0 for r in records)
    assert "rtma_diffda_" in (output / "metrics.prom").read_text()
    assert "withheld" in (output / "report.html").read_text()


def test_the_same_command_again_keeps_everything(run, world, tmp_path, capsys):
    shutil.copytree(run[0], tmp_path / "again")
    arguments = world.arguments(tmp_path / "again", "urma.run=true", "urma.interval_minutes=30", "urma.cutoff_hours=4")
    assert main(arguments) == 0
    assert f"0 cycles (none); {COUNT + 4} that the archive had were kept" in capsys.readouterr().out
    assert same(run[0], tmp_path / "again")


def test_a_run_that_was_cut_goes_on_with_the_same_bits(run, world, tmp_path):
    urma = ("urma.run=true", "urma.interval_minutes=30", "urma.cutoff_hours=4")
    assert main(world.arguments(tmp_path, *urma, end=TIMES[3])) == 0
    assert main(world.arguments(tmp_path, *urma)) == 0
    assert same(run[0], tmp_path)


def test_another_method_in_the_same_place_is_refused(run, world, tmp_path, capsys):
    shutil.copytree(run[0], tmp_path / "copy")
    assert main(world.arguments(tmp_path / "copy", "seed=2")) == 3
    told = capsys.readouterr().err
    assert "holds a run of other settings" in told and "seed was 1, now 2" in told


def test_a_missing_background_is_made_up_for_and_labelled(world, tmp_path, capsys):
    part = tmp_path / "backgrounds"
    shutil.copytree(world.backgrounds, part)
    gone = next(path for path in part.iterdir() if compact_time(TIMES[4]) in path.name)
    gone.unlink()
    status = main(world.arguments(tmp_path / "out", f"background.path={part}"))
    assert status == 4
    assert "no background" in capsys.readouterr().err
    archive = Archive.open(tmp_path / "out" / "archive", create=False)
    assert archive.status(TIMES[4]) == "degraded" and archive.status(TIMES[5]) == "complete"
    assert archive.made(TIMES[4])["degraded"] == ["no background: persistence is the first guess"]


def test_without_any_first_guess_cycles_are_refused_in_a_sentence(world, tmp_path, capsys):
    part = tmp_path / "backgrounds"
    part.mkdir()
    shutil.copy(next(world.backgrounds.glob(f"*{compact_time(BEFORE[0])}*")), part)
    assert main(world.arguments(tmp_path / "out", f"background.path={part}", end=TIMES[1])) == 3
    told = capsys.readouterr().err
    assert "2 cycles were refused" in told and "no first guess for 2026-06-15T22:45Z: no background" in told


def test_a_spool_without_reports_is_labelled(world, tmp_path, capsys):
    (tmp_path / "spool").mkdir()
    status = main(
        world.arguments(tmp_path / "out", f"observations.path={tmp_path / 'spool'}",
                        "verification.withheld_fraction=0", end=TIMES[1])
    )  # fmt: skip
    assert status == 4 and "no observations" in capsys.readouterr().err
    archive = Archive.open(tmp_path / "out" / "archive", create=False)
    assert archive.status(START) == "degraded"
    found = archive.read(START)
    assert np.array_equal(found["t2m"].values, found["t2m_background"].values)


def test_stations_that_verify_are_not_chosen_from_nothing(world, tmp_path, capsys):
    (tmp_path / "spool").mkdir()
    assert main(world.arguments(tmp_path / "out", f"observations.path={tmp_path / 'spool'}")) == 3
    assert "none can be chosen to verify all cycles to come" in capsys.readouterr().err
    assert not (tmp_path / "out" / "run.json").exists()


def test_arrival_can_be_ignored(run, world, tmp_path):
    assert main(world.arguments(tmp_path, "observations.arrival=ignored", end=TIMES[1])) == 0
    early, all_of_them = (int((feedback(d, TIMES[1])["flags"] == 0).sum()) for d in (run[0], tmp_path))
    assert all_of_them >= early


def test_cycling_remembers_what_earlier_reports_said(world, tmp_path):
    for name, more in (("uncycled", ()), ("cycled", CYCLED)):
        assert main(world.arguments(tmp_path / name, *more)) == 0
    archives = {n: Archive.open(tmp_path / n / "archive", create=False) for n in ("uncycled", "cycled")}
    assert archives["cycled"].made(START)["made"]["first_guess"] == "background (start)"
    assert archives["cycled"].made(TIMES[1])["made"]["first_guess"] == "cycled"
    exact = truth(world.layout, TIMES[-1]).values[0, 0].numpy()
    errors = {n: np.abs(a.read(TIMES[-1])["t2m_background"].values - exact).mean() for n, a in archives.items()}
    assert errors["cycled"] < 0.7 * errors["uncycled"]


@pytest.mark.parametrize("more", [(), CYCLED], ids=["uncycled", "cycled"])
def test_chunks_give_the_same_bits_however_many_processes_do_them(world, tmp_path, more):
    chunked = (*more, "hindcast.chunk_hours=1", "hindcast.spin_up_hours=0.5")
    assert main(world.arguments(tmp_path / "serial", *chunked, "hindcast.workers=0")) == 0
    assert main(world.arguments(tmp_path / "parallel", *chunked, "hindcast.workers=2")) == 0
    assert same(tmp_path / "serial", tmp_path / "parallel")
    assert len(Journal(tmp_path / "parallel" / "journal").records()) == COUNT
    if not more:
        torch.set_num_threads(1)
        assert main(world.arguments(tmp_path / "plain", "method.threads=1")) == 0
        assert same(tmp_path / "serial", tmp_path / "plain")


def test_chunks_do_not_know_each_other(world, tmp_path):
    chunked = (*CYCLED, "hindcast.chunk_hours=1", "hindcast.spin_up_hours=0", "hindcast.workers=0")
    assert main(world.arguments(tmp_path, *chunked)) == 0
    archive = Archive.open(tmp_path / "archive", create=False)
    kinds = [archive.made(time)["made"]["first_guess"] for time in TIMES]
    assert kinds == ["background (start)" if i % 4 == 0 else "cycled" for i in range(COUNT)]


def test_live_cycles_follow_an_accelerated_clock(world, tmp_path):
    live = ("live=true", f"clock.clock_start={START}", "clock.clock_factor=900", "clock.poll_seconds=0.05",
            "observations.arrival=ignored", "observations.cutoff_minutes=5")  # fmt: skip
    assert main(world.arguments(tmp_path, *live, end=TIMES[2])) == 0
    archive = Archive.open(tmp_path / "archive", create=False)
    assert list(archive.times()) == list(TIMES[:3])
    for time in TIMES[:3]:
        lag = archive.created(time) - time
        assert np.timedelta64(5, "m") <= lag < np.timedelta64(12, "h")


def test_a_live_start_after_a_pause_makes_up_for_it(world, tmp_path):
    same_cutoff = ("observations.arrival=ignored", "observations.cutoff_minutes=5")
    assert main(world.arguments(tmp_path, *same_cutoff, end=TIMES[1])) == 0
    live = ("live=true", f"clock.clock_start={TIMES[4]}", "clock.clock_factor=900", "clock.poll_seconds=0.05")
    arguments = [a for a in world.arguments(tmp_path, *same_cutoff, *live, end=TIMES[4]) if not a.startswith("start=")]
    assert main(arguments) == 0
    assert list(Archive.open(tmp_path / "archive", create=False).times()) == list(TIMES[:5])


def test_retention_keeps_the_days_that_are_wanted(run, world, tmp_path):
    shutil.copytree(run[0], tmp_path / "copy")
    old = tmp_path / "copy" / "archive" / "20260613.zarr"
    shutil.copytree(tmp_path / "copy" / "archive" / "20260615.zarr", old)
    shutil.rmtree(tmp_path / "copy" / "archive" / "20260616.zarr")
    (tmp_path / "copy" / "run.json").unlink()
    assert main(world.arguments(tmp_path / "copy", "--keep", "1")) == 0
    days = sorted(path.name for path in (tmp_path / "copy" / "archive").glob("*.zarr"))
    assert days == ["20260615.zarr", "20260616.zarr"]


def test_options_stand_for_settings():
    call = parse_call(["cycle", "region=demo", "--live", "--keep", "7"])
    assert call.overrides == ("region=demo", "live=true", "archive.keep=7")
    assert parse_call(["cycle", "--keep=3"]).overrides == ("archive.keep=3",)
    with pytest.raises(UsageError, match="--keep needs a value"):
        parse_call(["cycle", "--keep"])
    with pytest.raises(UsageError, match="unknown option '--live'; known are"):
        parse_call(["analyse", "--live"])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("end=2026-06-15T22:00", "is before start"),
        ("observations.arrival=sometimes", "may be modified or ignored"),
        ("first_guess.kind=oracle", "may be background, forecast"),
        ("first_guess.members=true", "needs a cycled first guess"),
        ("first_guess.kind=forecast", "needs the states of global runs"),
        ("method.name=magic", "cycles know"),
        ("method.device=abacus", "may be cpu or cuda"),
        ("clock.missed=panic", "backfill or skip"),
        ("interval_minutes=20", "quarters of an hour"),
        ("archive.keep=0", "archive.keep"),
        ("observations.window_minutes=-1", "observations.window_minutes"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(world, tmp_path, capsys, override, told):
    assert main(world.arguments(tmp_path / "out", override)) == 2
    assert told in capsys.readouterr().err


def test_a_datum_enters_a_cycled_run_once(world, tmp_path, capsys):
    assert main(world.arguments(tmp_path / "out", *CYCLED, "observations.window_minutes=10")) == 2
    assert "a datum may enter once" in capsys.readouterr().err


def test_a_day_of_cycles_needs_a_beginning_and_an_end(world, tmp_path, capsys):
    arguments = [a for a in world.arguments(tmp_path / "out") if not a.startswith("end=")]
    assert main(arguments) == 2
    assert "start=… and end=…" in capsys.readouterr().err


def test_interpolation_is_tuned_on_the_hours_before(world, tmp_path):
    assert main(world.arguments(tmp_path, "method.tuning_hours=1", end=START)) == 0
    kept = json.loads((tmp_path / "run.json").read_text())["interpolation"]
    assert kept["source"] == "tuned on 1 analysis times before the first cycle"
    assert {"t2m", "d2m", "sp"} <= set(kept["background_errors"])


def test_slots_are_a_quarter_of_an_hour():
    assert np.timedelta64(15, "m") == SLOT
