"""Matched pairs: every verifying datum beside what each source says of it.

A *source* is anything that has a model equivalent of a datum: the background, an analysis, another centre's analysis.
Verification knows sources by name only. Error means source minus observation throughout.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from torch import Tensor

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.observations.table import Observations

DATUM_COLUMNS = (
    "station",
    "network",
    "variable",
    "valid_time",
    "latitude",
    "longitude",
    "elevation",
    "observed",
    "error_std",
)
"""Columns of a pair that describe the datum."""

EXTRA_COLUMNS = ("analysis_time", "fold", "weight")
"""Columns that a caller may add to the pairs; all others belong to sources."""

ERROR_SUFFIX = "_error_std"
"""The column ``<source>_error_std`` holds the error that a source states for its own value."""

_NO_SOURCE = (*DATUM_COLUMNS, *EXTRA_COLUMNS)


def matched_pairs(
    observations: Observations,
    equivalents: Mapping[str, ArrayLike | Tensor],
    *,
    layout: Layout,
    error_stds: Mapping[str, ArrayLike | Tensor] | None = None,
) -> pd.DataFrame:
    """One row a datum, in the order of the observations.

    Args:
        observations: the verifying data: ``observations.withheld()`` for the headline, used data for the fit to them.
        equivalents: {source: (n,) or (member, n) SI}; of members the mean is taken.
        layout: whose channels the observations refer to.
        error_stds: {source: (n,) SI}: one standard deviation of the error that the source states for its value,
            the observation's own error not included.

    Returns:
        ``DATUM_COLUMNS``, one column a source, and ``<source>_error_std`` where stated; SI units.

    Raises:
        UsageError: the name of a source is that of another column.
        InputError: a source has another number of values than there are data.
    """
    stated = {f"{name}{ERROR_SUFFIX}": values for name, values in (error_stds or {}).items()}
    unfit = [name for name in equivalents if name in _NO_SOURCE or name.endswith(ERROR_SUFFIX)]
    if unfit:
        raise UsageError(f"sources may not be called {unfit}: columns of the matched pairs have these names")
    columns = {**equivalents, **stated}
    return pd.DataFrame(
        _datum_columns(observations, layout)
        | {name: _column(name, values, len(observations)) for name, values in columns.items()}
    )


def sources_of(pairs: pd.DataFrame) -> list[str]:
    """Names of the sources in a frame of matched pairs, in order."""
    return [name for name in pairs if name not in _NO_SOURCE and not name.endswith(ERROR_SUFFIX)]


def _datum_columns(observations: Observations, layout: Layout) -> dict[str, ArrayLike]:
    return {
        "station": observations.station,
        "network": observations.network,
        "variable": np.array(layout.names, dtype=object)[observations.channel.cpu().numpy()],
        "valid_time": observations.valid_time,
        "latitude": _numbers(observations.latitude),
        "longitude": _numbers(observations.longitude),
        "elevation": _numbers(observations.elevation),
        "observed": _numbers(observations.value),
        "error_std": _numbers(observations.error_std),
    }


def _column(name: str, values: ArrayLike | Tensor, count: int) -> np.ndarray:
    numbers = _numbers(values)
    if numbers.ndim == 2:
        numbers = numbers.mean(axis=0)
    if numbers.shape != (count,):
        raise InputError(f"'{name}' has values of shape {numbers.shape} for {count} observations")
    return numbers


def _numbers(values: ArrayLike | Tensor) -> np.ndarray:
    if isinstance(values, Tensor):
        return values.detach().cpu().double().numpy()
    return np.asarray(values, np.float64)
