"""Claim: whatever fails around a run of cycles, an analysis is made and says what it lacks, or a sentence says why not.

    python validation/faults.py [--output DIR] [--only NAME] [--workers 2] [--write]

Faults are brought about in runs of the real verb over a small simulated world, and a row for each says what was
promised, whether there was a product, what product, journal and exit status say, whether all analyses that had been
stored are what they were (all arrays, bit for bit), and what the next cycle or start did. Exits 0 only if all is as
promised. ``--only`` takes part of a name, or a pattern; ``--write`` writes the table to ``validation/faults.md`` too.
Takes about nine minutes on two cores (eleven at a load of six), and needs root, for file systems that are full or
read-only. The world is made once in DIR.

What cannot be had here is simulated by code that raises what it would: memory that runs out, an accelerator that fails,
a source that hangs, and the disk of the live run. The full and read-only disks of replays are real. Where a fault meets
the first cycles of a run there is nothing older to lose: then what its start has stored must survive the next start
(or, of late reports, the other cycles be those of an undisturbed run).
"""

import argparse
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import faults_clock
import faults_disk
import faults_inputs
import faults_kill
import faults_method
import torch
from faults_finding import HEADER, Fault, Finding
from faults_place import Place, World

FAULTS: tuple[Fault, ...] = (
    *faults_kill.FAULTS,
    *faults_inputs.FAULTS,
    *faults_disk.FAULTS,
    *faults_method.FAULTS,
    *faults_clock.FAULTS,
)


def tried(number: int, directory: Path, world: World) -> tuple[Finding, float]:
    """What became of a fault in a place of its own, and the seconds that it took."""
    since = time.monotonic()
    shutil.rmtree(directory, ignore_errors=True)
    try:
        finding = FAULTS[number].inject(Place(directory, world))
    except Exception as error:
        finding = Finding("?", "?", False, "?", {f"{type(error).__name__}: {error}": False})
    return finding, time.monotonic() - since


def find(chosen: Sequence[int], world: World, workers: int) -> dict[int, Finding]:
    """Try the faults, each by its number; a line tells of each as it is done."""
    findings: dict[int, Finding] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        places = {number: world.directory / "faults" / f"{number:02d}" for number in chosen}
        running = {pool.submit(tried, number, places[number], world): number for number in chosen}
        for done in as_completed(running):
            fault, (finding, seconds) = FAULTS[running[done]], done.result()
            findings[running[done]] = finding
            verdict = "as promised" if not finding.broken else f"NOT AS PROMISED: {'; '.join(finding.broken)}"
            print(f"[{len(findings)}/{len(chosen)}] {fault.name}: {verdict} ({seconds:.0f} s)", flush=True)
    return findings


def table(findings: dict[int, Finding]) -> str:
    """The findings in Markdown."""
    found = [FAULTS[number].row(finding) for number, finding in sorted(findings.items())]
    rows = [HEADER, ("---",) * len(HEADER), *found]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("outputs/faults"))
    parser.add_argument("--only", default="")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    since = time.monotonic()
    world = World.in_directory(arguments.output.resolve())
    world.prepare()
    print(f"world and undisturbed runs: {time.monotonic() - since:.0f} s", flush=True)
    chosen = [number for number, fault in enumerate(FAULTS) if re.search(arguments.only, fault.name)]
    findings = find(chosen, world, arguments.workers)
    kept = sum(not finding.broken for finding in findings.values())
    text = f"{table(findings)}\n\n{kept} of {len(findings)} faults as promised"
    print(f"\n{text} ({time.monotonic() - since:.0f} s)")
    if arguments.write:
        introduction = "Made by `python validation/faults.py --write`; its first lines say what the columns are."
        path = Path(__file__).with_suffix(".md")
        path.write_text(f"# Faults of cycling\n\n{introduction}\n\n{text}\n", encoding="utf-8")
    return 0 if findings and kept == len(findings) else 1


if __name__ == "__main__":
    sys.exit(main())
