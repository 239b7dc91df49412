"""Spectra of analyses beside the truth's: by case, and put together over cases.

For each analysis and variable, in bands of wave numbers (``spectra``): the variance of the truth, of the members' mean
and of the members (their average); the variance of the mean's error; and the covariance of mean and truth, for their
coherence. Spectra are means over cases of variances, so that no case's scale hides another's.

Octaves are counted from the shortest waves that a grid holds: octave j has the wavelengths 2^j ≤ λ / 2Δ < 2^(j + 1).
The last, j = 0, lies below four grid spacings, where neither models nor interpolation can be trusted.
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
        spacing: of the grid, m.
        power: (len(SPECTRA), band) SI units squared.
    """

    label: CaseLabel
    variable: str
    wavelength: np.ndarray
    spacing: float
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
    about = (bands.wavelength, truth.layout.grid.dx)
    return [CaseSpectra(label, name, *about, power[i]) for i, name in enumerate(truth.layout.names)]


def mean_spectra(spectra: Sequence[CaseSpectra]) -> pd.DataFrame:
    """Means over cases: setting, method, variable, band (from 1), wavelength and the grid's spacing (m), variances by
    kind, and coherence."""
    groups: dict[tuple[str, str, str], list[CaseSpectra]] = {}
    for one in spectra:
        groups.setdefault((one.label.setting, one.label.method, one.variable), []).append(one)
    tables = []
    for (setting, method, variable), group in groups.items():
        power = np.mean([one.power for one in group], axis=0)
        kinds = dict(zip(SPECTRA, power, strict=True))
        columns = {"band": np.arange(1, power.shape[1] + 1), "wavelength": group[0].wavelength}
        columns |= {"spacing": group[0].spacing, **kinds}
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


def octave_table(spectra: pd.DataFrame) -> pd.DataFrame:
    """Variance over the truth's by octave of wavelengths, longest first: members should be at 1.

    Args:
        spectra: from ``mean_spectra``.

    Returns:
        setting, method, variable, octave (0 is the last), ``shortest`` and ``longest`` wavelength (m), and the ratios
        ``members`` and ``mean`` (of the members' mean; the same for one member). Waves shorter than two grid spacings,
        in the corners of the wave number plane, are left out.
    """
    octave = np.floor(np.log2(spectra["wavelength"] / (2.0 * spectra["spacing"]))).astype(int)
    held = spectra.assign(octave=octave)[octave >= 0]
    key = ["setting", "method", "variable"]
    sums = held.groupby([*key, "octave"], sort=False)[["truth", "mean", "members"]].sum().reset_index()
    spacing = held.groupby([*key, "octave"], sort=False)["spacing"].first().to_numpy()
    shortest = 2.0 * spacing * 2.0 ** sums["octave"]
    ratios = {kind: sums[kind] / sums["truth"] for kind in ("members", "mean")}
    return sums[[*key, "octave"]].assign(shortest=shortest, longest=2.0 * shortest, **ratios)


def furthest_octaves(octaves: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``octave_table`` whose members are furthest from 1, the last octave aside: one for each setting,
    method and variable."""
    rows = octaves[(octaves["octave"] > 0) & octaves["members"].notna()]
    deviation = (rows["members"] - 1.0).abs()
    return rows.loc[deviation.groupby([rows[name] for name in ("setting", "method", "variable")], sort=False).idxmax()]
