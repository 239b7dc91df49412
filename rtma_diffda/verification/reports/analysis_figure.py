"""The picture of one analysis: background, increment with stations, analysis, and analysis error side by side."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, departures
from rtma_diffda.observations.table import Observations
from rtma_diffda.verification.display import display_field, title_of
from rtma_diffda.verification.reports.canvas import LABEL_SIZE, TITLE_SIZE, in_utc, new_figure
from rtma_diffda.verification.reports.maps import (
    MapField,
    StationMarks,
    error_map,
    field_limits,
    field_map,
    increment_map,
    panel_height,
    wind_map,
)

_PANEL_WIDTH = 5.6


@dataclass(frozen=True)
class AnalysisMaps:
    """One variable of one analysis, ready to draw.

    Attributes:
        name: short name of the variable.
        valid_time: UTC.
        background, analysis: (y, x) SI.
        error_std: (y, x) SI; None where the method states none.
        stations: with their innovations; None where they are not to be drawn.
    """

    name: str
    valid_time: np.datetime64
    background: np.ndarray
    analysis: np.ndarray
    error_std: np.ndarray | None = None
    stations: StationMarks | None = None

    @classmethod
    def of(cls, analysis: Analysis, name: str, *, withheld: Observations | None = None) -> "AnalysisMaps":
        """One variable of an analysis, means over members; withheld data are drawn where given."""
        channel = analysis.state.layout.index(name)
        error_std = analysis.error_std
        return cls(
            name,
            analysis.state.valid_time,
            background=_mean_field(analysis.problem.background.values[:, channel]),
            analysis=_mean_field(analysis.state.values[:, channel]),
            error_std=None if error_std is None else error_std[channel].detach().cpu().double().numpy(),
            stations=station_marks(analysis, channel, withheld),
        )


def station_marks(analysis: Analysis, channel: int, withheld: Observations | None) -> StationMarks:
    """The used data of one channel, and the withheld ones where given, with their innovations."""
    parts = [analysis.problem.observations, *([] if withheld is None else [withheld])]
    parts = [part.of_channel(channel) for part in parts]
    background, operator = analysis.problem.background, analysis.problem.operator
    innovations = [departures(background, part, operator).mean(dim=0).detach().cpu().numpy() for part in parts]
    return StationMarks(
        latitude=np.concatenate([part.latitude.cpu().numpy() for part in parts]),
        longitude=np.concatenate([part.longitude.cpu().numpy() for part in parts]),
        innovation=np.concatenate(innovations),
        withheld=np.repeat([False, True][: len(parts)], [len(part) for part in parts]),
    )


def analysis_figure(maps: AnalysisMaps, static: StaticFields, *, place: str = "") -> Figure:
    """Two by two panels: background, increment with stations, analysis, analysis error.

    Args:
        maps: what to draw.
        static: the region's grid, with coast and terrain where known.
        place: the region in words, for the title.
    """
    figure = new_figure(2 * _PANEL_WIDTH, 2 * panel_height(static.grid, _PANEL_WIDTH) + 0.35, layout="compressed")
    axes = figure.subplots(2, 2)
    limits = field_limits(maps.background, maps.analysis)
    field_map(MapField(maps.background, maps.name, "background"), static, limits=limits, axis=axes[0, 0])
    increment = MapField(maps.analysis - maps.background, maps.name, "increment")
    increment_map(increment, static, stations=maps.stations, axis=axes[0, 1])
    field_map(MapField(maps.analysis, maps.name, "analysis"), static, limits=limits, axis=axes[1, 0])
    if maps.error_std is None:
        _say(axes[1, 1], "the method states no analysis error")
    else:
        error_map(
            MapField(maps.error_std, maps.name, "analysis error, one standard deviation"), static, axis=axes[1, 1]
        )
    unit = display_field(maps.name, 0.0)[1]
    heading = title_of(maps.name) + (f" ({unit})" if unit else "")
    figure.suptitle(_joined(heading, in_utc(maps.valid_time), place), fontsize=TITLE_SIZE + 1, fontweight="bold")
    return figure


def wind_figure(u: AnalysisMaps, v: AnalysisMaps, static: StaticFields, *, place: str = "") -> Figure:
    """Wind of the background and of the analysis side by side, colours of speed alike."""
    figure = new_figure(2 * _PANEL_WIDTH, panel_height(static.grid, _PANEL_WIDTH) + 0.35, layout="compressed")
    axes = figure.subplots(1, 2)
    pairs = {"background": (u.background, v.background), "analysis": (u.analysis, v.analysis)}
    limits = field_limits(*(np.hypot(*pair) for pair in pairs.values()))
    for axis, (label, (eastward, northward)) in zip(axes, pairs.items(), strict=True):
        wind_map(MapField(eastward, "u10m", label), northward, static, limits=limits, axis=axis)
    figure.suptitle(_joined("10 m wind (m/s)", in_utc(u.valid_time), place), fontsize=TITLE_SIZE + 1, fontweight="bold")
    return figure


def _mean_field(members: Tensor) -> np.ndarray:
    return members.detach().cpu().double().mean(dim=0).numpy()


def _joined(*parts: str) -> str:
    return "  ·  ".join(part for part in parts if part)


def _say(axis: Axes, text: str) -> None:
    axis.axis("off")
    axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=LABEL_SIZE + 1, transform=axis.transAxes)
