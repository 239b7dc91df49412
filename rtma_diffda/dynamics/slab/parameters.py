"""Parameters of the slab that differ between runs, and the law they are drawn from.

A truth and its twin draw theirs independently from the same law, so that neither is recognisable by them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SlabParameters:
    """Each (run, 1, 1).

    Attributes:
        drag_land, drag_sea: bulk drag of the slab per m/s of wind (1/m).
        blocking: drag on wind across steep slopes (1/s).
        heating: of the surface layer over land by an overhead sun (K/s).
        cooling: of the surface layer over land to a clear night sky (K/s).
        mixing_time: in which calm air mixes the surface layer with the slab (s).
        sea_exchange_time: in which the sea changes the slab's temperature (s).
        critical_humidity: relative humidity of half cloud cover.
        cloud_shading: part of the sunshine that full cloud takes.
        breeze: acceleration by gradients of surface-layer temperature, ½ g d / θ (m² s⁻² K⁻¹), d the layer's depth.
        drainage: part of gravity's pull along a slope that moves the surface layer.
        convection: cooling by downdraughts (K/s) at full strength.
        wind_factor_land, wind_factor_sea: 10 m wind over slab wind.
        sea_temperature: departure of the sea surface from the climate (K).
    """

    drag_land: Tensor
    drag_sea: Tensor
    blocking: Tensor
    heating: Tensor
    cooling: Tensor
    mixing_time: Tensor
    sea_exchange_time: Tensor
    critical_humidity: Tensor
    cloud_shading: Tensor
    breeze: Tensor
    drainage: Tensor
    convection: Tensor
    wind_factor_land: Tensor
    wind_factor_sea: Tensor
    sea_temperature: Tensor

    @classmethod
    def typical(cls, runs: int, *, dtype: torch.dtype = torch.float32) -> "SlabParameters":
        """The middle of the law for every run."""
        return cls(*(torch.full((runs, 1, 1), middle, dtype=dtype) for middle, _, _ in LAW.values()))

    @classmethod
    def draw(cls, spread: float, *, generator: torch.Generator) -> "SlabParameters":
        """Parameters of one run; ``spread`` 0 gives the typical ones, 1 the full law."""
        z = torch.randn(len(LAW), generator=generator, dtype=torch.float64, device=generator.device).clamp(-2.0, 2.0)
        drawn = [_drawn(law, float(spread * z_one)) for law, z_one in zip(LAW.values(), z, strict=True)]
        return cls(*(torch.full((1, 1, 1), value) for value in drawn))

    @classmethod
    def joined(cls, parts: "list[SlabParameters]") -> "SlabParameters":
        """The runs of several, one after the other."""
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in LAW))

    def select(self, runs: Tensor) -> "SlabParameters":
        """The parameters of the runs with these indices (n,)."""
        return SlabParameters(*(getattr(self, name)[runs] for name in LAW))

    def to(self, like: Tensor) -> "SlabParameters":
        """In the precision and on the device of ``like``."""
        return SlabParameters(*(getattr(self, name).to(like) for name in LAW))

    def of_run(self, run: int) -> dict[str, float]:
        """Name → value of one run."""
        return {name: float(getattr(self, name)[run, 0, 0]) for name in LAW}


_FACTOR, _SUM = "factor", "sum"
LAW: dict[str, tuple[float, float, str]] = {
    "drag_land": (7e-6, 0.22, _FACTOR),
    "drag_sea": (2e-6, 0.2, _FACTOR),
    "blocking": (2.0e-4, 0.25, _FACTOR),
    "heating": (11.0e-4, 0.14, _FACTOR),
    "cooling": (3.2e-4, 0.16, _FACTOR),
    "mixing_time": (1.8e4, 0.15, _FACTOR),
    "sea_exchange_time": (1.0e5, 0.2, _FACTOR),
    "critical_humidity": (0.70, 0.02, _SUM),
    "cloud_shading": (0.72, 0.06, _SUM),
    "breeze": (3.5, 0.18, _FACTOR),
    "drainage": (0.25, 0.2, _FACTOR),
    "convection": (1.3e-3, 0.2, _FACTOR),
    "wind_factor_land": (0.72, 0.06, _FACTOR),
    "wind_factor_sea": (0.90, 0.03, _FACTOR),
    "sea_temperature": (0.0, 0.3, _SUM),
}
"""Name → (middle, spread, how the spread applies): middle × exp(spread z) or middle + spread z, |z| ≤ 2."""


def _drawn(law: tuple[float, float, str], z: float) -> float:
    middle, spread, how = law
    return middle + spread * z if how == _SUM else float(middle * torch.exp(torch.tensor(spread * z)))
