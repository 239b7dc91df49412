"""``GlobeSettings``: archives of the globe, and the shape of a GraphCast network, as ``conf/globe`` says them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from rtma_diffda.assimilation.global_formulation import FORMULATIONS, GlobalFormulation
from rtma_diffda.assimilation.sphere_mixtures import SphereFitting
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import TASKS, GraphCastTask
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.settings import as_time, require_between, require_texts
from rtma_diffda.io.global_pairs import Period

MINIATURE = GraphCastTask.of(
    ("10m_u_component_of_wind", "10m_v_component_of_wind", "2m_temperature", "mean_sea_level_pressure"),
    levels=(250, 500, 700, 850, 1000),
)
"""Five levels, no precipitation: what runs on one core."""
KNOWN_TASKS: Mapping[str, GraphCastTask] = MappingProxyType({"miniature": MINIATURE, **TASKS})
"""Tasks by name: the published ones, and a small one."""

_NEVER = ("1678-01-01", "2262-01-01")


@dataclass(frozen=True)
class GlobalNetworkSettings:
    """Shape of the network; names and meanings as of ``GraphCastSettings``, the last two as of its ``evaluation``."""

    mesh_size: int = 3
    latent_size: int = 96
    message_steps: int = 6
    hidden_layers: int = 1
    radius_fraction: float = 0.6
    mesh2grid_edge_normalization_factor: float | None = None
    chunk: int | None = None
    recompute: bool = False

    def settings(self) -> GraphCastSettings:
        """Of the backbone."""
        shape = {name: value for name, value in vars(self).items() if name not in ("chunk", "recompute")}
        return GraphCastSettings(**shape, evaluation=Evaluation(chunk=self.chunk, recompute=self.recompute))


@dataclass(frozen=True)
class CycledSettings:
    """Of the cycles that B is fitted to.

    Attributes:
        sequences: begun at times spread over the training period.
        cycles: of each, 6 hours apart.
        spin_up: first cycles, whose backgrounds are not looked at.
        columns: numbers of observed columns, which sequences take in turn.
        rounds: how often B is fitted.
    """

    sequences: int = 12
    cycles: int = 20
    spin_up: int = 6
    columns: tuple[int, ...] = (80, 320)
    rounds: int = 2

    def __post_init__(self) -> None:
        require_between("globe.cycled.sequences", self.sequences, 1, 10_000)
        require_between("globe.cycled.cycles", self.cycles, 3, 10_000)
        require_between("globe.cycled.spin_up", self.spin_up, 2, self.cycles - 1)
        require_between("globe.cycled.rounds", self.rounds, 1, 100)
        for count in self.columns:
            require_between("globe.cycled.columns", count, 1, 10_000_000)


@dataclass(frozen=True)
class GlobeSettings:
    """What is trained on the globe; names and meanings as in ``conf/globe/weatherbench.yaml``."""

    archives: tuple[str, ...] = ()
    train: tuple[str | None, str | None] = (None, None)
    validation: tuple[str | None, str | None] = (None, None)
    statistics: str | None = None
    task: str = "miniature"
    network: GlobalNetworkSettings = field(default_factory=GlobalNetworkSettings)
    rollout: int = 1
    formulation: str = "improved"
    precipitation_target: bool = False
    leads: tuple[int, ...] = (6, 48)
    backgrounds: str = "outputs/backgrounds"
    forecast: str | None = None
    forecast_stores: tuple[str, ...] = ()
    stride: int = 1
    fitted_members: int = 256
    coupling: tuple[int, int] = (6, 10)
    cycled: CycledSettings = field(default_factory=CycledSettings)

    def __post_init__(self) -> None:
        if self.task not in KNOWN_TASKS:
            raise UsageError(f"globe.task is '{self.task}'; it may be {', '.join(KNOWN_TASKS)}")
        if self.formulation not in FORMULATIONS:
            raise UsageError(f"globe.formulation is '{self.formulation}'; it may be {', '.join(FORMULATIONS)}")
        for name in ("archives", "forecast_stores"):
            require_texts(f"globe.{name}", getattr(self, name))
        if self.forecast_stores and len(self.forecast_stores) != len(self.archives):
            raise UsageError(
                f"globe.forecast_stores has one store for each archive, or none; found {len(self.forecast_stores)} for "
                f"{len(self.archives)} archives"
            )
        require_between("globe.rollout", self.rollout, 1, 40)
        require_between("globe.stride", self.stride, 1, 1000)
        require_between("globe.fitted_members", self.fitted_members, 0, 100_000)
        if len(self.coupling) != 2:
            raise UsageError(f"globe.coupling is a number of modes and one of waves; found {self.coupling}")
        for lead in self.leads:
            require_between("globe.leads", lead, 1, 240)

    def period(self, split: str) -> Period:
        """First and last valid time of a split, ``train`` or ``validation``.

        Raises:
            UsageError: it is not two times, or none of them is given for validation.
        """
        given = getattr(self, split)
        if len(given) != 2 or (split == "validation" and given[0] is None):
            raise UsageError(f"globe.{split} is a first and a last valid time, such as [2016-01-01,2016-12-31]")
        first, last = (as_time(never if time is None else str(time)) for time, never in zip(given, _NEVER, strict=True))
        if last.astype("datetime64[D]") == last and len(str(given[1] or "")) <= len("2016-12-31"):
            last = last + np.timedelta64(1, "D") - np.timedelta64(1, "s")  # a date: all of the day
        return first, last

    def chosen_formulation(self) -> GlobalFormulation:
        """How residuals are diffused."""
        return FORMULATIONS[self.formulation].with_precipitation_target(self.precipitation_target)

    def fitting(self) -> SphereFitting:
        """What covariances of residuals are tried."""
        return SphereFitting(coupled=self.coupling[0], waves=self.coupling[1])

    def directory(self, archive: str, lead: int) -> Path:
        """Of the forecasts of one lead time for one archive."""
        return Path(self.backgrounds) / f"{Path(archive).stem}_{lead}h"
