"""``publish``: one analysis to the archive, with its feedback beside it and, on request, a NetCDF file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rtma_diffda import __version__
from rtma_diffda.errors import InputError
from rtma_diffda.experiments.case import Case, feedback
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_design import ArchiveDesign
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
    """

    directory: Path
    archive: Archive
    overwrite: bool = False

    @classmethod
    def at(
        cls, directory: str | Path, region: Region, *, layout: Layout, static: StaticFields, overwrite: bool = False
    ) -> "Publisher":
        """The publisher of a region's analyses under ``directory``.

        Raises:
            InputError: an archive of another grid or other variables is there, or the place cannot be written.
        """
        design = ArchiveDesign(layout, static, region.name, title=f"{region.title}: analyses")
        directory = Path(directory)
        return cls(directory, Archive.open(directory / "archive", design), overwrite)

    def keeps(self, time: np.datetime64, *, degraded: bool = False) -> bool:
        """True if the archive has an analysis of this time that must stay: any against a degraded one, a complete one
        against all."""
        held = ("complete", "degraded") if degraded else ("complete",)
        return not self.overwrite and self.archive.status(time) in held

    def publish(self, case: Case, analysis: Analysis, provenance: Mapping[str, str | float]) -> Product:
        """Store the analysis and its feedback; when this returns both are on the disk.

        Raises:
            InputError: the archive has an analysis of this time that ``overwrite`` does not allow to replace, or the
                file system refused.
        """
        product = self._product(case, analysis, provenance)
        time = product.valid_time
        if not self.archive.write(product, overwrite=self.overwrite):
            raise InputError(f"{self.archive.root} has an analysis of {format_time(time)}; overwrite=true replaces it")
        path = self.directory / "feedback" / f"{compact_time(time)}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(path, feedback(case, analysis))
        return product

    def write_netcdf(self, product: Product) -> Path:
        """One analysis as a file of its own."""
        return write_netcdf(product, self.directory / "netcdf")

    def _product(self, case: Case, analysis: Analysis, provenance: Mapping[str, str | float]) -> Product:
        used = len(analysis.problem.observations)
        counts = {"observations_offered": float(len(case.table)), "observations_used": float(used)}
        return Product(
            domain=case.region.name,
            analysis=analysis.state,
            static=case.static,
            created=np.datetime64(datetime.now(UTC).replace(tzinfo=None), "s"),
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
