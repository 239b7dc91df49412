"""Pages of the experiments of DiffDA: tables, graphs and maps of one run, and what it was made with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rtma_diffda import __version__
from rtma_diffda.experiments.diffda_bench import Bench
from rtma_diffda.experiments.diffda_settings import DiffdaSettings
from rtma_diffda.experiments.diffda_single_step import HEADLINE, DrawnCase
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.verification.display import aligned_text
from rtma_diffda.verification.global_errors import ALL
from rtma_diffda.verification.reports.canvas import save_png
from rtma_diffda.verification.reports.diffda_figures import channel_title
from rtma_diffda.verification.reports.global_maps import ErrorRow, error_maps
from rtma_diffda.verification.reports.page import PageHead, PageSection, write_page
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.tables import Table

MADE_UP = (
    "The weather is made up: a nature run of a small planet like the Earth, with the forecast model and the denoisers "
    "trained on other parts of it; errors are not those of real weather, and nothing here is compared with ERA5. Cells "
    "are of {degrees:.2g}°; the published recipe was made for 0.25°. Its mask of 1.5 cells, and its interpolation "
    "of values, reach much farther over the globe here, and harm where the background is good."
)
REAL = "The truth is that of {data}; forecasts are those of {model}."
WEIGHTS = "Errors are weighted by the area of the cells unless it says otherwise; published ones are not."


@dataclass
class Report:
    """A page in the making, with its files.

    Attributes:
        settings: of the run.
        bench: that it was run with.
        title: heading of the page.
        story: what was run, in plain sentences.
        cases: their number and what they are, for the remark on intervals.
    """

    settings: DiffdaSettings
    bench: Bench
    title: str
    story: str
    cases: str
    files: dict[str, Path] = field(default_factory=dict)
    sections: list[PageSection] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def titles(self) -> dict[str, str]:
        """Of the methods by name."""
        return {recipe.name: recipe.title for recipe in self.bench.recipes}

    @property
    def channels(self) -> list[str]:
        """Headline channels that the layout has, and the relative error."""
        return [*(name for name in HEADLINE if name in self.bench.world.layout.names), ALL]

    def table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as a CSV file."""
        path = write_bytes(self.settings.directory / f"{name}.csv", table.to_csv(index=False).encode())
        self.files[f"table of {name.replace('_', ' ')}"] = path

    def picture(self, name: str, figure: Any, caption: str) -> Picture:
        """Write a matplotlib figure as a PNG file, and hand it on for the page."""
        path = save_png(figure, self.settings.directory / f"{name}.png")
        self.files[name.replace("_", " ")] = path
        return Picture(path.read_bytes(), caption)

    def section(
        self,
        title: str,
        *,
        text: Sequence[str] = (),
        tables: Mapping[str, Table] | None = None,
        pictures: Sequence[Picture] = (),
        remark: str = "",
        told: bool = False,
    ) -> None:
        """Add a section; ``told``: its sentences and tables are shown in the terminal, too."""
        tables = tables or {}
        kept = tuple(("", _under(heading, table)) for heading, table in tables.items() if table.rows)
        self.sections.append(PageSection(title, tuple(text), kept, tuple(pictures), remark))
        if told:
            shown = [f"{heading}:\n{_as_text(table)}" for heading, table in tables.items() if table.rows]
            self.texts += [*text, *shown]

    def maps(self, case: DrawnCase, shown: Sequence[str]) -> list[Picture]:
        """Maps of the errors of the first case: background and methods ``shown``."""
        static, titles = self.bench.world.archive.static, self.titles
        names = [name for name in shown if name in case.analyses]
        pictures = []
        for channel in ("z500", "t2m"):
            if channel not in case.truth:
                continue
            estimates = {"background": case.background[channel]}
            estimates |= {titles[name]: case.analyses[name][channel] for name in names}
            row = ErrorRow(channel, case.truth[channel], estimates)
            figure = error_maps(
                row, static, latitude=case.latitude, longitude=case.longitude, observed=[titles[n] for n in names]
            )
            caption = (
                f"{channel_title(channel)}: errors of one case with {len(case.latitude):,} observed columns (dots)."
            )
            pictures.append(self.picture(f"maps_{channel}", figure, caption))
        return pictures

    def finish(self) -> RunSummary:
        """Write the page; the summary for the terminal."""
        created = np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s")
        head = PageHead(self.title, f"{self.story} {self._origin}", created, self._provenance())
        self.files["report"] = write_page(self.settings.directory / "report.html", head, self.sections)
        files = [f"{what}: {where}" for what, where in self.files.items()]
        return RunSummary("\n\n".join([self.title, *self.texts, "\n".join(files)]), self.files)

    @property
    def _origin(self) -> str:
        files = self.settings.files
        real = REAL.format(data=files.data, model=files.forecast_checkpoint)
        told = MADE_UP.format(degrees=360.0 / self.bench.world.layout.grid.nx) if self.settings.miniature else real
        return f"{told} {WEIGHTS}"

    def _provenance(self) -> dict[str, object]:
        return {
            "software": f"rtma_diffda {__version__}",
            "truth and forecast model": self.bench.world.source,
            "cases": self.cases,
            "columns drawn by": self.settings.draw,
            "seed": self.settings.seed,
            "results": self.bench.store.path.name,
            **{
                name.replace("_", " "): _in_words(value)
                for name, value in vars(self.settings).items()
                if name not in ("exercise", "seed", "draw", "progress", "files")
            },
            **{name.replace("_", " "): path or "packaged" for name, path in vars(self.settings.files).items()},
        }


def _under(heading: str, table: Table) -> Table:
    """A table whose rows stand under a heading of their own."""
    return Table(("", *table.header), [(heading, *row) for row in table.rows], text_columns=table.text_columns + 1)


def _in_words(value: object) -> str:
    """Settings of a group as ``name value``, lists with commas."""
    if is_dataclass(value):
        return "; ".join(f"{name.replace('_', ' ')} {_in_words(part)}" for name, part in vars(value).items())
    return (
        ", ".join(map(str, value))
        if isinstance(value, tuple)
        else "chosen by the grid"
        if value is None
        else str(value)
    )


def _as_text(table: Table) -> str:
    return aligned_text(table.header, table.rows, text_columns=table.text_columns)
