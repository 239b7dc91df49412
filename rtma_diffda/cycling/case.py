"""``Case``: one analysis time of a region with everything that methods are given and verified with."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch

from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.limits import within_limits
from rtma_diffda.fields.state import State
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem, departures
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.observations.table import Observations
from rtma_diffda.observations.withholding import withhold_in_table
from rtma_diffda.times import Window


@dataclass(frozen=True)
class Case:
    """A background and marked observations.

    Attributes:
        region: where.
        static: terrain and land of its grid.
        operator: H.
        window: the times whose data count.
        background: x_b on the region's grid.
        table: every datum offered, with all marks; other variables than the layout's included.
        observations: the part of the table that the layout concerns, with the same marks and order.
        provenance: where background and observations come from.
        boundary: states of a global run around the analysis time; None where there are none.
    """

    region: Region
    static: StaticFields
    operator: BilinearOperator
    window: Window
    background: State
    table: pd.DataFrame
    observations: Observations
    provenance: Mapping[str, str] = field(default_factory=dict)
    boundary: Boundary | None = None

    def problem(self) -> AssimilationProblem:
        """What a method is given: the data without a mark."""
        used = self.observations.used()
        return AssimilationProblem(self.background, used, self.operator, self.window, boundary=self.boundary)


@dataclass(frozen=True)
class CaseSources:
    """What cases of one region share: its grid's static fields, H, and how observations are judged."""

    region: Region
    static: StaticFields
    quality_control: QualityControl
    withheld: Collection[str] = ()

    def case(
        self,
        background: State,
        table: pd.DataFrame,
        window: Window,
        provenance: Mapping[str, str] | None = None,
        *,
        boundary: Boundary | None = None,
    ) -> Case:
        """A case from a background, the table of reports as ingested, and the states of a global run if there are any.

        Withheld stations are marked before the background check, which looks only at data without a mark: what verifies
        a background must not have been chosen by it.
        """
        operator = BilinearOperator(background.layout, self.static)
        screened = self.quality_control.screen(table, grid=self.region.grid, window=window)
        screened = withhold_in_table(screened, self.withheld)
        observations = Observations.from_table(screened, background.layout)
        observations = self.quality_control.check_background(observations, background, operator)
        concerned = screened["variable"].isin(background.layout.names).to_numpy()
        flags = screened["flags"].to_numpy().copy()
        flags[concerned] = observations.flags
        marked = screened.assign(flags=flags)
        return Case(
            self.region,
            self.static,
            operator,
            window,
            background,
            marked,
            observations,
            dict(provenance or {}),
            boundary,
        )


def limited(analysis: Analysis) -> Analysis:
    """The analysis within the limits that its variables set each other; diagnostics say how many values were moved."""
    state, moved = within_limits(analysis.state)
    counts = {f"{name}_values_moved_to_limits": float(count) for name, count in moved.items()}
    return replace(analysis, state=state, diagnostics={**analysis.diagnostics, **counts})


def feedback(case: Case, analysis: Analysis) -> pd.DataFrame:
    """Every datum offered, used or not: the table with ``ombg`` (O − B) and ``oman`` (O − A), SI.

    Where the analysis states its error, ``analysis_error_std`` is that error at the datum. Both are NaN
    where H cannot be applied (no position, outside the region, no value) and for variables that the layout does not
    have.
    """
    grid = case.region.grid
    observations = case.observations
    inside = grid.contains(observations.latitude.cpu().numpy(), observations.longitude.cpu().numpy())
    inside &= np.isfinite(observations.value.cpu().numpy())
    placed = observations.select(inside)
    columns = {}
    rows = np.flatnonzero(case.table["variable"].isin(case.background.layout.names).to_numpy())[inside]
    for name, state in (("ombg", case.background), ("oman", analysis.state)):
        values = np.full(len(case.table), np.nan)
        values[rows] = departures(state.mean(), placed, case.operator)[0].cpu().numpy()
        columns[name] = values
    if analysis.error_std is not None:
        stated = np.full(len(case.table), np.nan)
        stated[rows] = case.operator.tangent(analysis.error_std[None].double().cpu(), placed)[0].numpy()
        columns["analysis_error_std"] = stated
    return case.table.assign(**columns)


def seeded(seed: int, valid_time: np.datetime64) -> torch.Generator:
    """A generator that depends on the seed and the valid time alone, so a rerun of one time gives the same bits."""
    minutes = int(valid_time.astype("datetime64[m]").astype(np.int64))
    entropy = np.random.SeedSequence([seed, minutes]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(entropy >> np.uint64(1)))
