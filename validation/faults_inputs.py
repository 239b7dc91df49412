"""Faults of what comes in: reports, backgrounds, global runs.

Most are met by one cycle of a run that goes on; then the inputs are as they should be again, and the next start goes on
with the cycles that follow. Without memory in the first guess these must have the bits of an undisturbed run.
"""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from faults_disk import halved
from faults_finding import AGREE, Fault, Finding, bits, labels_kept, reasons_at, same_fields, short, unharmed
from faults_place import FATAL, TIMES, Place, in_process, region

from rtma_diffda.cycling import reports
from rtma_diffda.fields.state import State
from rtma_diffda.io.forecast_file import ForecastProduct, write_forecast

_MINUTE = np.timedelta64(1, "m")
_AFTER = tuple(TIMES[4:])
_HANGS = 80.0
_Break = Callable[[Place], object]


def met(
    place: Place,
    breaks: _Break,
    *said: str,
    overrides: Sequence[str] = (),
    prepared: _Break | None = None,
    sabotage: Callable[[], None] | None = None,
    status: int = 4,
) -> Finding:
    """What becomes of the cycle that meets a fault, and of those after it.

    Args:
        place: where.
        breaks: brings the fault about.
        said: what the product has to say of it; nothing where it is to be complete.
        overrides: settings; with others than the usual ones the run is begun here.
        prepared: makes inputs of its own beforehand, and afterwards again.
        sabotage: changes the code while the fault is met.
        status: expected exit status.
    """
    before = _begun(place, overrides, prepared)
    breaks(place)
    attempt = place.cycle(*overrides, end=FATAL, sabotage=sabotage)
    checks = {f"the sentence is no traceback (found {short(attempt.sentence, 60)})": "Traceback" not in attempt.log}
    for one in said or ("",):
        checks |= labels_kept(place, attempt, [FATAL] if said else [], one, status=status)
    journal = "the same" if checks[AGREE] else "NOT the same"
    label, left = reasons_at(place, FATAL), place.stored()
    _mend(place, prepared)
    again = place.cycle(*overrides)
    after = place.stored()
    checks |= {
        f"the next cycles are complete (exit status {again.status})": again.status == 0,
        "and bit-equal to an undisturbed run": same_fields(after, place.world.whole(), _AFTER),
    }
    return Finding(
        "yes" if FATAL in left else "NO",
        f"{short(label, 200)}; journal {journal}; exit {attempt.status}",
        unharmed(before, left) and unharmed(left, after),
        f"{again.headline}; {bits(after, place.world.whole(), _AFTER)}; {again.seconds:.0f} s",
        checks,
    )


def _begun(place: Place, overrides: Sequence[str], prepared: _Break | None) -> dict:
    if not overrides:
        return dict(place.begin())
    _mend(place, prepared)
    place.cycle(*overrides, end=TIMES[2])
    return dict(place.stored())


def _mend(place: Place, prepared: _Break | None) -> None:
    place.supply()
    if prepared is not None:
        prepared(place)


