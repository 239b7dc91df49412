"""Graphs of the experiments of DiffDA: error against the number of columns, lead time lost, error by cycle, ablations.

Panels are channels, the last one the mean over all channels of the error over the background's. Lines are methods, in
colours and marks of their own that stay with a method in all pictures of a page.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from rtma_diffda.verification.display import display_difference
from rtma_diffda.verification.global_errors import ALL
from rtma_diffda.verification.reports.canvas import LABEL_SIZE, TICK_SIZE, panels, source_colours, tidy

_UPPER_AIR = re.compile(r"^([a-z]+)(\d+)$")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_UNITS = {"m2 s-2": "m²/s²", "Pa s-1": "Pa/s"}
_GREY = "#7a7a7a"
_MOST = 4.0
"""Times the background's error that a panel shows."""
MOST_COLUMNS = 3
"""Panels of a line, as ``canvas.panels`` has them."""
_NAMES = {"z": "Z", "t": "T", "u": "U", "v": "V", "w": "ω", "q": "Q", "t2m": "T 2 m", "msl": "Sea-level pressure",
          "u10m": "U 10 m", "v10m": "V 10 m"}  # fmt: skip


def channel_title(label: str) -> str:
    """``z500`` → ``Z 500 hPa``; ``t2m`` → ``T 2 m``; the relative error in words."""
    if label == ALL:
        return "mean over all channels"
    found = _UPPER_AIR.match(label)
    if found and found[1] in _NAMES:
        return f"{_NAMES[found[1]]} {found[2]} hPa"
    return _NAMES.get(label, label)


def channel_display(label: str) -> tuple[float, str]:
    """What SI errors of a channel are multiplied with to be shown, and the unit; 1 and none for the relative error."""
    if label == ALL:
        return 1.0, ""
    found = _UPPER_AIR.match(label)
    scale, unit = display_difference(found[1] if found and found[1] in _NAMES else label, 1.0)
    return float(scale), _UNITS.get(unit, unit)


@dataclass(frozen=True)
class Styles:
    """Colour, mark and title of every method.

    Attributes:
        titles: by name, in the order of legends.
    """

    titles: Mapping[str, str]

    def of(self, method: str) -> dict[str, object]:
        """Keywords for ``Axes.plot``."""
        names = list(self.titles)
        place = names.index(method)
        return {
            "color": source_colours(names)[method],
            "marker": _MARKS[place % len(_MARKS)],
            "markersize": 4.0,
            "linewidth": 1.4,
            "label": self.titles[method],
        }


def columns_figure(
    curves: pd.DataFrame, forecasts: pd.DataFrame, styles: Styles, *, channels: Sequence[str], singles: pd.DataFrame
) -> Figure:
    """RMSE against the number of columns, both logarithmic, with the background and forecasts from the truth.

    Args:
        curves: ``method``, ``columns``, ``channel``, ``rmse``, ``low``, ``high``, SI: of the mean of the members.
        forecasts: ``lead_hours``, ``channel``, ``rmse``: grey lines; the longest lead is the background.
        styles: of the methods.
        channels: a panel each.
        singles: as ``curves``, of a single member: dotted; may be empty.
    """
    figure, axes = _with_legend(channels)
    for axis, channel in zip(axes, channels, strict=False):
        scale, unit = channel_display(channel)
        for method, rows in _by_method(curves, channel, styles):
            _line(axis, rows, "columns", scale, styles.of(method))
        for method, rows in _by_method(singles, channel, styles):
            style = styles.of(method) | {"linestyle": ":", "marker": "", "label": None}
            axis.plot(rows["columns"], scale * rows["rmse"], **style)
        _logarithmic(axis, curves["columns"].unique())
        drawn = [table.loc[table["channel"] == channel, "rmse"] for table in (curves, singles, forecasts) if len(table)]
        known = forecasts.loc[forecasts["channel"] == channel, "rmse"]
        _within(axis, scale * np.concatenate(drawn), scale * float(known.max()) if len(known) else np.inf)
        _forecast_lines(axis, forecasts[forecasts["channel"] == channel], scale)
        axis.set_xlabel("observed columns", fontsize=LABEL_SIZE)
        _finish(axis, channel, unit)
    notes = ["solid: mean of the members; shaded: 95 % over cases"]
    notes += ["dotted: a single member"] if len(singles) else []
    _legend(
        figure,
        axes,
        len(channels),
        notes=[*notes, "grey: forecasts from the truth, by lead time", f"panels end at {_MOST:g} × background"],
    )
    return figure


