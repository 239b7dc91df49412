"""What simulated stations report of a simulated truth: as observations at once, or as reports for METAR text.

A report's value is H(x_t) + ε at the station's own height (``simulated_errors`` has ε). The truth is that of one state,
whose valid time stands for the few minutes before or after it at which each station reports, so that ε covers them; or,
given states around it, that of each station's own minute, linear in time between two states:

    x(t) = (1 − a) x_k + a x_{k+1},        a = (t − t_k) / (t_{k+1} − t_k).
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rtma_diffda.errors import UsageError
from rtma_diffda.fields.series import StateSeries
from rtma_diffda.fields.state import State
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.geo.wind import speed_and_direction
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.simulated_errors import REPORTED, DrawnErrors, ReportErrors, draw_errors
from rtma_diffda.observations.simulated_sites import BIAS_COLUMNS
from rtma_diffda.observations.table import Observations, add_flag

_CONDENSATION_RATE = 125.0  # m of cloud base per K of dew point depression
_LOWEST_CLOUD = 30.0  # m; lower clouds are fog
_AT_NEAREST_POINT = ("tcc", "vis", "ceil")


@dataclass(frozen=True)
class SimulatedObservations:
    """Observations, and what no method may know of them.

    Attributes:
        observations: all that a method may see; stations in the network's order, for one variable after the other.
        truth: (n,) SI, float64: H of the truth, at each station's height (and minute).
        gross_error: (n,) True where the value is grossly wrong.
        received_time: (n,) datetime64[ns].
    """

    observations: Observations
    truth: Tensor
    gross_error: np.ndarray
    received_time: np.ndarray

    def available_at(self, cutoff: np.datetime64) -> Observations:
        """The observations, those received after ``cutoff`` flagged as outside the window."""
        return self.observations.with_flag(self.received_time > cutoff, Flag.OUTSIDE_WINDOW)


def observations_of(
    truth: State,
    network: pd.DataFrame,
    *,
    static: StaticFields,
    errors: ReportErrors,
    generator: torch.Generator,
    evolution: StateSeries | None = None,
) -> Observations:
    """The observations alone of ``simulate_observations``."""
    simulated = simulate_observations(
        truth, network, static=static, errors=errors, generator=generator, evolution=evolution
    )
    return simulated.observations


def simulate_observations(
    truth: State,
    network: pd.DataFrame,
    *,
    static: StaticFields,
    errors: ReportErrors,
    generator: torch.Generator,
    evolution: StateSeries | None = None,
) -> SimulatedObservations:
    """What every station of the network observes, without the detour by text: one datum a station and variable.

    Args:
        truth: one member; of its channels those that stations report (``simulated_errors.REPORTED``) are observed.
        network: of ``simulated_sites``; all of its rows report, in whatever order they stand.
        static: terrain of the truth's grid.
        errors: how reports differ from the truth; ``error_std`` of the data is what they state, gross errors apart.
        generator: for the errors; the first n stations get the same ones whatever the network's length.
        evolution: states around the truth's time; with them, the truth is that of each station's own minute.

    Raises:
        UsageError: more than one member, or no channel that stations report.
        InputError: a station outside the grid.
    """
    names = [name for name in truth.layout.names if name in REPORTED]
    if not names or truth.members != 1:
        raise UsageError(f"stations report one member with some of {REPORTED}; {truth.members} found, with {names}")
    places = _places(truth, network, names)
    exact = truth_at(truth, places, static=static, evolution=evolution)
    drawn = _drawn(network, errors, generator)
    by_name = dict(zip(names, exact.reshape(len(names), -1).numpy(), strict=True))
    observed = drawn.added_to(by_name)
    absent = np.zeros(len(network))
    gross = np.concatenate([drawn.gross.get(name, absent) != 0.0 for name in names])
    delays = network["delay_minutes"].to_numpy().astype("timedelta64[m]")
    return SimulatedObservations(
        observations=replace(
            places,
            value=torch.from_numpy(np.concatenate([observed[name] for name in names])),
            error_std=torch.tensor([errors.stated(n) for n in names], dtype=torch.float64).repeat_interleave(
                len(network)
            ),
        ),
        truth=exact,
        gross_error=gross,
        received_time=places.valid_time + np.tile(delays, len(names)),
    )


def truth_at(
    truth: State, observations: Observations, *, static: StaticFields, evolution: StateSeries | None = None
) -> Tensor:
    """H of the truth (n,), SI, float64: exact values at the stations' own heights; those observed are not looked at.

    With an ``evolution`` (of the truth's layout), at each datum's own valid time; before its first and after its last
    state, those two stand.
    """
    operator = BilinearOperator(truth.layout, static)
    if evolution is None or len(evolution) == 1:
        return operator(truth.values.double(), observations)[0]
    if evolution.layout != truth.layout:
        raise UsageError(f"the evolution has {evolution.layout.names}; the truth has {truth.layout.names}")
    times = evolution.valid_times.astype("datetime64[ns]").astype(np.int64)
    at = np.clip(observations.valid_time.astype("datetime64[ns]").astype(np.int64), times[0], times[-1])
    before = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = torch.from_numpy((at - times[before]) / (times[before + 1] - times[before]))
    needed, row = np.unique(np.concatenate([before, before + 1]), return_inverse=True)
    equivalents = operator(evolution.values[torch.from_numpy(needed)].double(), observations)
    earlier, later = (equivalents.gather(0, torch.from_numpy(r)[None])[0] for r in row.reshape(2, -1))
    return (1.0 - share) * earlier + share * later


def simulate_reports(
    truth: State,
    network: pd.DataFrame,
    *,
    static: StaticFields,
    errors: ReportErrors,
    generator: torch.Generator,
    evolution: StateSeries | None = None,
) -> pd.DataFrame:
    """What every station of the network reports of one state.

    Args:
        truth: one member; t2m, d2m, u10m, v10m and sp, and with them, as far as it has these, gust, tcc, vis and ceil.
        network: of ``simulated_sites``.
        static: terrain of the truth's grid.
        errors: how reports differ from the truth.
        generator: for the errors; the same errors as ``simulate_observations`` draws from it.
        evolution: states (of the truth's layout) around its time; with them, all but gust, cloud and visibility are of
            each station's own minute.

    Returns:
        One row a station, as ``metar_writer.write_metar`` takes it: station, latitude, longitude (degrees), elevation
        (m), valid_time, received_time, t2m, d2m (K), u10m, v10m, wind_speed, gust (m/s), wind_direction (degrees), sp
        (Pa), tcc (0 … 1), cloud_base, ceil (m above ground), vis (m); NaN for what the truth does not have; and
        gross_error, the variable that is grossly wrong or empty text, which stands in no METAR.

    Raises:
        UsageError: the truth lacks a variable that every station reports.
        InputError: a station outside the grid.
    """
    exact = _at_stations(truth, network, static, evolution)
    drawn = _drawn(network, errors, generator)
    observed = drawn.added_to({name: exact[name] for name in (*REPORTED, *_AT_NEAREST_POINT)})
    speed, direction = speed_and_direction(observed["u10m"], observed["v10m"])
    gustiness = exact["gust"] / np.maximum(np.hypot(exact["u10m"], exact["v10m"]), 1e-6)
    valid_time = _valid_times(truth, network)
    return network[["station", "latitude", "longitude", "elevation"]].assign(
        valid_time=valid_time,
        received_time=valid_time + network["delay_minutes"].to_numpy().astype("timedelta64[m]"),
        **observed,
        wind_speed=speed,
        wind_direction=direction,
        gust=speed * gustiness,
        cloud_base=np.maximum(_CONDENSATION_RATE * (observed["t2m"] - observed["d2m"]), _LOWEST_CLOUD),
        gross_error=drawn.gross_variable(),
    )


def received_by(reports: pd.DataFrame, cutoff: np.datetime64) -> pd.DataFrame:
    """The reports that have arrived at ``cutoff``: what a spool of that moment holds."""
    return reports[(reports["received_time"] <= cutoff).to_numpy()]


def flag_late(table: pd.DataFrame, reports: pd.DataFrame, cutoff: np.datetime64) -> pd.DataFrame:
    """Mark rows of an observation table (OUTSIDE_WINDOW) whose report was received after ``cutoff``.

    Ingest keeps no time of reception: here it is taken from the ``reports`` that the table was read from, by station.
    """
    late = reports.loc[(reports["received_time"] > cutoff).to_numpy(), "station"]
    return add_flag(table, table["station"].isin(late).to_numpy(), Flag.OUTSIDE_WINDOW)


def _drawn(network: pd.DataFrame, errors: ReportErrors, generator: torch.Generator) -> DrawnErrors:
    return draw_errors(errors, network[list(BIAS_COLUMNS.values())].to_numpy(), generator)


def _valid_times(truth: State, network: pd.DataFrame) -> np.ndarray:
    """(station,) datetime64[ns]: each station's own minute."""
    minutes = network["reporting_minute"].to_numpy().astype("timedelta64[m]")
    return np.datetime64(truth.valid_time, "ns") + minutes


def _at_stations(
    truth: State, network: pd.DataFrame, static: StaticFields, evolution: StateSeries | None
) -> dict[str, np.ndarray]:
    """The truth by variable (n,): H of what varies smoothly, the nearest point's cloud and visibility."""
    missing = [name for name in REPORTED if name not in truth.layout.names]
    if missing or truth.members != 1:
        raise UsageError(f"stations report one member with {REPORTED}; {truth.members} found, lacking {missing}")
    moment = _places(truth, network, ["gust"]) if "gust" in truth.layout.names else None
    values = truth_at(truth, _places(truth, network, list(REPORTED)), static=static, evolution=evolution)
    result = dict(zip(REPORTED, values.reshape(len(REPORTED), -1).numpy(), strict=True))
    if moment is not None:
        result["gust"] = truth_at(truth, moment, static=static).numpy()
    row, column = truth.layout.grid.fractional_index(network["latitude"], network["longitude"])
    nearest = (np.rint(row).astype(int), np.rint(column).astype(int))
    for name in set(_AT_NEAREST_POINT) & set(truth.layout.names):
        result[name] = truth.channel(name)[0].double().numpy()[nearest]
    unknown = np.full(len(network), np.nan)
    return {name: result.get(name, unknown) for name in (*REPORTED, "gust", *_AT_NEAREST_POINT)}


def _places(truth: State, network: pd.DataFrame, names: list[str]) -> Observations:
    """A datum without a value for each name and station, names outermost."""
    n, layout = len(names) * len(network), truth.layout
    position = {
        name: torch.from_numpy(np.tile(network[name].to_numpy(np.float64), len(names)))
        for name in ("latitude", "longitude", "elevation")
    }
    unknown = torch.full((n,), torch.nan, dtype=torch.float64)
    return Observations(
        value=unknown,
        error_std=unknown,
        **position,
        channel=torch.tensor([layout.index(name) for name in names]).repeat_interleave(len(network)),
        valid_time=np.tile(_valid_times(truth, network), len(names)),
        station=np.tile(network["station"].to_numpy(), len(names)),
        network=np.full(n, "metar", dtype=object),
        flags=np.zeros(n, np.int32),
        bound=np.zeros(n, np.int8),
    )