def overwritten(path: Path, content: bytes) -> None:
    """Other content, which arrived at the same time."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def noise() -> bytes:
    return np.random.default_rng(1).bytes(5000)


def no_directory(place: Place) -> None:
    shutil.rmtree(place.inputs / "spool")


def empty_directory(place: Place) -> None:
    no_directory(place)
    (place.inputs / "spool").mkdir()


def all_unreadable(place: Place) -> None:
    for path in place.bulletins(FATAL):
        overwritten(path, noise())


def none_at_all(place: Place) -> None:
    for path in place.bulletins(FATAL):
        path.unlink()


def three_stations(place: Place) -> None:
    first, *others = place.bulletins(FATAL)
    overwritten(first, b"=".join(first.read_bytes().split(b"=")[:3]) + b"=\n")
    for path in others:
        path.unlink()


def one_corrupt_bulletin(place: Place) -> Finding:
    def adds(_: Place) -> None:
        good = place.bulletins(FATAL)[0]
        bad = good.with_name(good.name.replace("metar_", "metar_bad_"))
        shutil.copy2(good, bad)
        overwritten(bad, noise())

    finding = met(place, adds, status=0)
    rejected = {record.analysis_time: record.rejected_reports for record in place.journal()}[FATAL]
    same = same_fields(place.stored(), place.world.whole(), [FATAL])
    return Finding(
        finding.published, f"{rejected} rejected in the journal; {finding.label}", finding.unharmed, finding.recovery,
        {**finding.checks, "the good ones count, to the same bits": same, "the bad one is accounted for": rejected > 0},
    )  # fmt: skip


def named_pipe(place: Place) -> None:
    """Nobody writes into it: opening it would take for ever."""
    os.mkfifo(place.inputs / "spool" / "metar_20260615T2345_pipe.txt")


def slow_source(place: Place) -> Finding:
    def hangs() -> None:
        def read(*_: object, **__: object) -> None:
            time.sleep(_HANGS)

        reports.read_file = read

    before = place.begin()
    attempt = place.cycle("observations.patience_seconds=0.5", end=FATAL, sabotage=hangs)
    labels, left = labels_kept(place, attempt, [FATAL], "observation source slow"), place.stored()
    again = place.cycle()
    after = place.stored()
    checks = {
        **labels,
        f"neither cycle nor process waits (it ended after {attempt.seconds:.0f} s)": attempt.seconds < _HANGS / 2,
        "the next start is bit-equal": same_fields(after, place.world.whole(), _AFTER),
    }
    label = f"{short(reasons_at(place, FATAL))}; exit {attempt.status}"
    return Finding("yes" if FATAL in left else "NO", label, unharmed(before, left) and unharmed(left, after),
                   f"{again.headline}; {bits(after, place.world.whole(), _AFTER)}", checks)  # fmt: skip


def late_reports(place: Place) -> Finding:
    """All reports of midnight come 45 minutes later: too late for the rapid update, in time for the re-analysis."""
    place.supply()
    midnight = TIMES[4]
    for path in place.bulletins(midnight):
        arrival = int((midnight + 45 * _MINUTE).astype("datetime64[ns]").astype(np.int64))
        os.utime(path, ns=(arrival, arrival))
    attempt = place.cycle("urma.run=true")
    rapid, late = place.stored(), place.stored("urma")
    kept = [time for time in TIMES if time != midnight]
    used = late[midnight].used if midnight in late else 0
    checks = {
        **labels_kept(place, attempt, [midnight], "no observations"),
        "the other analyses are bit-equal to an undisturbed run": same_fields(rapid, place.world.whole(), kept),
        f"the re-analysis has them (used {used})": used > 100 and midnight in late and not late[midnight].reasons,
    }
    again = late[midnight].status if midnight in late else "missing"
    label = f"{reasons_at(place, midnight)}; urma {again}; exit {attempt.status}"
    published = f"{len(rapid)} of {len(TIMES)}, and {len(late)} of urma"
    recovery = f"urma used {used} data; the other analyses {bits(rapid, place.world.whole(), kept)}"
    return Finding(published, label, same_fields(rapid, place.world.whole(), kept), recovery, checks)


def no_background(place: Place) -> None:
    place.background(FATAL).unlink()


def no_global_runs(place: Place) -> None:
    for path in place.global_runs():
        path.unlink()


def neither(place: Place) -> None:
    no_background(place)
    no_global_runs(place)


def background_of_nan(place: Place) -> None:
    in_process(_fill_with_nan, place.background(FATAL))


def _fill_with_nan(path: Path) -> None:
    with xr.open_dataset(path) as dataset:
        held = dataset.load()
    names = [name for name, values in held.data_vars.items() if {"time", "y", "x"} <= set(values.dims)]
    held.assign({name: held[name] * np.nan for name in names}).to_netcdf(path)


def nothing_at_first(place: Place) -> Finding:
    """Neither background nor global run nor analysis for the first cycle."""
    place.supply()
    place.background(TIMES[0]).unlink()
    overrides = ("global_runs.path=null",)
    attempt = place.cycle(*overrides)
    left = place.stored()
    first = [record for record in place.journal() if record.analysis_time == TIMES[0]]
    place.supply()
    again = place.cycle(*overrides)
    after = place.stored()
    checks = {
        f"exit status 3 (found {attempt.status})": attempt.status == 3,
        "a sentence names the time": "2026-06-15T23:00Z" in attempt.sentence,
        "the journal says refused": [record.status for record in first[:1]] == ["refused"],
        "the other cycles go on": list(left) == list(TIMES[1:]) and {s.status for s in left.values()} == {"complete"},
        f"once it has come the next start makes it (exit status {again.status})": again.status == 0,
        "bit-equal to an undisturbed run": same_fields(after, place.world.whole()),
    }
    label = f"refused; exit {attempt.status}: {short(attempt.sentence)}"
    return Finding(f"{len(left)} of {len(TIMES)}, then {len(after)}", label, unharmed(left, after),
                   f"{again.headline}; {bits(after, place.world.whole())}", checks)  # fmt: skip


def two_runs(place: Place) -> None:
    """The backgrounds as two runs of a regional forecast, of 18 and 22 UTC."""
    in_process(_write_two_runs, place.inputs)


def _write_two_runs(inputs: Path) -> None:
    _, design = region()
    states = []
    for path in sorted((inputs / "backgrounds").glob("*.nc")):
        with xr.open_dataset(path) as dataset:
            values = np.stack([dataset[name].squeeze("time").to_numpy() for name in design.layout.names])
            time = dataset["time"].to_numpy().reshape(-1)[0].astype("datetime64[ns]")
        states.append(State(torch.from_numpy(values[None].astype(np.float32)), design.layout, time))
    for hour in (18, 22):
        start = np.datetime64(f"2026-06-15T{hour}:00", "ns")
        product = ForecastProduct(design.domain, states, start, design.static, start, {"source": "simulated"})
        write_forecast(product, inputs / "forecasts")


def newest_run_late(place: Place) -> None:
    (path,) = (place.inputs / "forecasts").glob("*T2200Z.nc")
    path.unlink()


def newest_global_run_missing(place: Place) -> None:
    place.global_runs()[-1].unlink()


def newest_global_run_truncated(place: Place) -> None:
    halved(place.global_runs()[-1])


_NEXT = "the next cycles are as if nothing had been"
_GLOBAL = "no background: global state is the first guess"
_LEAD = ("background.path=inputs/forecasts", "background.usual_lead_hours=3", "background.latency_hours=0.5")
_AGE = ("global_runs.usual_age_hours=6",)


def _labelled(breaks: _Break, *said: str, **options: object) -> Callable[[Place], Finding]:
    return lambda place: met(place, breaks, *said, **options)


FAULTS = (
    Fault("directory of reports missing", f"labelled 'observation source down' and 'no observations'; {_NEXT}",
          _labelled(no_directory, "observation source down", "no observations")),
    Fault("directory of reports empty", f"labelled 'no observations'; {_NEXT}",
          _labelled(empty_directory, "no observations")),
    Fault("all files of reports unreadable (binary garbage)", f"labelled 'no observations'; {_NEXT}",
          _labelled(all_unreadable, "no observations")),
    Fault("one corrupt METAR file among good ones", "the good ones count; the bad one is in the account; complete",
          one_corrupt_bulletin),
    Fault("a named pipe among the files of reports", "passed over; complete", _labelled(named_pipe, status=0)),
    Fault("source of reports hangs (simulated)", "given up after patience_seconds; labelled; the process ends",
          slow_source),
    Fault("reports arrive after the cut-off", "labelled 'no observations'; the urma stream has them", late_reports),
    Fault("no reports at all for one cycle", f"labelled 'no observations', exit status 4; {_NEXT}",
          _labelled(none_at_all, "no observations")),
    Fault("few reports", f"labelled 'few observations'; {_NEXT}", _labelled(three_stations, "few observations")),
    Fault("background of one time missing", f"the global state, downscaled; labelled; {_NEXT}",
          _labelled(no_background, _GLOBAL)),
    Fault("background and global runs missing", f"persistence; labelled; {_NEXT}",
          _labelled(neither, "no background: persistence is the first guess", "no global run")),
    Fault("nothing to begin with at the first cycle",
          "refused in a sentence, exit status 3; the other cycles go on; the next start makes it", nothing_at_first),
    Fault("background file truncated", f"the global state, downscaled; labelled; {_NEXT}",
          _labelled(lambda place: halved(place.background(FATAL)), _GLOBAL)),
    Fault("background full of NaN", f"the global state, downscaled; labelled; {_NEXT}",
          _labelled(background_of_nan, _GLOBAL)),
    Fault("background late: only an older run is there", f"its longer forecast; labelled; {_NEXT}",
          _labelled(newest_run_late, "background late: a forecast of 5.75 h", overrides=_LEAD, prepared=two_runs)),
    Fault("newest global run missing", f"the older run; labelled with its age; {_NEXT}",
          _labelled(newest_global_run_missing, "global run late", overrides=_AGE)),
    Fault("newest global run truncated", f"the older run; labelled with its age; {_NEXT}",
          _labelled(newest_global_run_truncated, "global run late", overrides=_AGE)),
    Fault("no global run", f"an analysis without; labelled; {_NEXT}", _labelled(no_global_runs, "no global run")),
)  # fmt: skip
