"""Spectra of analyses beside the truth's: by case, and put together over cases.

For each analysis and variable, in bands of wave numbers (``spectra``): the variance of the truth, of the members' mean
and of the members (their average); the variance of the mean's error; and the covariance of mean and truth, for their
coherence. Spectra are means over cases of variances, so that no case's scale hides another's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rtma_diffda.fields.state import State
from rtma_diffda.verification.case_scores import CaseLabel
from rtma_diffda.verification.spectra import Bands, coefficients, coherence

SPECTRA = ("truth", "mean", "members", "error", "cross")
"""Kinds of spectra that are kept, in order."""

WAVELENGTH_RANGES: Mapping[str, tuple[float, float]] = {
    "over 100 km": (100e3, np.inf),
    "40 – 100 km": (40e3, 100e3),
    "20 – 40 km": (20e3, 40e3),
    "under 20 km": (0.0, 20e3),
}
"""Ranges (m) that tables of amplitudes show; a wavelength at a limit belongs to the longer range."""


@dataclass(frozen=True)
class CaseSpectra:
    """Spectra of one variable of one analysis.

    Attributes:
        label: which analysis.
        variable: short name.
        wavelength: (band,) m.
        power: (len(SPECTRA), band) SI units squared.
    """

    label: CaseLabel
    variable: str
    wavelength: np.ndarray
    power: np.ndarray


def case_spectra(analysis: State, truth: State, *, label: CaseLabel) -> list[CaseSpectra]:
    """Spectra of every variable of an analysis (member, channel, y, x) against its truth (1, channel, y, x).

    Raises:
        InputError: the grid's spacings differ along its axes.
    """
    bands = Bands.of(truth.layout.grid)
    exact = coefficients(truth.values[0].detach().cpu().double().numpy())
    members = coefficients(analysis.values.detach().cpu().double().numpy())
    mean = members.mean(axis=0)
    kinds = {
        "truth": exact**2,
        "mean": mean**2,
        "members": (members**2).mean(axis=0),
        "error": (mean - exact) ** 2,
        "cross": mean * exact,
    }
    power = np.stack([bands.gather(kinds[kind]) for kind in SPECTRA], axis=1)
    return [CaseSpectra(label, name, bands.wavelength, power[i]) for i, name in enumerate(truth.layout.names)]


def mean_spectra(spectra: Sequence[CaseSpectra]) -> pd.DataFrame:
    """Means over cases: setting, method, variable, band (from 1), wavelength (m), variances by kind, and coherence."""
    groups: dict[tuple[str, str, str], list[CaseSpectra]] = {}
    for one in spectra:
        groups.setdefault((one.label.setting, one.label.method, one.variable), []).append(one)
    tables = []
    for (setting, method, variable), group in groups.items():
        power = np.mean([one.power for one in group], axis=0)
        kinds = dict(zip(SPECTRA, power, strict=True))
        columns = {"band": np.arange(1, power.shape[1] + 1), "wavelength": group[0].wavelength, **kinds}
        columns["coherence"] = coherence(kinds["cross"], kinds["truth"], kinds["mean"])
        tables.append(pd.DataFrame({"setting": setting, "method": method, "variable": variable} | columns))
    return pd.concat(tables, ignore_index=True)


def amplitude_table(spectra: pd.DataFrame, *, ranges: Mapping[str, tuple[float, float]] | None = None) -> pd.DataFrame:
    """Amplitudes over the truth's by range of wavelengths: √(variance / variance of the truth).

    Args:
        spectra: from ``mean_spectra``.
        ranges: {words: (shortest, longest) m}; ``WAVELENGTH_RANGES`` where None.

    Returns:
        setting, method, variable, range, ``mean``, ``members``, ``error`` (the amplitude of the error over the truth's:
        above 1 the analysis is worse there than none) and ``coherence``. Ranges without a band have no rows.
    """
    rows = []
    for key, group in spectra.groupby(["setting", "method", "variable"], sort=False):
        for words, (shortest, longest) in (WAVELENGTH_RANGES if ranges is None else ranges).items():
            inside = group[(group["wavelength"] >= shortest) & (group["wavelength"] < longest)]
            if inside.empty:
                continue
            total = inside[list(SPECTRA)].sum()
            amplitudes = {kind: np.sqrt(total[kind] / total["truth"]) for kind in ("mean", "members", "error")}
            known = float(coherence(*(np.array(total[kind]) for kind in ("cross", "truth", "mean"))))
            rows.append((*key, words, *amplitudes.values(), known))
    return pd.DataFrame(
        rows, columns=["setting", "method", "variable", "range", "mean", "members", "error", "coherence"]
    )
