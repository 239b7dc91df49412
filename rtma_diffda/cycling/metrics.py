"""The state of a run's streams as a file in Prometheus' text format, written anew after each cycle.

Nothing listens on a port: the node exporter's textfile collector, or any other reader, takes the file. Times are Unix
seconds, departures SI. A quantity without a value has no line.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import generate_latest

from rtma_diffda.cycling.record import REFUSED, CycleRecord
from rtma_diffda.io.atomic import write_bytes

_SECOND = np.timedelta64(1, "s")
_SPAN = np.timedelta64(24, "h")
_EPOCH = np.datetime64(0, "ns")
_STATUSES = ("complete", "degraded", REFUSED)
_DEPARTURES = {
    "ombg": ("o_minus_b", "used"),
    "oman": ("o_minus_a", "used"),
    "withheld_ombg": ("o_minus_b", "withheld"),
    "withheld_oman": ("o_minus_a", "withheld"),
}


def write_metrics(path: Path, records: Sequence[CycleRecord], region: str) -> Path:
    """Write the metrics of cycles to ``path``, whole or not at all; returns the path.

    Args:
        path: of the file; its directory exists.
        records: of one or more streams, in the order in which they were made; those of the last 24 hours of analysis
            times count, and of a time that was tried again the last one.
        region: its name.

    Raises:
        InputError: the file cannot be written.
    """
    return write_bytes(Path(path), metrics_text(records, region))


def metrics_text(records: Sequence[CycleRecord], region: str) -> bytes:
    """What ``write_metrics`` writes."""
    gauges = _Gauges()
    for stream in dict.fromkeys(record.stream for record in records):
        own = _of_last_day([record for record in records if record.stream == stream])
        labels = {"stream": stream, "region": region}
        _set_counts(gauges, own, labels)
        _set_latency(gauges, own, labels)
        made = [record for record in own if record.status != REFUSED]
        if made:
            _set_last(gauges, made[-1], labels)
    return generate_latest(gauges.registry)


class _Gauges:
    """Gauges by name, made when first set."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}

    def set(self, name: str, documentation: str, labels: Mapping[str, str], value: float) -> None:
        if not np.isfinite(value):
            return
        if name not in self._gauges:
            self._gauges[name] = Gauge(f"rtma_diffda_{name}", documentation, list(labels), registry=self.registry)
        self._gauges[name].labels(**labels).set(value)


def _of_last_day(records: Sequence[CycleRecord]) -> list[CycleRecord]:
    """One record for each analysis time of the 24 hours that end with the newest, by time."""
    latest = {record.analysis_time: record for record in records}
    newest = max(latest)
    return [latest[time] for time in sorted(latest) if time > newest - _SPAN]


def _set_last(gauges: _Gauges, record: CycleRecord, labels: Mapping[str, str]) -> None:
    """The newest cycle with a product."""
    for name, time in (("analysis", record.analysis_time), ("finish", record.finished)):
        documentation = f"Unix time of the last {name}." if name == "finish" else "Valid time of the last analysis."
        gauges.set(f"last_{name}_time_seconds", documentation, labels, float((time - _EPOCH) / _SECOND))
    lag = float(record.lag / _SECOND)
    gauges.set("lag_seconds", "From the valid time of the last analysis until it was finished.", labels, lag)
    gauges.set("used_data", "Data used by the last analysis.", labels, record.used)
    for variable, found in record.departures.items():
        for field, (departure, data) in _DEPARTURES.items():
            place = {**labels, "variable": variable, "departure": departure, "data": data}
            documentation = "Root mean square of departures of the last analysis, SI units of the variable."
            gauges.set("departure_rms", documentation, place, getattr(found, field))
    for stage, seconds in record.seconds.items():
        gauges.set("stage_seconds", "Seconds by stage of the last cycle.", {**labels, "stage": stage}, seconds)


def _set_counts(gauges: _Gauges, records: Sequence[CycleRecord], labels: Mapping[str, str]) -> None:
    counts = {status: sum(record.status == status for record in records) for status in _STATUSES}
    for status, count in counts.items():
        documentation = "Cycles by status in the last 24 hours of analysis times."
        gauges.set("cycles", documentation, {**labels, "status": status}, count)
    made = counts["complete"] + counts["degraded"]
    share = counts["degraded"] / made if made else float("nan")
    gauges.set("degraded_share", "Share of degraded ones among the analyses of the last 24 hours.", labels, share)


def _set_latency(gauges: _Gauges, records: Sequence[CycleRecord], labels: Mapping[str, str]) -> None:
    totals = [sum(record.seconds.values()) for record in records if record.seconds]
    for quantile in (0.5, 0.95) if totals else ():
        documentation = "Quantiles of the seconds of all stages together, over the last 24 hours of analysis times."
        place = {**labels, "quantile": str(quantile)}
        gauges.set("cycle_seconds", documentation, place, float(np.quantile(totals, quantile)))
