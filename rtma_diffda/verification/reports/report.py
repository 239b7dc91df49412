"""``Report``: everything that one verification page says, before it is laid out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rtma_diffda.verification.bootstrap import BlockBootstrap
from rtma_diffda.verification.reports.canvas import png_bytes


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Attributes:
        png: the picture.
        caption: what it shows, in a sentence or two; also read out where the picture cannot be seen.
    """

    png: bytes
    caption: str

    @classmethod
    def of(cls, figure: Figure, caption: str) -> "Picture":
        """From a matplotlib figure."""
        return cls(png_bytes(figure), caption)


@dataclass(frozen=True)
class Report:
    """A verification report.

    Attributes:
        title: heading of the page.
        summary: what was run, in a few plain sentences; says what is real and what is simulated.
        scores: at withheld stations, from ``scores.score_table``; the headline.
        withheld_list_id: of those stations, from ``withholding.withheld_list_id``.
        bootstrap: how the intervals were made.
        created: when the page was made (wall clock, UTC).
        published: name of the source that is the published product; the headline is about it, whichever scores best.
        degraded: reasons, in words, why the run is less than normal; empty where it is normal.
        provenance: {what: value} of the run: region, method, settings, files, versions, seed, …
        maps: pictures of fields.
        graphs: pictures of scores and departures.
        calibration: from ``calibration.calibration_table``; None where no error is stated.
        account: from ``account.observation_account``; None where unknown.
        fit: scores at the stations that *were* used, never part of the headline; None to leave them out.
    """

    title: str
    summary: str
    scores: pd.DataFrame
    withheld_list_id: str
    bootstrap: BlockBootstrap
    created: np.datetime64
    published: str
    degraded: tuple[str, ...]
    provenance: Mapping[str, object] = field(default_factory=dict)
    maps: tuple[Picture, ...] = ()
    graphs: tuple[Picture, ...] = ()
    calibration: pd.DataFrame | None = None
    account: pd.DataFrame | None = None
    fit: pd.DataFrame | None = None
