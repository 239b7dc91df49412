"""Scores of forecasts against a known truth, by lead: on the whole grid, in its interior, and in its rim.

A limited-area model is forced at its rim, so a bad one shows there: a *seam*. Errors are larger near the rim even where
none is, because weather arrives there; how much so is known from the change of the truth itself (persistence). So

    seam = [rmse_rim / rmse_interior](forecast) / [rmse_rim / rmse_interior](persistence),

and 1 says that the forecast is worse at its rim by no more than weather changes more there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rtma_diffda.errors import InputError
from rtma_diffda.fields.state import State
from rtma_diffda.verification.run_moments import AVERAGED, RunBootstrap, RunMoments, interval

GRID, INTERIOR, RIM = "grid", "interior", "rim"
"""Kinds of place: all points, and the two parts of them."""


@dataclass(frozen=True)
class ForecastLabel:
    """Which forecast is scored.

    Attributes:
        setting: what is compared within, such as ``3 h``.
        method: name of the model.
        run: the independent run that the truth is from.
    """

    setting: str
    method: str
    run: str


def rim_mask(shape: tuple[int, int], width: int) -> np.ndarray:
    """(y, x) bool: True on the outer ``width`` points.

    Raises:
        InputError: nothing is left inside.
    """
    if not 0 < 2 * width < min(shape):
        raise InputError(f"a rim of {width} points leaves no interior of {shape[0]} × {shape[1]} points")
    mask = np.ones(shape, bool)
    mask[width:-width, width:-width] = False
    return mask


def forecast_rows(forecast: State, truth: State, label: ForecastLabel, *, rim: int) -> Iterator[dict[str, object]]:
    """One row a variable and kind of place, for ``comparison_table`` and its kin; scores other than RMSE are NaN.

    Args:
        forecast: of any number of members, whose mean is scored.
        truth: one member, same layout and valid time.
        label: which forecast.
        rim: width of the rim in points.
    """
    if forecast.layout != truth.layout or forecast.valid_time != truth.valid_time:
        raise InputError(f"a forecast for {forecast.valid_time} cannot be scored against a truth of {truth.valid_time}")
    error = (forecast.values.double().mean(dim=0) - truth.values[0].double()).cpu().numpy()
    outer = rim_mask(error.shape[1:], rim)
    for place, chosen in ((GRID, np.ones_like(outer)), (INTERIOR, ~outer), (RIM, outer)):
        for name, values in zip(truth.layout.names, error[:, chosen], strict=True):
            known = {"bias": values.mean(), "mse": np.mean(values**2)}
            yield {
                **vars(label),
                "valid_time": truth.valid_time,
                "variable": name,
                "place": place,
                "n": values.size,
                **{score: known.get(score, np.nan) for score in AVERAGED},
            }


def seam_table(rows: pd.DataFrame, *, reference: str, bootstrap: RunBootstrap | None = None) -> pd.DataFrame:
    """Rim against interior, by setting and method, mean over variables.

    Args:
        rows: from ``forecast_rows``.
        reference: method whose errors are the change of the weather itself: persistence.
        bootstrap: of the intervals over runs.

    Returns:
        setting, method, ``rim_over_interior`` (ratio of RMSE), ``seam`` (that over the reference's) with ``_low`` and
        ``_high``.
    """
    bootstrap = bootstrap or RunBootstrap()
    found = []
    for setting, group in rows.groupby("setting", sort=False):
        inner, outer = (RunMoments.of(group[group["place"] == place]) for place in (INTERIOR, RIM))
        row = inner.row_of(reference)
        total = outer.scores()["rmse"] / inner.scores()["rmse"]
        drawn = outer.replicates(bootstrap)["rmse"] / inner.replicates(bootstrap)["rmse"]
        seam, seams = ((ratio / ratio[..., row : row + 1, :]).mean(axis=-1) for ratio in (total, drawn))
        low, high = interval(seams, bootstrap, runs=len(inner.runs))
        for i, method in enumerate(inner.methods):
            ends = {"seam": seam[i], "seam_low": low[i], "seam_high": high[i]}
            found.append({"setting": setting, "method": method, "rim_over_interior": total[i].mean(), **ends})
    return pd.DataFrame(found)


def distance_to_rim(shape: tuple[int, int]) -> np.ndarray:
    """(y, x) int: points between a point and the nearest edge, 0 on the edge itself."""
    ny, nx = shape
    rows, columns = np.arange(ny)[:, None], np.arange(nx)[None]
    return np.minimum(np.minimum(rows, ny - 1 - rows), np.minimum(columns, nx - 1 - columns))


def response_by_distance(change: np.ndarray, *, width: int = 4) -> pd.DataFrame:
    """Root mean square of changes (…, y, x), by distance from the rim in bands of ``width`` points.

    Returns:
        first (distance of the band's outermost points, in points), rms.
    """
    band = distance_to_rim(change.shape[-2:]) // width
    rms = [float(np.sqrt(np.mean(change[..., band == i] ** 2))) for i in range(int(band.max()) + 1)]
    return pd.DataFrame({"first": np.arange(len(rms)) * width, "rms": rms})