def lost_figure(lost: pd.DataFrame, styles: Styles, *, channels: Sequence[str], most: float = 48.0) -> Figure:
    """Lead time lost against the number of columns.

    Args:
        lost: ``method``, ``columns``, ``channel``, ``lost``, ``low``, ``high`` (h), infinite beyond what is known.
        styles: of the methods.
        channels: a panel each.
        most: h, the most that is known; more is drawn there as an open mark.
    """
    figure, axes = _with_legend(channels)
    for axis, channel in zip(axes, channels, strict=False):
        axis.axhline(24.0, color=_GREY, linewidth=0.9, linestyle="--")
        axis.axhline(0.0, color=_GREY, linewidth=0.9)
        for method, rows in _by_method(lost, channel, styles):
            _lost_line(axis, rows, styles.of(method), most)
        _logarithmic(axis, lost["columns"].unique(), vertical=False)
        axis.set(ylim=(-2.5, most + 2.5), yticks=np.arange(0.0, most + 1.0, 12.0))
        axis.set_xlabel("observed columns", fontsize=LABEL_SIZE)
        _finish(axis, channel, "", quantity="lead time lost (h)")
    notes = (f"open marks: 0 h or less, {most:g} h or more", "dashed: 24 h", "shaded: 95 % over cases")
    _legend(figure, axes, len(channels), notes=notes)
    return figure


def cycles_figure(
    table: pd.DataFrame, styles: Styles, *, channels: Sequence[str], step_hours: float, relative_to: str
) -> Figure:
    """RMSE of analyses by cycle, logarithmic.

    Args:
        table: ``method``, ``cycle``, ``channel``, ``rmse``.
        styles: of the methods.
        channels: a panel each.
        step_hours: between cycles.
        relative_to: what the mean over all channels is relative to, in words.
    """
    figure, axes = _with_legend(channels)
    for axis, channel in zip(axes, channels, strict=False):
        scale, unit = channel_display(channel)
        for method, rows in _by_method(table, channel, styles):
            rows = rows.sort_values("cycle")
            style = styles.of(method) | {"markersize": 2.5}
            axis.plot(step_hours * rows["cycle"] / 24.0, scale * rows["rmse"], **style)
        _logarithmic_values(axis)
        axis.set_xlabel("days", fontsize=LABEL_SIZE)
        _finish(axis, channel, unit)
    _legend(figure, axes, len(channels), notes=[f"mean over all channels: error over {relative_to}"])
    return figure


def ablation_figure(table: pd.DataFrame, styles: Styles, *, channels: Sequence[str], along: str, label: str) -> Figure:
    """RMSE against a setting of the method.

    Args:
        table: ``method`` (which variant), ``along`` (the setting), ``channel``, ``rmse``, ``low``, ``high``.
        styles: of the variants.
        channels: a panel each.
        along: name of the column of the setting.
        label: of it, in words.
    """
    figure, axes = _with_legend(channels)
    for axis, channel in zip(axes, channels, strict=False):
        scale, unit = channel_display(channel)
        for method, rows in _by_method(table, channel, styles):
            _line(axis, rows, along, scale, styles.of(method))
        axis.set_xlabel(label, fontsize=LABEL_SIZE)
        axis.set_xticks(sorted(table[along].unique()))
        axis.set_ylim(bottom=0.0)
        _finish(axis, channel, unit)
    _legend(figure, axes, len(channels), notes=["shaded: 95 % over cases"])
    return figure


def dots_figure(
    table: pd.DataFrame, titles: Mapping[str, str], *, channels: Sequence[str], kinds: Mapping[str, str]
) -> Figure:
    """RMSE of several kinds as dots, a line a method, a panel a channel.

    Args:
        table: ``method``, ``kind``, ``channel``, ``rmse``, ``low``, ``high``.
        titles: of the methods, from top to bottom.
        channels: a panel each.
        kinds: titles of the kinds, by value of ``kind``; three dots a line at most read well.
    """
    figure, axes = panels(len(channels), width=4.6, height=0.9 + 0.33 * len(titles))
    colours = dict(zip(kinds, source_colours(list(kinds)).values(), strict=True))
    for panel, (axis, channel) in enumerate(zip(axes, channels, strict=True)):
        scale, unit = channel_display(channel)
        for i, (kind, title) in enumerate(kinds.items()):
            rows = table[(table["kind"] == kind) & (table["channel"] == channel)].set_index("method")
            names = [name for name in titles if name in rows.index]
            places = [list(titles).index(name) + 0.22 * (i - 0.5 * (len(kinds) - 1)) for name in names]
            value, low, high = (scale * rows.loc[names, what].to_numpy(float) for what in ("rmse", "low", "high"))
            axis.errorbar(value, places, xerr=_arms(value, low, high), fmt=_MARKS[i], color=colours[kind], markersize=5,
                          elinewidth=1.0, label=title)  # fmt: skip
        axis.set_yticks(range(len(titles)), list(titles.values()) if panel % 3 == 0 else [])
        axis.set_ylim(len(titles) - 0.5, -0.5)
        axis.set_xlim(left=0.0)
        axis.grid(color="#dddddd", linewidth=0.6)
        axis.set_xlabel(_quantity(channel, unit), fontsize=LABEL_SIZE)
        tidy(axis, channel_title(channel))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(kinds), fontsize=TICK_SIZE, frameon=False)
    return figure


