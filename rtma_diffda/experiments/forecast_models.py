"""The forecast models that ``forecast`` knows by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.global_on_region import GlobalOnRegion
from rtma_diffda.fields.layout import Layout
from rtma_diffda.forecast.boundary_state import BoundaryState
from rtma_diffda.forecast.forecast_checkpoint import load_forecast
from rtma_diffda.forecast.persistence import Persistence
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import ForecastModel
from rtma_diffda.resources import resource_directory

LIMITED_AREA, PERSISTENCE, GLOBAL_STATE, GLOBAL_CHANGE = "limited_area", "persistence", "global_state", "global_change"


@dataclass(frozen=True)
class ForecastSetting:
    """What a model is made for.

    Attributes:
        layout: of the region's states.
        static: terrain and land of the region.
        time_step: of models that have none of their own.
        global_static: the global model's terrain and land; None where not known.
        checkpoint: of the limited-area model; None: the packaged one.
        without_boundary: whether a forecast may be made without boundary states.
    """

    layout: Layout
    static: StaticFields
    time_step: np.timedelta64
    global_static: StaticFields | None = None
    checkpoint: str | None = None
    without_boundary: bool = False

    @classmethod
    def of_boundary(cls, boundary: Boundary | None, **known: object) -> "ForecastSetting":
        """With the terrain that comes with a boundary."""
        return cls(**known, global_static=None if boundary is None else boundary.static)


def packaged_forecast() -> Path:
    """The checkpoint in the package."""
    return resource_directory("checkpoints") / "forecast"


def _limited_area(setting: ForecastSetting) -> ForecastModel:
    return load_forecast(
        Path(setting.checkpoint) if setting.checkpoint else packaged_forecast(),
        setting.static,
        variables=setting.layout.names,
        without_boundary=setting.without_boundary,
    )


def _persistence(setting: ForecastSetting) -> ForecastModel:
    return Persistence(setting.layout, setting.time_step)


def _from_boundary(setting: ForecastSetting, *, change: bool) -> ForecastModel:
    if setting.global_static is None or setting.global_static.orography is None or setting.static.orography is None:
        raise InputError("forecasts made of global states need the terrain of the global model and of the region")
    on_region = GlobalOnRegion(setting.static, setting.global_static)
    return BoundaryState(setting.layout, setting.time_step, on_region, change)


FORECASTS: Mapping[str, Callable[[ForecastSetting], ForecastModel]] = {
    LIMITED_AREA: _limited_area,
    PERSISTENCE: _persistence,
    GLOBAL_STATE: lambda setting: _from_boundary(setting, change=False),
    GLOBAL_CHANGE: lambda setting: _from_boundary(setting, change=True),
}
"""What a forecast can be made with, by name."""

NEEDS_BOUNDARY = (LIMITED_AREA, GLOBAL_STATE, GLOBAL_CHANGE)
"""Models that are forced by a global run."""
