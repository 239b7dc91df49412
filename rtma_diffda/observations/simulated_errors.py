"""How simulated reports differ from the truth: instrument and representativeness, and now and then grossly.

For a variable of standard deviation σ, a station's report is off by

    ε = f σ (√c b + √(1 − c) e) + g σ,        b, e ~ N(0, 1),

with a factor f for all errors, the share c of the variance that a station keeps for ever (b belongs to the station, e
to the report), and g = 0 but for gross errors, whose size does not follow f. Each station takes one row of random
numbers, so that the first n stations of a network have the same luck whatever its length, and for every f, c and rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from rtma_diffda.errors import UsageError
from rtma_diffda.observations.error_model import DEFAULT_ERRORS, ErrorModel

REPORTED = ("t2m", "d2m", "u10m", "v10m", "sp")
"""Variables that every station reports with an error."""

ERROR_STD: Mapping[str, float] = {"t2m": 0.7, "d2m": 1.0, "u10m": 0.9, "v10m": 0.9, "sp": 35.0}
"""SI; the errors of the feasibility study's network."""

_SPOILT = ("t2m", "d2m", "u10m", "sp")  # a gross wind is gross in its eastward component


@dataclass(frozen=True)
class ReportErrors:
    """How reports differ from the truth.

    Attributes:
        error_std: SI standard deviation by variable; variables not named have none.
        gross_error_rate: share of reports in which one of temperature, dew point, wind and pressure is grossly off.
        factor: of all but the gross errors.
        constant_share: of the error variance, 0 … 1, that is the station's own and the same in all of its reports.
        gross_error_size: in standard deviations (without ``factor``), either way; drawn evenly between the two.
    """

    error_std: Mapping[str, float] = field(default_factory=lambda: dict(ERROR_STD))
    gross_error_rate: float = 0.0
    factor: float = 1.0
    constant_share: float = 0.0
    gross_error_size: tuple[float, float] = (8.0, 16.0)

    def __post_init__(self) -> None:
        if not 0.0 <= self.gross_error_rate <= 1.0 or any(not std >= 0.0 for std in self.error_std.values()):
            raise UsageError(
                f"errors of reports need standard deviations ≥ 0 and a gross error rate of 0 … 1; found "
                f"{dict(self.error_std)} and {self.gross_error_rate}"
            )
        if not self.factor >= 0.0 or not 0.0 <= self.constant_share <= 1.0:
            raise UsageError(
                f"errors of reports need a factor ≥ 0 and a constant share of 0 … 1; found {self.factor} and "
                f"{self.constant_share}"
            )
        if not 0.0 <= self.gross_error_size[0] <= self.gross_error_size[1]:
            raise UsageError(f"sizes of gross errors must be positive and in order; found {self.gross_error_size}")

    def stated(self, name: str) -> float:
        """Standard deviation (SI) of a variable's errors, gross ones apart: what R says of it."""
        return self.factor * self.error_std.get(name, 0.0)

    def error_model(self) -> ErrorModel:
        """What quality control assigns to METAR reports with these errors; other variables keep the usual ones."""
        stated = {name: self.stated(name) for name in self.error_std}
        return ErrorModel({**DEFAULT_ERRORS, "metar": {**DEFAULT_ERRORS["metar"], **stated}})


@dataclass(frozen=True)
class DrawnErrors:
    """The errors of one report of each station.

    Attributes:
        usual: {variable: (n,)} SI; of ``REPORTED``.
        gross: {variable: (n,)} SI; 0 where a report has no gross error of that variable.
    """

    usual: Mapping[str, np.ndarray]
    gross: Mapping[str, np.ndarray]

    def added_to(self, exact: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What is reported of exact values {variable: (n,)}; variables without errors pass unchanged.

        Instruments never report supersaturation: the dew point is cut at the temperature before gross errors enter.
        """
        observed = {name: values + self.usual.get(name, 0.0) for name, values in exact.items()}
        if "t2m" in observed and "d2m" in observed:
            observed["d2m"] = np.minimum(observed["d2m"], observed["t2m"])
        return {name: values + self.gross.get(name, 0.0) for name, values in observed.items()}

    def gross_variable(self) -> np.ndarray:
        """(n,) text: the variable that is grossly wrong, empty where none is."""
        spoilt = np.full(len(self.gross["t2m"]), "", dtype=object)
        for name, size in self.gross.items():
            spoilt[size != 0.0] = name
        return spoilt


def draw_errors(errors: ReportErrors, biases: np.ndarray, generator: torch.Generator) -> DrawnErrors:
    """Errors of one report of every station.

    Args:
        errors: their statistics.
        biases: (n, 5) the stations' own constant errors of ``REPORTED``, of unit variance.
        generator: advanced by 9 numbers a station.
    """
    draws = torch.rand(len(biases), len(REPORTED) + 4, generator=generator, dtype=torch.float64).numpy()
    constant, varying = np.sqrt(errors.constant_share), np.sqrt(1.0 - errors.constant_share)
    unit = constant * biases + varying * normal_quantile(draws[:, : len(REPORTED)])
    usual = {name: errors.stated(name) * unit[:, i] for i, name in enumerate(REPORTED)}
    concerned, sign, size, choice = draws[:, len(REPORTED) :].T
    low, high = errors.gross_error_size
    gross = np.where(sign < 0.5, -1.0, 1.0) * (low + (high - low) * size) * (concerned < errors.gross_error_rate)
    chosen = np.array(_SPOILT)[(choice * len(_SPOILT)).astype(int)]
    return DrawnErrors(
        usual, {name: np.where(chosen == name, gross * errors.error_std.get(name, 0.0), 0.0) for name in _SPOILT}
    )


def normal_quantile(uniform: np.ndarray) -> np.ndarray:
    """Standard normal draws from even ones in 0 … 1; unlike ``torch.randn``, the same for a longer array's start."""
    bounded = np.clip(uniform, 2.0**-54, 1.0 - 2.0**-53)
    return torch.special.ndtri(torch.from_numpy(bounded)).numpy()
