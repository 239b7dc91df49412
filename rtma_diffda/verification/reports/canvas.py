"""Figures without a window: sizes, fonts, colours, and PNG output.

Figures are made from ``matplotlib.figure.Figure``, never through pyplot, whose global list of figures would keep every
picture of a long run in memory. Colours can be told apart by colour-blind readers: Okabe and Ito's for lines and bars
(and two of Tol's after them), viridis and cividis for fields, diverging red–blue, brown–green or purple–orange for
differences only.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from rtma_diffda.io.atomic import write_bytes
from rtma_diffda.times import format_time

TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 11, 9, 8
DOTS_PER_INCH = 130

_MOST_COLUMNS = 3
_LEGEND_COLUMN = 2.0  # inches

_BACKGROUND_GREY = "#7a7a7a"
_OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#999933")
_FIELD_MAPS = {"d2m": "viridis", "q2m": "viridis", "r2m": "viridis", "sp": "cividis", "msl": "cividis"}
_DIFFERENCE_MAPS = {"d2m": "BrBG", "q2m": "BrBG", "r2m": "BrBG", "sp": "PuOr_r", "msl": "PuOr_r"}


def new_figure(width: float, height: float, *, layout: str = "constrained") -> Figure:
    """An empty figure of so many inches that lays itself out; "compressed" for panels of a given shape, as maps are."""
    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=layout)


def panels(count: int, *, width: float = 4.6, height: float = 3.3) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels of one size, at most three beside each other; places left over stay empty."""
    columns = min(_MOST_COLUMNS, max(count, 1))
    rows = -(-max(count, 1) // columns)
    figure = new_figure(width * columns, height * rows + 0.3)
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis in axes[count:]:
        axis.axis("off")
    return figure, list(axes[:count])


def legend_below(figure: Figure, axis: Axes, *, columns: int = 5) -> None:
    """One legend for all panels, from the lines of one of them, below the figure; narrow figures get fewer columns."""
    handles, labels = axis.get_legend_handles_labels()
    columns = max(1, min(columns, int(figure.get_figwidth() / _LEGEND_COLUMN)))
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=TICK_SIZE, frameon=False)


def axis_or_new(axis: Axes | None, *, width: float = 5.5, height: float = 4.0) -> Axes:
    """The axis given, or the only one of a new figure."""
    return new_figure(width, height).add_subplot() if axis is None else axis


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    # Without the version of matplotlib in it, the same data give the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save_png(figure: Figure, path: Path) -> Path:
    """Write the figure as a PNG file that appears whole or not at all; returns its path.

    Raises:
        InputError: it cannot be written there.
    """
    return write_bytes(path, png_bytes(figure))


def source_colours(sources: Sequence[str]) -> dict[str, str]:
    """One colour a source, the background always grey."""
    others = [name for name in sources if name != "background"]
    colours = {name: _OKABE_ITO[i % len(_OKABE_ITO)] for i, name in enumerate(others)}
    return {name: colours.get(name, _BACKGROUND_GREY) for name in sources}


def field_colours(name: str) -> str:
    """Colour map of a variable's field."""
    return _FIELD_MAPS.get(name, "viridis")


def difference_colours(name: str) -> str:
    """Diverging colour map of a variable's increments."""
    return _DIFFERENCE_MAPS.get(name, "RdBu_r")


def in_utc(valid_time: np.datetime64) -> str:
    """A valid time as titles show it: ``2026-01-01 00:15 UTC``."""
    return format_time(valid_time).replace("T", " ").replace("Z", " UTC")


def colour_bar(axis: Axes, mesh: ScalarMappable, *, label: str, extend: str = "neither") -> None:
    """A colour bar at the right of a map, exactly as high as the map."""
    bar = axis.figure.colorbar(mesh, ax=axis, pad=0.02, fraction=0.05, aspect=30, extend=extend)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    bar.set_label(label, fontsize=LABEL_SIZE)


def tidy(axis: Axes, title: str) -> None:
    """Title at the left, small ticks, no frame at the top and right."""
    axis.set_title(title, fontsize=LABEL_SIZE + 1, loc="left")
    axis.tick_params(labelsize=TICK_SIZE)
    axis.spines[["top", "right"]].set_visible(False)
