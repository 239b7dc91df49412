"""Scores of what a method says about one variable at n places: its error, and how well its stated uncertainty fits.

With members x_i (i = 1 … M), their mean x̄, the truth y and errors e_i = x_i − y,

    bias = mean(x̄ − y),    mse = mean((x̄ − y)²),
    CRPS = 1/M Σ_i |e_i| − 1/(2 M (M − 1)) Σ_ij |e_i − e_j|          (fair: unbiased for members that are exchangeable),
    spread² = (M + 1)/M · 1/(M − 1) Σ_i (x_i − x̄)²,

so that spread² = mse on average where truth and members are draws of one distribution (Fortin et al. 2014). A method
that states a mean and an error s is judged as the Gaussian N(x̄, s²), with spread² = s² and its CRPS in closed form. A
method that states neither is a point, whose CRPS is |e|, and which has no spread.

*Against reports* y = truth + ε, ε ~ N(0, r²), the distribution to be judged is that of a report: every member gets the
kernel N(x_i, r²). The CRPS of such a mixture is, with A(μ, v) = E|Z| for Z ~ N(μ, v),

    CRPS = 1/M Σ_i A(e_i, r²) − 1/(2 M (M − 1)) Σ_{i≠j} A(e_i − e_j, 2 r²),
    A(μ, v) = 2 √v φ(μ/√v) + μ (2 Φ(μ/√v) − 1),

which is what perturbing the members would give on average, without the noise of doing so (Grimit et al. 2006, eq. 5).
For M = 1 the second sum keeps its only term A(0, 2 r²), and the Gaussian's closed form results.

References: Ferro (2014), doi:10.1002/qj.2270; Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1; Gneiting et al.
(2005), doi:10.1175/MWR2904.1; Grimit et al. (2006), doi:10.1256/qj.05.235; Hamill (2001),
doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2. The fair CRPS is the ``scores`` library's.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from scipy.special import ndtr
from scores.probability import crps_for_ensemble

from rtma_diffda.errors import InputError


@dataclass(frozen=True)
class Departures:
    """What a method says at n places, minus what was true, or was reported, there.

    Attributes:
        errors: (member, n) SI, float64.
        error_std: (n,) SI, the error that the method states for its only member; None where it states none. With
            several members these are the statement, and this is not looked at, even where it is the ensemble's
            calibrated spread: what is handed on, and judged, are the members.
        report_std: (n,) SI, error of the reports; None where the departures are from the truth itself.
    """

    errors: np.ndarray
    error_std: np.ndarray | None = None
    report_std: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.errors.ndim != 2 or not self.errors.size:
            raise InputError(f"departures have shape {self.errors.shape}; expected (member, n) with at least one each")
        for name in ("error_std", "report_std"):
            values = getattr(self, name)
            if values is not None and values.shape != self.errors.shape[1:]:
                raise InputError(f"{name} has shape {values.shape} beside departures of shape {self.errors.shape}")

    @property
    def members(self) -> int:
        """Number of members, M."""
        return self.errors.shape[0]

    @property
    def is_ensemble(self) -> bool:
        """True where the members are the statement of uncertainty."""
        return self.members > 1

    @property
    def states_uncertainty(self) -> bool:
        """True where there is a spread to be judged."""
        return self.is_ensemble or self.error_std is not None

    @property
    def kernel_std(self) -> np.ndarray | None:
        """Standard deviation (n,) around each member: the stated error of an only one, and the reports' error."""
        stated = None if self.is_ensemble else self.error_std
        if stated is None or self.report_std is None:
            return self.report_std if stated is None else stated
        return np.hypot(stated, self.report_std)


def mean_error(departures: Departures) -> np.ndarray:
    """x̄ − y: (n,)."""
    return departures.errors.mean(axis=0)


