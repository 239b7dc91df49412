"""How uncertain a network's analysis is, from how uncertain optimal interpolation says that its own is.

    σ² = a² + b² σ_OI²,

with a and b by variable: b < 1 where the network makes more of the data, a > 0 where errors remain that B does not
know of. Fitted as the maximum likelihood of Gaussian errors on validation members; σ_OI falls near stations, and so σ
knows the density of the data and their errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError

_ITERATIONS = 60


@dataclass(frozen=True)
class ErrorCalibration:
    """a and b by variable.

    Attributes:
        floor: a, SI.
        factor: b, no unit.
    """

    floor: Mapping[str, float]
    factor: Mapping[str, float]

    def __post_init__(self) -> None:
        values = (*self.floor.values(), *self.factor.values())
        if set(self.floor) != set(self.factor) or not all(value >= 0.0 for value in values):
            raise UsageError(f"a calibration needs a and b ≥ 0 for every variable; found {self}")

    def __call__(self, reference: Tensor, names: tuple[str, ...]) -> Tensor:
        """σ like ``reference``, σ_OI of shape (…, channel, y, x), SI, whose channels are ``names``.

        Raises:
            UsageError: a variable has no calibration.
        """
        missing = [name for name in names if name not in self.floor]
        if missing:
            raise UsageError(f"no calibration of errors for {missing}; there is one for {sorted(self.floor)}")
        a, b = (
            torch.tensor([part[name] for name in names], dtype=reference.dtype, device=reference.device)[:, None, None]
            for part in (self.floor, self.factor)
        )
        return torch.hypot(a, b * reference)


def fit_error_calibration(errors: Tensor, reference: Tensor, names: tuple[str, ...]) -> ErrorCalibration:
    """The calibration under which ``errors`` are most likely.

    Args:
        errors: (member, channel, y, x) SI: analysis minus truth.
        reference: σ_OI of the same members and points.
        names: of the channels.

    Raises:
        InputError: an error is not finite.
    """
    if not bool(torch.isfinite(errors).all()):
        raise InputError("errors to calibrate with must be finite")
    fitted = [_fit(errors[:, i].flatten(), reference[:, i].flatten()) for i in range(len(names))]
    floor, factor = (dict(zip(names, part, strict=True)) for part in zip(*fitted, strict=True))
    return ErrorCalibration(floor, factor)


def _fit(errors: Tensor, reference: Tensor) -> tuple[float, float]:
    """a and b of one variable; squares of both in units of the mean squared error, by their logarithms."""
    unit = errors.double().square().mean().clamp_min(1e-30)
    squared, variance = errors.double().square() / unit, reference.double().square() / unit
    log_squares = torch.tensor([-1.0, -float(variance.mean().log()) - 0.5], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_squares], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def negative_log_likelihood() -> Tensor:
        optimiser.zero_grad()
        a, b = log_squares.clamp(-30.0, 30.0).exp()
        expected = a + b * variance
        value = (expected.log() + squared / expected).mean()
        value.backward()
        return value

    optimiser.step(negative_log_likelihood)
    a, b = log_squares.detach().clamp(-30.0, 30.0).exp()
    return float((a * unit).sqrt()), float(b.sqrt())
