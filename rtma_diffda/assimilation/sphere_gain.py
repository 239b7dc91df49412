"""``SphereGain``: the gain of ``SphereCovariance``, fast enough for every call of a denoiser.

    increment = C Hᵀ (H C Hᵀ + R)⁻¹ d,    C = C(σ) of ``sphere_covariance``, H the rows of ``Evidence.stencil``.

Columns observed in full have the same H in all channels, so that modes stay as they are in C: one system of the q
coupled ones, and for each other one as large as there are places, solved in one batch (``sphere_systems``). So do
channels that are by themselves, with any data. Otherwise, as with stations that report near the surface only, all data
are solved together, and inform every channel.

A system grows with the third power of its rows: where places are many, fewer modes are coupled, the largest first, so
that there are no more than ``most_rows``. A system is kept until another noise level is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.assimilation.sphere_data import SphereData
from rtma_diffda.assimilation.sphere_systems import JointSystem, ModeSystem, SphereSystem
from rtma_diffda.diffusion.conditioning.evidence import Evidence
from rtma_diffda.errors import InputError, UsageError

_MOST_JOINT = 8000
"""Rows of a system of partial columns: its matrix takes 256 MB in float32."""


@dataclass(frozen=True)
class SphereSolving:
    """How systems are solved.

    Attributes:
        most_rows: of the system of coupled modes.
        jitter: share of H C Hᵀ that stands for an error nobody stated; float32 needs about 1e-5.
        dtype: of the arithmetic.
    """

    most_rows: int = 2000
    jitter: float = 1e-5
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        if self.most_rows < 0 or not self.jitter >= 0.0:
            raise UsageError(f"solving needs most_rows and a jitter of 0 or more; found {self}")


@dataclass(frozen=True)
class SphereGain:
    """The gain for one set of observations.

    Attributes:
        covariance: B.
        evidence: with a stencil.
        solving: how.
    """

    covariance: SphereCovariance
    evidence: Evidence
    solving: SphereSolving = SphereSolving()

    def __post_init__(self) -> None:
        if self.evidence.stencil is None:
            raise InputError(
                "a gain on the sphere needs the rows of H as a stencil; for any other H there is DenseGain"
            )

    def __call__(self, departures: Tensor, sigma: float, at: Tensor) -> Tensor:
        """See ``Gain``.

        Raises:
            InputError: fields of another shape than the covariance's.
            UsageError: more partial columns than can be solved together.
        """
        if tuple(at.shape[1:]) != self.covariance.shape:
            raise InputError(f"a gain for fields of {self.covariance.shape} cannot serve {tuple(at.shape[1:])}")
        if not len(self.evidence):
            return torch.zeros_like(at)
        merged = self._data.merged(departures.to(self.covariance.spectrum.device)).to(self.solving.dtype)
        return self.system(sigma).increment(merged).to(at)

    @cached_property
    def system(self) -> Callable[[float], SphereSystem]:
        """Of a noise level; the latest is kept."""
        return lru_cache(maxsize=1)(self._assembled)

    def _assembled(self, sigma: float) -> SphereSystem:
        if self.covariance.univariate or self._data.complete:
            fewer = self.covariance.with_coupled(self.solving.most_rows // len(self._data))
            return ModeSystem.of(fewer, sigma, self._data, self.solving.jitter, self.solving.dtype)
        rows = int(torch.isfinite(self._data.error_variance).sum())
        if rows > _MOST_JOINT:
            raise UsageError(
                f"{rows} data of columns that are observed in part would be solved together; at most {_MOST_JOINT} can "
                "be. Use a covariance whose channels are by themselves, or thin them"
            )
        return JointSystem.of(self.covariance, sigma, self._data, self.solving.jitter, self.solving.dtype)

    @cached_property
    def _data(self) -> SphereData:
        data = SphereData.of(self.evidence.stencil, self.evidence.error_std, self.covariance.channels)
        return data.to(self.covariance.spectrum.device)
