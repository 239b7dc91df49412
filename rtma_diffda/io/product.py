"""``Product``: everything that one analysis time leaves behind, ready to be stored."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from rtma_diffda import __version__
from rtma_diffda.errors import InputError
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io import cf
from rtma_diffda.times import format_time

_MAY_BE_MISSING = frozenset({"ceil", "swh"})  # an unlimited ceiling, and waves over land, are no number


@dataclass(frozen=True)
class Product:
    """One analysis with what a reader needs to judge it.

    Attributes:
        domain: name of the region; becomes part of file names.
        analysis: x_a, one or more members; the mean over members is what most readers want.
        static: terrain and land of the same grid.
        created: when the product was made (wall clock, UTC).
        obs_cutoff: until when observations could arrive (UTC).
        background: x_b on the same layout; its mean over members is stored.
        error_std: (channel, y, x) SI: the stated standard error of the analysis.
        provenance: how it was made: method, source of the background, observation files, checkpoint, seed, …
        degraded: reasons, in words, why this is less than normal; empty for a complete analysis.
    """

    domain: str
    analysis: State
    static: StaticFields
    created: np.datetime64
    obs_cutoff: np.datetime64
    background: State | None = None
    error_std: Tensor | None = None
    provenance: Mapping[str, str | float] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        layout = self.analysis.layout
        if any(channel.level is not None for channel in layout.channels):
            raise InputError(f"products hold near-surface variables only; found pressure levels in {layout.channels}")
        if self.static.grid.key != layout.grid.key:
            raise InputError("static fields of a product are on another grid than its analysis")
        if np.isnat(self.created) or np.isnat(self.obs_cutoff):
            raise InputError("a product needs the time of its creation and its observation cut-off")
        _require_numbers("analysis", self.analysis)
        self._check_background()
        self._check_error()

    @property
    def valid_time(self) -> np.datetime64:
        """When the analysis is true, ``datetime64[ns]`` UTC."""
        return self.analysis.valid_time.astype("datetime64[ns]")

    @property
    def status(self) -> str:
        """``complete`` or ``degraded``."""
        return "degraded" if self.degraded else "complete"

    def _check_background(self) -> None:
        if self.background is None:
            return
        if self.background.layout.shape != self.analysis.layout.shape or (
            self.background.layout.names != self.analysis.layout.names
        ):
            raise InputError(
                f"background has {', '.join(self.background.layout.names)} on {self.background.layout.grid.shape} "
                f"points; its analysis has {', '.join(self.analysis.layout.names)} on "
                f"{self.analysis.layout.grid.shape}"
            )
        if self.background.valid_time != self.analysis.valid_time:
            raise InputError(
                f"background is valid at {self.background.valid_time}, its analysis at {self.analysis.valid_time}"
            )
        _require_numbers("background", self.background)

    def _check_error(self) -> None:
        if self.error_std is None:
            return
        if tuple(self.error_std.shape) != self.analysis.layout.shape:
            raise InputError(
                f"error_std has shape {tuple(self.error_std.shape)}; expected (channel, y, x) = "
                f"{self.analysis.layout.shape}"
            )
        if bool((self.error_std < 0).any()) or bool(torch.isinf(self.error_std).any()):
            raise InputError("error_std of a product has values that are negative or infinite")


def product_fields(product: Product, *, members: int) -> dict[str, np.ndarray | None]:
    """Array name → values ([realization,] y, x) float32 of every field stored of a product; None for what it lacks.

    With ``members`` 0 only means over members are stored; else the members and their standard deviation too.
    """
    values = product.analysis.values
    sources: dict[cf.FieldKind, Tensor | None] = {
        cf.ANALYSIS: values.mean(dim=0),
        cf.ERROR: product.error_std,
        cf.BACKGROUND: None if product.background is None else product.background.values.mean(dim=0),
    }
    if members:
        sources |= {cf.SPREAD: values.std(dim=0), cf.MEMBERS: values.transpose(0, 1)}
    return {
        kind.array_name(name): None if source is None else source[i].detach().cpu().numpy().astype("<f4")
        for kind, source in sources.items()
        for i, name in enumerate(product.analysis.layout.names)
    }


def provenance_text(product: Product, indent: int | None = None) -> str:
    """How a product was made, as JSON."""
    content = {
        "valid_time": format_time(product.valid_time),
        "status": product.status,
        "degraded": product.degraded,
        "software": f"rtma_diffda {__version__}",
        "made": dict(product.provenance),
    }
    return json.dumps(content, indent=indent, ensure_ascii=False, default=str)


def _require_numbers(what: str, state: State) -> None:
    """Refuse infinities anywhere, and missing values where the variable has a value at every point."""
    for name in state.layout.names:
        values = state.channel(name)
        infinite, missing = int(torch.isinf(values).sum()), int(torch.isnan(values).sum())
        if infinite or (missing and name not in _MAY_BE_MISSING):
            raise InputError(
                f"{what} of {state.valid_time} has {missing} missing and {infinite} infinite values of {name} "
                f"among {values.numel()}; it is not stored"
            )
