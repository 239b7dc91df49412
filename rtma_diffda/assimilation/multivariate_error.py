"""The background-error covariance of all variables together: sampled between variables, modelled within each.

Between variable i at a and variable j at b,

    B_ij(a, b) = λ(a, b) s_i s_j ρ_ij(b − a) T_ij(z_a, z_b) + δ_ij B_i(a, b),

    T_ij = √(2 l_i l_j / (l_i² + l_j²)) exp(−(z_a − z_b)² / (l_i² + l_j²)).

ρ are the localised sample correlations, λ the land–sea factor, and B_i the univariate covariance of ``correlation``.
Each term is positive definite: ρ by construction, T as the covariance of processes that smooth one white noise over
heights l_i and l_j, products by Schur's theorem. s = 0 leaves univariate optimal interpolation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.assimilation.correlation import BackgroundError, Parameter, Places, covariance, variance
from rtma_diffda.assimilation.sample_covariance import LagCorrelations


@dataclass(frozen=True)
class MultivariateError:
    """The parameters of B for all variables.

    Attributes:
        sampled: ρ, localised.
        std: s by variable (SI).
        vertical_length: l by variable (m).
        land_sea_factor: λ between land and water, 0 … 1, of the sampled part.
        univariate: B_i by variable.
    """

    sampled: LagCorrelations
    std: Mapping[str, Parameter]
    vertical_length: Mapping[str, Parameter]
    land_sea_factor: Parameter
    univariate: Mapping[str, BackgroundError]

    @property
    def depends_on_background(self) -> bool:
        """True when B differs between members, because a univariate part looks at the values of the background."""
        return any(error.depends_on_background for error in self.univariate.values())


def joint_covariance(
    error: MultivariateError, data: Sequence[Places], channel: int, targets: Places, rho: Sequence[Tensor]
) -> Tensor:
    """B between all data and one variable at some places: (n, p).

    Args:
        error: parameters; names are in the order of the channels.
        data: the places of each channel's data; n in all.
        channel: of the targets.
        targets: p places.
        rho: (n_j, p) ρ between the data of each channel and the targets.
    """
    blocks, names = [], error.sampled.names
    for j, (places, correlation) in enumerate(zip(data, rho, strict=True)):
        block = correlation * _across_heights(error, (names[j], names[channel]), places, targets)
        block = torch.where(places.land[:, None] == targets.land, block, error.land_sea_factor * block)
        if j == channel:
            block = block + covariance(error.univariate[names[channel]], places, targets)
        blocks.append(block)
    return torch.cat(blocks)


def joint_variance(error: MultivariateError, channel: int, targets: Places, rho: Tensor) -> Tensor:
    """The diagonal of B for one variable at some places: (p,), SI squared.

    Args:
        error: parameters.
        channel: of the targets.
        targets: p places.
        rho: (p,) ρ of each target with itself: 1 at grid points, less between them, where H averages.
    """
    name = error.sampled.names[channel]
    return variance(error.univariate[name], targets) + rho * error.std[name] ** 2


def _across_heights(error: MultivariateError, names: tuple[str, str], a: Places, b: Places) -> Tensor:
    """s_i s_j T_ij: (n_a, n_b)."""
    std = error.std[names[0]] * error.std[names[1]]
    l_i, l_j = (error.vertical_length[name] for name in names)
    squares = l_i**2 + l_j**2
    rise = a.height[:, None] - b.height
    return std * (2.0 * l_i * l_j / squares) ** 0.5 * torch.exp((-(rise * rise) / squares).clamp_min(-30.0))