def _with_legend(channels: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """Panels, and one more place for the legend, the last, where a line of panels has room for it."""
    more = 1 if len(channels) % MOST_COLUMNS else 0
    return panels(len(channels) + more, width=4.4, height=3.2)


def _by_method(table: pd.DataFrame, channel: str, styles: Styles):
    own = table[table["channel"] == channel] if len(table) else table
    for method in styles.titles:
        rows = own[own["method"] == method] if len(own) else own
        if len(rows):
            yield method, rows


def _line(axis: Axes, rows: pd.DataFrame, along: str, scale: float, style: Mapping[str, object]) -> None:
    rows = rows.sort_values(along)
    axis.plot(rows[along], scale * rows["rmse"], **style)
    axis.fill_between(
        rows[along], scale * rows["low"], scale * rows["high"], color=style["color"], alpha=0.12, linewidth=0
    )


def _lost_line(axis: Axes, rows: pd.DataFrame, style: Mapping[str, object], most: float) -> None:
    rows = rows.sort_values("columns")
    values, low, high = (np.clip(rows[name].to_numpy(float), 0.0, most) for name in ("lost", "low", "high"))
    axis.plot(rows["columns"], values, **style)
    axis.fill_between(rows["columns"], low, high, color=style["color"], alpha=0.12, linewidth=0)
    beyond = ~np.isfinite(rows["lost"].to_numpy(float))
    shape = {name: style[name] for name in ("color", "marker", "markersize")}
    axis.plot(rows["columns"].to_numpy()[beyond], values[beyond], linestyle="", markerfacecolor="white", **shape)


def _forecast_lines(axis: Axes, forecasts: pd.DataFrame, scale: float) -> None:
    """Grey lines with their lead times at the right, outside; lead times that would overlap are left out."""
    if not len(forecasts):
        return
    low, high = axis.get_ylim()
    room, last = 0.045 * np.log10(high / low), -np.inf
    longest = forecasts["lead_hours"].max()
    for row in forecasts.sort_values("rmse").itertuples():
        value = scale * row.rmse
        background = row.lead_hours == longest
        axis.axhline(
            value, color=_GREY, linewidth=1.6 if background else 0.7, linestyle="-" if background else "--", zorder=1
        )
        if np.log10(value) - last > room and low <= value <= high:
            text = "background" if background else f"{row.lead_hours:g} h"
            axis.annotate(
                text,
                (1.0, value),
                xycoords=("axes fraction", "data"),
                xytext=(3, 0),
                textcoords="offset points",
                fontsize=TICK_SIZE - 1,
                color=_GREY,
                va="center",
                annotation_clip=False,
            )
            last = np.log10(value)


def _within(axis: Axes, drawn: np.ndarray, background: float) -> None:
    """Limits around all that is drawn, but not beyond ``_MOST`` times the background, which some methods exceed far."""
    axis.set_ylim(0.85 * drawn.min(), 1.15 * min(drawn.max(), _MOST * background))


def _logarithmic(axis: Axes, columns: Sequence[int], *, vertical: bool = True) -> None:
    axis.set_xscale("log")
    ticks = sorted(columns)
    axis.set_xticks(ticks, [f"{count:,}" for count in ticks], rotation=45 if max(ticks) > 999 else 0)
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.minorticks_off()
    if vertical:
        _logarithmic_values(axis)


def _logarithmic_values(axis: Axes) -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _finish(axis: Axes, channel: str, unit: str, *, quantity: str = "") -> None:
    axis.grid(color="#e4e4e4", linewidth=0.6)
    axis.set_ylabel(quantity or _quantity(channel, unit), fontsize=LABEL_SIZE)
    tidy(axis, channel_title(channel))


def _quantity(channel: str, unit: str) -> str:
    return "error / background's" if channel == ALL else f"RMSE ({unit})"


def _legend(figure: Figure, axes: Sequence[Axes], count: int, *, notes: Sequence[str]) -> None:
    """Every label that occurs in one of ``count`` panels once, and notes: in the place left over, or below all."""
    known = {}
    for axis in axes[:count]:
        known |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if len(axes) > count:
        place = axes[-1]
        place.axis("off")
        place.legend(known.values(), known.keys(), loc="upper left", fontsize=TICK_SIZE + 1, frameon=False)
        place.text(
            0.02, 0.0, "\n".join(notes), transform=place.transAxes, fontsize=TICK_SIZE, color="#444444", va="bottom"
        )
        return
    columns = int(figure.get_figwidth() / 2.8)
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=columns, fontsize=TICK_SIZE,
                  frameon=False, title="; ".join(notes), title_fontsize=TICK_SIZE)  # fmt: skip


def _arms(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.clip(np.stack([value - low, high - value]), 0.0, None))
