"""The background-error covariance B(a, b) between two places, for one variable.

    B(a, b) = λ(a, b) (s² φ(r) + m² + h² z_a z_b + g² x_a x_b),

    r² = ‖D⁻¹ Q (p_a − p_b)‖² + ((z_a − z_b) / L_z)² + ((x_a − x_b) / L_x)²

p is the position in projected metres, Q a rotation and D = diag(L √e, L / √e): the ellipse of an elongation e; z is the
height above sea level; x is the background's own value there, less its mean over the grid. φ is one function of one
distance, which keeps B positive definite: the Gaussian exp(−r²/2), the second-order autoregressive (1 + r) exp(−r), or
the exponential exp(−r). λ is 1 for places of the same surface and the land–sea factor otherwise.

Distance in the background's value makes correlations follow the flow and, where no model terrain is known, the
terrain that the background itself feels: two valleys that it sees alike share its error (Riishøjgaard 1998, Tellus 50A,
42-57). The last three terms are errors of the background that are linear over the whole region: a bias, one in height
(a wrong lapse rate) and one in the value, each with the standard deviation of its coefficient. Adding them as
covariances is universal kriging with a prior on the trend.

Plane distances are those of the map: on a conformal projection the lengths vary with its scale factor (a few percent).
Everything is differentiable in the parameters, which may be numbers or 0-d tensors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rtma_diffda.errors import UsageError

Parameter = float | Tensor

_TINY = 1e-20
"""Squared distances are kept above this, so that the square root has a gradient at coinciding places."""
_FAR = 30.0
"""exp(−30) = 1e-13 stands for all that is smaller: denormal numbers made the float32 solve three times as slow."""


def _gaussian(squared: Tensor) -> Tensor:
    return torch.exp((squared * -0.5).clamp_min(-_FAR))


def _second_order_autoregressive(squared: Tensor) -> Tensor:
    distance = squared.clamp(_TINY, _FAR**2).sqrt()
    return (1.0 + distance) * torch.exp(-distance)


def _exponential(squared: Tensor) -> Tensor:
    return torch.exp(-squared.clamp(_TINY, _FAR**2).sqrt())


CORRELATION_FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gaussian": _gaussian,
    "soar": _second_order_autoregressive,
    "exponential": _exponential,
}
"""φ by name, each as a function of r²."""


@dataclass(frozen=True)
class BackgroundError:
    """The parameters of B for one variable. Lengths that are None leave their term out.

    Attributes:
        std: s, standard deviation (SI) of the correlated part.
        horizontal_length: L (m).
        vertical_length: L_z (m), of differences in height.
        background_length: L_x (SI of the variable), of differences in the background's value.
        land_sea_factor: λ between land and water, 0 … 1.
        function: φ, a name of ``CORRELATION_FUNCTIONS``.
        elongation: e ≥ 1, ratio of the ellipse's axes.
        orientation: degrees clockwise from grid north of the ellipse's long axis.
        bias_std: m (SI), of an error common to the whole region.
        height_drift_std: h (SI per metre), of an error linear in height.
        background_drift_std: g (no unit), of an error linear in the background's value.
    """

    std: Parameter
    horizontal_length: Parameter
    vertical_length: Parameter | None = None
    background_length: Parameter | None = None
    land_sea_factor: Parameter = 1.0
    function: str = "soar"
    elongation: Parameter = 1.0
    orientation: Parameter = 0.0
    bias_std: Parameter = 0.0
    height_drift_std: Parameter = 0.0
    background_drift_std: Parameter = 0.0

    def __post_init__(self) -> None:
        if self.function not in CORRELATION_FUNCTIONS:
            raise UsageError(f"unknown correlation '{self.function}'; known are {', '.join(CORRELATION_FUNCTIONS)}")
        names = ("std", "horizontal_length", "vertical_length", "background_length", "elongation")
        positive = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        for name, value in positive.items():
            if not _number(value) > 0:
                raise UsageError(f"background error: {name} must be positive, found {_number(value)}")
        if not 0 <= _number(self.land_sea_factor) <= 1:
            raise UsageError(f"background error: land_sea_factor must be 0 … 1, found {_number(self.land_sea_factor)}")

    @property
    def depends_on_background(self) -> bool:
        """True when B differs between members, because it looks at the values of the background."""
        return self.background_length is not None or _number(self.background_drift_std) > 0


@dataclass(frozen=True)
class Places:
    """What B looks at, for n places.

    Attributes:
        position: (n, 2) projected metres x, y.
        height: (n,) metres above sea level.
        land: (n,) True over land.
        background: (n,) SI; the background's value there less its mean over the grid.
    """

    position: Tensor
    height: Tensor
    land: Tensor
    background: Tensor

    def __len__(self) -> int:
        return len(self.height)

    def select(self, rows: Tensor | slice) -> "Places":
        """The places of an index or boolean tensor (m,)."""
        return Places(self.position[rows], self.height[rows], self.land[rows], self.background[rows])

    def joined(self, others: "Places") -> "Places":
        """These places, then the others."""
        names = ("position", "height", "land", "background")
        return Places(*(torch.cat([getattr(self, name), getattr(others, name)]) for name in names))

    def relative_to(self, origin: Tensor, dtype: torch.dtype) -> "Places":
        """The same with positions from ``origin`` (2,): small numbers, which lose little in float32."""
        position = (self.position - origin).to(dtype)
        return replace(self, position=position, height=self.height.to(dtype), background=self.background.to(dtype))


def covariance(error: BackgroundError, a: Places, b: Places) -> Tensor:
    """B between the places of ``a`` and of ``b``: (n_a, n_b)."""
    squared = _squared_distances(_scaled(error, a), _scaled(error, b))
    result = error.std**2 * CORRELATION_FUNCTIONS[error.function](squared)
    drift_a, drift_b = _drift(error, a), _drift(error, b)
    result = result if drift_a is None else result + drift_a @ drift_b.T
    if not _is_number(error.land_sea_factor, 1.0):
        factor = torch.as_tensor(error.land_sea_factor, dtype=result.dtype, device=result.device)
        result = torch.where(a.land[:, None] == b.land[None, :], result, factor * result)
    return result


def variance(error: BackgroundError, places: Places) -> Tensor:
    """The diagonal of B: (n,), SI squared."""
    result = torch.ones_like(places.height) * error.std**2
    drift = _drift(error, places)
    return result if drift is None else result + drift.square().sum(dim=1)


def _scaled(error: BackgroundError, places: Places) -> Tensor:
    """Coordinates (n, 2 to 4) whose Euclidean distance is r."""
    x, y = places.position.unbind(dim=1)
    if _is_number(error.elongation, 1.0):
        columns = [x / error.horizontal_length, y / error.horizontal_length]
    else:
        angle = torch.deg2rad(torch.as_tensor(error.orientation, dtype=x.dtype, device=x.device))
        along = x * torch.sin(angle) + y * torch.cos(angle)
        across = x * torch.cos(angle) - y * torch.sin(angle)
        stretch = error.elongation**0.5
        columns = [along / (error.horizontal_length * stretch), across * stretch / error.horizontal_length]
    if error.vertical_length is not None:
        columns.append(places.height / error.vertical_length)
    if error.background_length is not None:
        columns.append(places.background / error.background_length)
    return torch.stack(columns, dim=1)


def _squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i − b_j‖² (n_a, n_b) for coordinates (n, d); in float32, and for gradients, as one matrix product.

    The product is several times as fast, and loses digits by cancellation: about the machine precision times the
    squared extent of the (centred) coordinates, which the tiles of a local solve keep small. Elsewhere the differences
    are taken one by one.
    """
    if a.dtype == torch.float64 and not a.requires_grad and not b.requires_grad:
        return sum((p[:, None] - q[None, :]) ** 2 for p, q in zip(a.unbind(1), b.unbind(1), strict=True))
    centre = b.detach().mean(dim=0)
    a, b = a - centre, b - centre
    left = torch.cat([-2.0 * a, (a * a).sum(dim=1, keepdim=True), torch.ones_like(a[:, :1])], dim=1)
    right = torch.cat([b, torch.ones_like(b[:, :1]), (b * b).sum(dim=1, keepdim=True)], dim=1)
    return (left @ right.T).clamp_min(0.0)


def _drift(error: BackgroundError, places: Places) -> Tensor | None:
    """The factors (n, k) of the linear errors of the background; None when all are switched off."""
    terms = (
        (error.bias_std, torch.ones_like(places.height)),
        (error.height_drift_std, places.height),
        (error.background_drift_std, places.background),
    )
    columns = [std * shape for std, shape in terms if not _is_number(std, 0.0)]
    return torch.stack(columns, dim=1) if columns else None


def _number(value: Parameter) -> float:
    return float(value.detach()) if torch.is_tensor(value) else float(value)


def _is_number(value: Parameter, number: float) -> bool:
    """Whether a parameter is this very number, and not a tensor that a gradient may be wanted for."""
    return not torch.is_tensor(value) and value == number