def crps(departures: Departures) -> np.ndarray:
    """Continuous ranked probability score at each place, (n,), in the unit of the variable."""
    errors, kernel_std = departures.errors, departures.kernel_std
    if kernel_std is not None:
        return _crps_of_mixture(errors, kernel_std)
    if not departures.is_ensemble:
        return np.abs(errors[0])
    members = xr.DataArray(errors, dims=("member", "place"))
    truth = xr.DataArray(np.zeros(errors.shape[1]), dims="place")
    return crps_for_ensemble(members, truth, "member", method="fair", preserve_dims="place").to_numpy()


def gaussian_crps(error: np.ndarray, error_std: np.ndarray) -> np.ndarray:
    """CRPS of N(mean, error_std²) for error = mean − truth; any shapes that fit each other."""
    return _mean_distance(error, error_std) - error_std / np.sqrt(np.pi)


def spread_variance(departures: Departures) -> np.ndarray:
    """(n,) what the squared error of the mean should be on average; NaN where a method states no uncertainty.

    Against reports it includes their error.
    """
    if departures.is_ensemble:
        m = departures.members
        variance = (m + 1) / m * departures.errors.var(axis=0, ddof=1)
    elif departures.error_std is not None:
        variance = departures.error_std**2
    else:
        return np.full(departures.errors.shape[1], np.nan)
    return variance if departures.report_std is None else variance + departures.report_std**2


def coverage(departures: Departures, *, within: float) -> float:
    """Share of places whose mean error is at most ``within`` times the spread; NaN where no spread is stated."""
    if not departures.states_uncertainty:
        return float("nan")
    return float(np.mean(np.abs(mean_error(departures)) <= within * np.sqrt(spread_variance(departures))))


def rank_counts(departures: Departures, *, bins: int, generator: torch.Generator) -> np.ndarray | None:
    """Rank histogram: how often the truth took each rank among the members, or each bin of a stated distribution.

    Among members it has M + 1 ranks, ties broken at random; reports are ranked among members that got an error of
    report each. For a Gaussian the probability integral transform Φ(−e / s) is counted in ``bins`` equal bins. Both are
    flat where the stated distribution is right.

    Args:
        departures: of one variable.
        bins: for Gaussians.
        generator: for ties and for the reports' errors.

    Returns:
        Counts (M + 1,) or (bins,) int64; None where no uncertainty is stated.
    """
    if not departures.states_uncertainty:
        return None
    if departures.is_ensemble:
        return _ranks_among_members(departures, generator)
    transform = ndtr(-_standardised(departures.errors[0], departures.kernel_std))
    chosen = np.minimum((transform * bins).astype(np.int64), bins - 1)
    return np.bincount(chosen, minlength=bins)


def _ranks_among_members(departures: Departures, generator: torch.Generator) -> np.ndarray:
    errors, draw = departures.errors, {"generator": generator, "dtype": torch.float64}
    if departures.report_std is not None:
        errors = errors + departures.report_std * torch.randn(errors.shape, **draw).numpy()
    below, equal = (errors < 0.0).sum(axis=0), (errors == 0.0).sum(axis=0)
    ties = np.floor(torch.rand(errors.shape[1], **draw).numpy() * (equal + 1)).astype(np.int64)
    return np.bincount(below + ties, minlength=departures.members + 1)


def _crps_of_mixture(errors: np.ndarray, kernel_std: np.ndarray) -> np.ndarray:
    """CRPS (n,) of equal Gaussians about each member; a member at a time, so that memory stays (member, n)."""
    m = len(errors)
    if m == 1:
        return gaussian_crps(errors[0], kernel_std)
    between = np.zeros(errors.shape[1])
    for i in range(1, m):
        between += _mean_distance(errors[i] - errors[:i], np.sqrt(2.0) * kernel_std).sum(axis=0)
    return _mean_distance(errors, kernel_std).mean(axis=0) - between / (m * (m - 1))


def _mean_distance(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """A(μ, σ²) = E|Z| for Z ~ N(μ, σ²)."""
    z = _standardised(mean, std)
    return 2.0 * std * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi) + mean * (2.0 * ndtr(z) - 1.0)


def _standardised(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """μ/σ; without an error to be had, σ = 0: infinite, or 0 where μ is 0 too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(mean / std, nan=0.0, posinf=np.inf, neginf=-np.inf)
