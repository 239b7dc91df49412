"""Runs made by hand: analyses in an archive with feedback, as a run of cycles leaves them, and records of cycles."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from builders import random_table, small_grid, small_static

from rtma_diffda.cycling.case import Case, CaseSources, feedback
from rtma_diffda.cycling.departures import Departures, departures_of, in_provenance
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.cycling.record import CycleRecord
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import Region
from rtma_diffda.interfaces import Analysis
from rtma_diffda.io.product import Product
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.times import SLOT, Window

DAY_ONE = np.datetime64("2026-01-01T00:00", "ns")
LAYOUT = Layout.of(small_grid(), ["t2m", "d2m"])
REGION = Region("small", "Small region", LAYOUT.grid, LAYOUT.names)
SECONDS = {"reports": 0.2, "first guess": 0.1, "analysis": 1.0}
LAG = np.timedelta64(5, "m")


def make_publisher(directory: Path) -> Publisher:
    return Publisher.at(directory, REGION, layout=LAYOUT, static=small_static())


def case_at(time: np.datetime64) -> Case:
    generator = torch.Generator().manual_seed(3)
    background = State(280.0 + torch.randn(1, *LAYOUT.shape, generator=generator), LAYOUT, time)
    sources = CaseSources(REGION, small_static(), QualityControl(background_check=None), ("S001", "S004"))
    table = random_table(LAYOUT, 30).assign(valid_time=time)
    return sources.case(background, table, Window.around(time, SLOT // 2), {"first_guess": "background"})


def publish(
    publisher: Publisher,
    time: np.datetime64,
    *,
    degraded: tuple[str, ...] = (),
    seconds: Mapping[str, float] | None = None,
    shift: float = 1.0,
    lag: np.timedelta64 = LAG,
) -> Product:
    """Store an analysis that is ``shift`` above its background, with the provenance that cycles give."""
    case = case_at(time)
    state = case.background.with_values(case.background.values + shift)
    analysis = Analysis(state, case.problem(), torch.ones(LAYOUT.shape), degraded=degraded)
    table = feedback(case, analysis)
    stages = {f"seconds_{name.replace(' ', '_')}": value for name, value in (seconds or SECONDS).items()}
    provenance = {"method": "test", **in_provenance(departures_of(table)), **stages}
    return publisher.publish(case, analysis, provenance, feedback_table=table, created=time + lag)


def record_at(time: np.datetime64, *, status: str = "complete", **changes) -> CycleRecord:
    departures = {"t2m": Departures(12, 3, 1.5, 0.75, 1.6, 1.25), "d2m": Departures(8, 0, 2.0, 1.0, np.nan, np.nan)}
    parts = {"reasons": (), "finished": time + LAG, "offered": 30, "departures": departures, "seconds": SECONDS}
    return CycleRecord(**{"stream": "main", "analysis_time": time, "status": status} | parts | changes)
