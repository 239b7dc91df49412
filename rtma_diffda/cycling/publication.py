"""``publish``: one analysis to the archive, with its feedback beside it and, on request, a NetCDF file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from rtma_diffda import __version__
from rtma_diffda.cycling.case import Case, feedback
from rtma_diffda.cycling.history import History
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_design import ArchiveDesign
from rtma_diffda.io.atomic import explain_failures, remove_stale_temporaries
from rtma_diffda.io.netcdf import write_netcdf
from rtma_diffda.io.product import Product
from rtma_diffda.io.tables import write_table
from rtma_diffda.times import compact_time, format_time


@dataclass(frozen=True)
class Publisher:
    """Where analyses of one region go.

    Attributes:
        directory: of the run; ``archive/``, ``feedback/`` and ``netcdf/`` lie in it.
        archive: in ``archive/``.
        overwrite: replace an analysis that the archive already has.
        history: the archive's analyses as later ones may know them; all of them where None.
    """

    directory: Path
    archive: Archive
    overwrite: bool = False
    history: History | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.history is None:
            object.__setattr__(self, "history", History(self.archive))

    @classmethod
    def at(
        cls,
        directory: str | Path,
        region: Region,
        *,
        layout: Layout,
        static: StaticFields,
        overwrite: bool = False,
        members: int = 0,
    ) -> "Publisher":
        """The publisher of a region's analyses under ``directory``.

        Raises:
            InputError: an archive of another grid or other variables is there, or the place cannot be written.
        """
        design = ArchiveDesign(layout, static, region.name, title=f"{region.title}: analyses", members=members)
        directory = Path(directory)
        return cls(directory, Archive.open(directory / "archive", design), overwrite)

    def keeps(self, time: np.datetime64, *, degraded: bool = False) -> bool:
        """True if the archive has an analysis of this time that must stay: any against a degraded one, a complete one
        against all."""
        held = ("complete", "degraded") if degraded else ("complete",)
        return not self.overwrite and self.archive.status(time) in held

    def publish(
        self,
        case: Case,
        analysis: Analysis,
        provenance: Mapping[str, str | float],
        *,
        feedback_table: pd.DataFrame | None = None,
        created: np.datetime64 | None = None,
    ) -> Product:
        """Store the analysis and its feedback; when this returns both are on the disk.

        Feedback is stored first where the analysis is new, so that no analysis lacks its own whatever kills us.

        Args:
            case: what it was made from.
            analysis: what is stored.
            provenance: how it was made.
            feedback_table: ``feedback`` of both, where it is at hand.
            created: when it was made; now where None.

        Raises:
            InputError: the archive has an analysis of this time that ``overwrite`` does not allow to replace, or the
                file system refused.
        """
        product = self._product(case, analysis, provenance, _now() if created is None else created)
        table = feedback(case, analysis) if feedback_table is None else feedback_table
        new = self.archive.status(product.valid_time) not in ("complete", "degraded")
        if new:
            self._write_feedback(product.valid_time, table)
        if not self.archive.write(product, overwrite=self.overwrite):
            raise InputError(
                f"{self.archive.root} has an analysis of {format_time(product.valid_time)}; overwrite=true replaces it"
            )
        if not new:
            self._write_feedback(product.valid_time, table)
        return product

    def feedback_path(self, time: np.datetime64) -> Path:
        """Where the feedback of one analysis is."""
        return self.directory / "feedback" / f"{compact_time(time)}.parquet"

    def write_netcdf(self, product: Product) -> Path:
        """One analysis as a file of its own."""
        return write_netcdf(product, self.directory / "netcdf")

    def _write_feedback(self, time: np.datetime64, table: pd.DataFrame) -> None:
        path = self.feedback_path(time)
        with explain_failures(f"feedback of {format_time(time)}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_stale_temporaries(path.parent)
            write_table(path, table)

    def _product(
        self, case: Case, analysis: Analysis, provenance: Mapping[str, str | float], created: np.datetime64
    ) -> Product:
        used = len(analysis.problem.observations)
        counts = {"observations_offered": float(len(case.table)), "observations_used": float(used)}
        return Product(
            domain=case.region.name,
            analysis=analysis.state,
            static=case.static,
            created=created.astype("datetime64[s]"),
            obs_cutoff=case.window.cutoff,
            background=case.background,
            error_std=analysis.error_std,
            provenance={
                "software": f"rtma_diffda {__version__}",
                "window": f"{format_time(case.window.start)} to {format_time(case.window.end)}",
                **case.provenance,
                **provenance,
                **counts,
                **analysis.diagnostics,
            },
            degraded=analysis.degraded,
        )


def _now() -> np.datetime64:
    return np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s")
