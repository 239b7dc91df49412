"""``publish``: one analysis to the archive, with its feedback beside it and, on request, a NetCDF file."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rtma_diffda import __version__
from rtma_diffda.experiments.case import Case, feedback
from rtma_diffda.interfaces import Analysis
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.archive_design import ArchiveDesign
from rtma_diffda.io.netcdf import write_netcdf
from rtma_diffda.io.product import Product
from rtma_diffda.io.tables import write_table
from rtma_diffda.times import compact_time, format_time

_log = logging.getLogger(__name__)


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
    def at(cls, directory: str | Path, case: Case, *, overwrite: bool = False) -> "Publisher":
        """The publisher of a case's region and variables under ``directory``.

        Raises:
            InputError: an archive of another grid or other variables is there, or the place cannot be written.
        """
        design = ArchiveDesign(
            case.background.layout, case.static, case.region.name, title=f"{case.region.title}: analyses"
        )
        directory = Path(directory)
        return cls(directory, Archive.open(directory / "archive", design), overwrite)

    def publish(self, case: Case, analysis: Analysis, provenance: Mapping[str, str | float]) -> Product:
        """Store the feedback, then the analysis; when this returns both are on the disk.

        An analysis that the archive already has stays as it is unless ``overwrite`` is set.
        """
        product = self._product(case, analysis, provenance)
        stored = self.archive.write(product, overwrite=self.overwrite)
        time = product.valid_time
        if not stored:
            _log.warning("%s is in the archive already and was left as it is; overwrite=true replaces it", time)
        path = self.directory / "feedback" / f"{compact_time(time)}.parquet"
        if stored or not path.exists():
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
