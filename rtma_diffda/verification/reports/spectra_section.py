"""The section of a comparison's page about spectra: are analyses, and members, as rough as the weather?"""

import pandas as pd

from rtma_diffda.verification.case_spectra import amplitude_table, octave_table
from rtma_diffda.verification.checks_text import octave_title
from rtma_diffda.verification.display import format_number, source_title, title_of
from rtma_diffda.verification.reports.page import PageSection
from rtma_diffda.verification.reports.report import Picture
from rtma_diffda.verification.reports.spectra_figures import amplitude_figure, error_spectra_figure
from rtma_diffda.verification.reports.tables import Table

_AMPLITUDE_HEADER = ("variable", "method", "wavelength", "amplitude of mean", "of members", "of error", "coherence")

_REMARK = (
    "All amplitudes over the truth's; by octave, the members' variance over the truth's. A single analysis is its own "
    "member. Coherence: share of the truth's variance that the analysis' mean knows. Surface pressure is nearly all "
    "terrain, which every method knows: amplitudes, octaves and coherence say little there."
)


def spectra_section(spectra: pd.DataFrame | None, setting: str) -> PageSection:
    """Of the analyses of one setting, from ``case_spectra.mean_spectra``; empty where there are none."""
    if spectra is None or spectra.empty:
        return PageSection("Roughness")
    rows = spectra[spectra["setting"] == setting]
    pictures = (
        Picture.of(
            amplitude_figure(rows),
            "Amplitude of the analyses over the truth's by wavelength. Below 1: too smooth; above 1: too rough. A mean "
            "must be smoother than the truth where the observations do not reach; members should be at 1.",
        ),
        Picture.of(
            error_spectra_figure(rows),
            "Amplitude of the error over the truth's by wavelength. Where it nears 1 an analysis knows nothing of "
            "waves of that length.",
        ),
    )
    tables = (("", _amplitudes(rows)), ("Members' variance by octave", _octaves(rows)))
    return PageSection("Roughness", tables=tables, pictures=pictures, remark=_REMARK)


def _amplitudes(spectra: pd.DataFrame) -> Table:
    rows = [
        (
            title_of(row["variable"]),
            source_title(row["method"]),
            row["range"],
            *(format_number(row[name]) for name in ("mean", "members", "error", "coherence")),
        )
        for row in amplitude_table(spectra).to_dict("records")
    ]
    return Table(_AMPLITUDE_HEADER, rows, text_columns=3)


def _octaves(spectra: pd.DataFrame) -> Table:
    """Members' variance over the truth's: a row for each variable and method, a column for each octave."""
    octaves = octave_table(spectra)
    longest_first = octaves.drop_duplicates("octave").sort_values("octave", ascending=False)
    titles = {row["octave"]: octave_title(row) for row in longest_first.to_dict("records")}
    rows = []
    for (variable, method), group in octaves.groupby(["variable", "method"], sort=False):
        ratios = group.set_index("octave")["members"]
        cells = (format_number(ratios.get(octave, float("nan"))) for octave in titles)
        rows.append((title_of(variable), source_title(method), *cells))
    return Table(("variable", "method", *titles.values()), rows, text_columns=2)
