"""``SphereCovariance``: B on a global latitude–longitude grid, alike at all longitudes, and what a noise level leaves.

In units of s, B = (E ⊗ I) B̃ (E ⊗ I)ᵀ. The columns of E, orthogonal, are combinations of channels, *modes*; E = I makes
each channel a mode. What is alike at all longitudes is block-diagonal in zonal wave numbers m, a Hermitian matrix each,

    S_ij(m; y, y′) = Σ_Δ B̃_ij(y, y′, Δ) exp(−2πi m Δ / n_x),    S(m) = V diag(b) V*,    b ≥ 0,

with B̃_ij(y, y′, Δ) the covariance of mode i at (y, x) with mode j at (y′, x − Δ). Modes are *apart* (S_ij = 0, and S_ii
real, for structures without a preferred tilt), but for the first q of them at wave numbers below m_c, which are
*coupled*: there the wind knows of the slope of the geopotential beside it. Variances and lengths may differ from
latitude to latitude as they like.

White noise of variance σ² at the grid points is σ² I in every one of these matrices, E being orthogonal, so that
C(σ) = B − B (B + σ² I)⁻¹ B, the covariance of r given r + σ·noise, is V diag(b σ² / (b + σ²)) V*, exactly. The same
idea on a lattice: ``diffusion.stationary_covariance``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError

_REMEMBERED_BYTES = 256 * 2**20
"""Of covariances at noise levels that are kept: a sampler comes back to its levels in every case."""


@dataclass(frozen=True)
class ZonalCovariance:
    """A covariance of modes that is ready to be multiplied with.

    Attributes:
        apart: (mode, m, y, y′), real; m = 0 … n_x // 2. 0 where modes are coupled.
        coupled: (m < m_c, q · y, q · y′), complex.
        columns: n_x.
    """

    apart: Tensor
    coupled: Tensor
    columns: int

    @property
    def joined(self) -> int:
        """q."""
        return self.coupled.shape[1] // self.apart.shape[2]

    def lags_apart(self) -> Tensor:
        """Of the modes that are not coupled, by lag of columns: (mode − q, y, y′, Δ = 0 … n_x − 1)."""
        return _lags(self.apart[self.joined :], self.columns)

    def lags_coupled(self) -> Tensor:
        """Of those that are: (Δ, q · y, q · y′)."""
        q, ny, shift = self.joined, self.apart.shape[2], torch.arange(self.columns, device=self.apart.device)
        # few wave numbers: two matrix products take a tenth of the time of a transform
        angle = (2.0 * math.pi / self.columns) * shift[:, None].double() * shift[: len(self.coupled)]
        counts = wave_number_counts(self.columns)[: len(self.coupled)].to(angle) / self.columns
        waves = (torch.cat([angle.cos() * counts, -angle.sin() * counts], dim=1)).to(self.apart)
        parts = torch.cat([self.coupled.real, self.coupled.imag]).flatten(1)
        lags = (waves @ parts).view(self.columns, q, ny, q, ny)
        lags.diagonal(dim1=1, dim2=3).add_(_lags(self.apart[:q], self.columns).permute(3, 1, 2, 0))
        return lags.flatten(3).flatten(1, 2)

    def apply(self, fields: Tensor) -> Tensor:
        """The product with fields (mode, member, y, x): alike."""
        spectra = torch.fft.rfft(fields, dim=-1).permute(0, 3, 2, 1)  # (mode, m, y, member)
        parts = torch.cat([spectra.real, spectra.imag], dim=-1)  # one real product is faster than a complex one
        products = torch.complex(*(self.apart.to(parts) @ parts).chunk(2, dim=-1))
        if self.joined:
            waves, q = len(self.coupled), self.joined
            joint = spectra[:q, :waves].permute(1, 0, 2, 3).flatten(1, 2)
            products[:q, :waves] += (self.coupled.to(joint) @ joint).unflatten(1, (q, -1)).permute(1, 0, 2, 3)
        return torch.fft.irfft(products.permute(0, 3, 2, 1), n=self.columns, dim=-1)


@dataclass(frozen=True)
class SphereCovariance:
    """B of all channels.

    Attributes:
        spectrum: S_ii (mode, m, y, y′) float64, m = 0 … n_x // 2, in units of s²; what it says of coupled modes at
            wave numbers below m_c is not looked at.
        basis: E (channel, mode), orthogonal; the identity where channels are by themselves.
        scale: s (channel,) SI.
        columns: n_x.
        coupled: (m < m_c, q · y, q · y′) complex128; None where all modes are apart.
    """

    spectrum: Tensor
    basis: Tensor
    scale: Tensor
    columns: int
    coupled: Tensor | None = None
    _remembered: dict[object, object] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape, channels = tuple(self.spectrum.shape), len(self.scale)
        expected = (channels, self.columns // 2 + 1)
        if len(shape) != 4 or shape[:2] != expected or shape[2] != shape[3] or self.basis.shape != (channels, channels):
            raise InputError(
                f"a spectrum of shape {shape} with a basis of shape {tuple(self.basis.shape)}; expected "
                f"(mode, m, y, y) of (mode, m) = {expected} and ({channels}, {channels})"
            )
        if float((self.basis @ self.basis.T - torch.eye(channels).to(self.basis)).abs().max()) > 1e-4:
            raise InputError("the basis of a covariance of modes is not orthogonal")
        if not all(bool(torch.isfinite(part).all()) for part in (self.spectrum, self.coupled) if part is not None):
            raise InputError("the spectrum of a covariance has values that are not finite")

    @property
    def channels(self) -> int:
        """How many there are, and as many modes."""
        return len(self.scale)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channel, y, x)."""
        return (self.channels, self.spectrum.shape[2], self.columns)

    @property
    def joined(self) -> int:
        """q, how many modes are coupled."""
        return 0 if self.coupled is None else self.coupled.shape[1] // self.spectrum.shape[2]

    @cached_property
    def univariate(self) -> bool:
        """Whether each channel is by itself."""
        return not self.joined and bool(torch.equal(self.basis, torch.eye(self.channels).to(self.basis)))

    def to_modes(self, fields: Tensor) -> Tensor:
        """Fields (member, channel, …) in the basis: (mode, member, …)."""
        if self.univariate:
            return fields.transpose(0, 1)
        return torch.einsum("cq,mc...->qm...", self.basis.to(fields), fields)

    def to_channels(self, modes: Tensor) -> Tensor:
        """The inverse of ``to_modes``."""
        if self.univariate:
            return modes.transpose(0, 1)
        return torch.einsum("cq,qm...->mc...", self.basis.to(modes), modes)

    def conditional(self, sigma: float, *, dtype: torch.dtype = torch.float32) -> ZonalCovariance:
        """C(σ); B itself for σ = ∞.

        Args:
            sigma: noise level ≥ 0.
            dtype: of the products; eigenvalues are worked out in float64.

        Raises:
            UsageError: another noise level.
        """
        if not sigma >= 0.0:
            raise UsageError(f"a noise level is a number ≥ 0; found {sigma}")
        if (sigma, dtype) not in self._remembered:
            found = ZonalCovariance(*(_kept(*part, sigma, dtype) for part in self._modes), self.columns)
            size = sum(part.numel() * part.element_size() for part in (found.apart, found.coupled))
            if len(self._remembered) >= max(_REMEMBERED_BYTES // size, 1):
                self._remembered.pop(next(iter(self._remembered)))
            self._remembered[sigma, dtype] = found
        return self._remembered[sigma, dtype]

    def with_coupled(self, most: int) -> "SphereCovariance":
        """The same with at most the first ``most`` modes coupled, and the others apart: B's block diagonal."""
        if most >= self.joined:
            return self
        if most not in self._narrower:
            ny, waves = self.spectrum.shape[2], len(self.coupled)
            blocks = self.coupled.unflatten(1, (self.joined, ny)).unflatten(3, (self.joined, ny))
            spectrum = self.spectrum.clone()
            spectrum[: self.joined, :waves] = blocks.diagonal(dim1=1, dim2=3).real.permute(3, 0, 1, 2)
            kept = self.coupled[:, : most * ny, : most * ny] if most else None
            self._narrower[most] = replace(self, spectrum=spectrum, coupled=kept)
        return self._narrower[most]

    def to(self, device: torch.device | str) -> "SphereCovariance":
        """On another device."""
        moved = {name: getattr(self, name) for name in ("spectrum", "basis", "scale", "coupled")}
        return replace(self, **{name: None if part is None else part.to(device) for name, part in moved.items()})

    @cached_property
    def _narrower(self) -> dict[int, "SphereCovariance"]:
        return {}

    @cached_property
    def _modes(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """b and V, float64: of modes that are apart (mode, m, y), (mode, m, y, y); of coupled ones (m, q · y), …"""
        S = self.spectrum.double()
        b, V = torch.linalg.eigh(0.5 * (S + S.mT))
        coupled = S.new_zeros(0, 0, 0, dtype=torch.complex128) if self.coupled is None else self.coupled
        b[: self.joined, : len(coupled)] = 0.0
        b_coupled, V_coupled = torch.linalg.eigh(0.5 * (coupled + coupled.mH))
        return (b.clamp_min(0.0), V), (b_coupled.clamp_min(0.0), V_coupled)


def channel_variance(covariance: SphereCovariance) -> Tensor:
    """B's own variance at each latitude, in units of s²: (channel, y) float64."""
    B, E, q = covariance.conditional(math.inf, dtype=torch.float64), covariance.basis, covariance.joined
    here = B.lags_apart()[..., 0].diagonal(dim1=1, dim2=2)
    coupled = B.lags_coupled()[0].view(q, here.shape[1], q, here.shape[1]).diagonal(dim1=1, dim2=3)
    return E[:, q:].square() @ here + torch.einsum("cp,cq,pqy->cy", E[:, :q], E[:, :q], coupled)


def _kept(b: Tensor, V: Tensor, sigma: float, dtype: torch.dtype) -> Tensor:
    """V diag(b σ² / (b + σ²)) V*, of the type of the numbers in ``dtype``."""
    left = b if math.isinf(sigma) else b * (sigma**2 / (b + sigma**2).clamp_min(1e-300))
    V = V.to(dtype.to_complex() if V.is_complex() else dtype)
    return (V * left.to(dtype)[..., None, :]) @ V.mH


def _lags(spectrum: Tensor, columns: int) -> Tensor:
    """Real spectra (mode, m, y, y′) by lag: (mode, y, y′, Δ)."""
    if not len(spectrum):  # which transforms refuse
        return spectrum.new_zeros(0, *spectrum.shape[2:], columns)
    return torch.fft.irfft(spectrum.permute(0, 2, 3, 1).contiguous(), n=columns)


def wave_number_counts(columns: int) -> Tensor:
    """How many of the ``columns`` wave numbers of both signs each m = 0 … ``columns`` // 2 stands for: (m,) float64."""
    counts = torch.full((columns // 2 + 1,), 2.0, dtype=torch.float64)
    counts[0] = 1.0
    if columns % 2 == 0:
        counts[-1] = 1.0
    return counts


def spectrum_of_lags(lags: Tensor) -> Tensor:
    """S (mode, m, y, y′), float64, of covariances by lag (mode, y, y′, Δ) that are even in Δ."""
    return torch.fft.rfft(lags.double(), dim=-1).real.permute(0, 3, 1, 2).contiguous()


def stored_tensors(covariance: SphereCovariance) -> dict[str, Tensor]:
    """For a file. Lower triangles only; the coupled ones as correlations in float16, whose rounding, 5e-4, is far
    below what a sample knows."""
    row, column = torch.tril_indices(*covariance.spectrum.shape[2:]).unbind()
    stored = {"triangle": covariance.spectrum[:, :, row, column].float().cpu()}
    stored |= {"basis": covariance.basis.double().cpu(), "scale": covariance.scale.double().cpu()}
    stored["columns"] = torch.tensor(covariance.columns)
    if covariance.coupled is not None:
        std = covariance.coupled.diagonal(dim1=1, dim2=2).real.clamp_min(1e-30).sqrt()
        row, column = torch.tril_indices(*covariance.coupled.shape[1:]).unbind()
        triangle = (covariance.coupled / (std[:, :, None] * std[:, None]))[:, row, column]
        stored |= {"coupled": torch.view_as_real(triangle).half().cpu(), "coupled_std": std.float().cpu()}
    return stored


def covariance_from(tensors: Mapping[str, Tensor]) -> SphereCovariance:
    """Of what ``stored_tensors`` made."""
    spectrum, coupled = _whole(tensors["triangle"].double()), None
    if "coupled" in tensors:
        std = tensors["coupled_std"].double()
        coupled = _whole(torch.view_as_complex(tensors["coupled"].double())) * std[:, :, None] * std[:, None]
    scale = tensors["scale"].double()
    return SphereCovariance(spectrum, tensors["basis"].double(), scale, int(tensors["columns"]), coupled)


def _whole(triangle: Tensor) -> Tensor:
    """Hermitian matrices (…, k, k) of their lower triangles (…, k (k + 1) / 2)."""
    size = (math.isqrt(8 * triangle.shape[-1] + 1) - 1) // 2
    row, column = torch.tril_indices(size, size).unbind()
    whole = triangle.new_zeros(*triangle.shape[:-1], size, size)
    whole[..., column, row] = triangle.conj()
    whole[..., row, column] = triangle
    return whole
