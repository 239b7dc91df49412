"""``ensure_world``: a simulated world made once in a directory, and recognised there.

    DIRECTORY/world.json     what was asked for, and whether all of it is there; written first, and again last
    DIRECTORY/nature.zarr    truth, background, sky and large scale of the nature run

and the files of ``simulated_world``. A world whose making was cut short is made again.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rtma_diffda import __version__
from rtma_diffda.dynamics.nature_run import RunFields
from rtma_diffda.dynamics.slab.diagnosis import SKY
from rtma_diffda.errors import InputError
from rtma_diffda.experiments.simulated_world import (
    BACKGROUNDS,
    GLOBAL_RUNS,
    SPOOL,
    STATION_TABLE,
    SimulatedWorld,
    WorldSettings,
    nature_of,
    simulate_weather,
    states_on,
    write_world,
)
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.atomic import explain_failures, remove, write_bytes
from rtma_diffda.io.simulation_store import SimulatedRun, read_run, write_run

NATURE = "nature.zarr"
"""The store of the nature run, as ``io.simulation_store`` reads it."""

_FORMAT = 1
_DESCRIPTION = "world.json"
_PARTS = (STATION_TABLE, SPOOL, BACKGROUNDS, GLOBAL_RUNS, NATURE)


def ensure_world(
    region: Region, static: StaticFields, times: np.ndarray, *, settings: WorldSettings, directory: Path
) -> SimulatedWorld:
    """The world of ``directory``; simulated first where it is not there yet.

    Args:
        region: where.
        static: terrain and land of its grid.
        times: (time,) valid times.
        settings: what to simulate.
        directory: of this world; made when absent.

    Raises:
        InputError: the directory holds another world, or files of unknown origin under the names of a world's.
        UsageError: the region analyses a variable that is not simulated.
    """
    wanted = _description(region, static, times, settings)
    found = _read_description(directory)
    _require_same(directory, found, wanted)
    if found is None or not found["complete"]:
        with explain_failures(f"directory {directory}"):
            directory.mkdir(parents=True, exist_ok=True)
        _write_description(directory, wanted, complete=False)
        for name in _PARTS:
            remove(directory / name)
        run = simulate_weather(region, static, times, settings)
        write_world(region, run, settings=settings, directory=directory)
        write_run(directory / NATURE, _stored(region.name, run))
        _write_description(directory, wanted, complete=True)
    return load_world(directory)


def load_world(directory: Path) -> SimulatedWorld:
    """The world that ``ensure_world`` made.

    Raises:
        InputError: there is none, it is not complete, or it is damaged.
    """
    found = _read_description(directory)
    if found is None or not found["complete"]:
        raise InputError(f"{directory} holds no complete simulated world: {_DESCRIPTION} is absent or says so")
    truth = read_run(directory / NATURE, only=()).truth
    return SimulatedWorld(
        truth.valid_times,
        states_on(Layout.of(truth.layout.grid, found["variables"]), truth),
        directory / STATION_TABLE,
        tuple(sorted((directory / SPOOL).glob("metar_*.txt"))),
        tuple(sorted((directory / BACKGROUNDS).glob("*.nc"))),
        directory / GLOBAL_RUNS if found["settings"]["global_runs"] else None,
    )


def _description(region: Region, static: StaticFields, times: np.ndarray, settings: WorldSettings) -> dict[str, Any]:
    """All that determines a world."""
    return {
        "format": _FORMAT,
        "region": region.name,
        "grid": asdict(region.grid),
        "variables": list(region.variables),
        "static": static.source,
        "times": np.datetime_as_string(times, unit="s").tolist(),
        "settings": asdict(settings),
        "nature": repr(nature_of(region, settings)),
        "software": __version__,
    }


def _write_description(directory: Path, description: Mapping[str, Any], *, complete: bool) -> None:
    text = json.dumps({**description, "complete": complete}, indent=1, sort_keys=True)
    write_bytes(directory / _DESCRIPTION, text.encode())


def _read_description(directory: Path) -> dict[str, Any] | None:
    """What is known of the world in a directory; None where no world was begun.

    Raises:
        InputError: it is damaged.
    """
    path = directory / _DESCRIPTION
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT or "complete" not in found:
        raise InputError(f"{path} is no description of a simulated world of format {_FORMAT}; remove the directory")
    return found


def _require_same(directory: Path, found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> None:
    """Nothing where a world as wanted is in the directory, or was begun, or none and no file of its names."""
    if found is None:
        present = [name for name in _PARTS if (directory / name).exists()]
        if present:
            raise InputError(
                f"{directory} holds {', '.join(present)} but no {_DESCRIPTION} that says what they are; choose another "
                "directory for the simulated world"
            )
        return
    differing = sorted(name for name, value in wanted.items() if found.get(name) != value)
    if differing:
        raise InputError(
            f"{directory} holds another simulated world, with other {', '.join(differing)}; remove it or choose "
            "another directory"
        )


def _stored(name: str, run: RunFields) -> SimulatedRun:
    coarse = run.large_scale
    return SimulatedRun(
        name,
        run.static,
        truth=StateSeries(run.truth, run.layout, run.times),
        background=StateSeries(run.background, run.layout, run.times),
        sky=StateSeries(run.sky, Layout.of(run.layout.grid, SKY), run.times),
        large_scale=StateSeries(coarse.values, coarse.layout, coarse.times),
        large_scale_static=coarse.static,
        parameters=run.parameters,
    )
