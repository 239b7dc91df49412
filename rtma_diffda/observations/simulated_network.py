"""Simulated networks of stations, in one import: where they stand, how their reports err, what they report.

``simulated_sites`` places stations, ``simulated_errors`` spoils what they measure, ``simulated_reports`` makes
observations or METAR reports of a truth.
"""

from rtma_diffda.observations.simulated_errors import ERROR_STD, REPORTED, ReportErrors
from rtma_diffda.observations.simulated_reports import (
    SimulatedObservations,
    flag_late,
    observations_of,
    received_by,
    simulate_observations,
    simulate_reports,
    truth_at,
)
from rtma_diffda.observations.simulated_sites import (
    RankedNetwork,
    aerodrome_network,
    as_station_table,
    ranked_network,
    simulated_network,
)

__all__ = [
    "ERROR_STD",
    "REPORTED",
    "RankedNetwork",
    "ReportErrors",
    "SimulatedObservations",
    "aerodrome_network",
    "as_station_table",
    "flag_late",
    "observations_of",
    "ranked_network",
    "received_by",
    "simulate_observations",
    "simulate_reports",
    "simulated_network",
    "truth_at",
]
