"""The metrics file: what Prometheus' own parser reads in it."""

import numpy as np
import pytest
from cycle_runs import DAY_ONE, record_at
from prometheus_client.parser import text_string_to_metric_families

from rtma_diffda.cycling.metrics import write_metrics
from rtma_diffda.errors import InputError
from rtma_diffda.times import SLOT

RUN = {"stream": "main", "region": "small"}


def samples_of(path) -> dict:
    families = text_string_to_metric_families(path.read_text())
    return {(s.name.removeprefix("rtma_diffda_"), *sorted(s.labels.items())): s.value for f in families
            for s in f.samples}  # fmt: skip


def value(samples: dict, metric: str, **labels: str) -> float:
    return samples[(metric, *sorted({**RUN, **labels}.items()))]


@pytest.fixture
def samples(tmp_path):
    records = [record_at(DAY_ONE + n * SLOT, seconds={"analysis": 1.0 + n}) for n in range(4)]
    records += [
        record_at(DAY_ONE + 4 * SLOT, status="refused", seconds={}, departures={}, reasons=("no first guess",)),
        record_at(DAY_ONE + 5 * SLOT, status="refused", seconds={}, departures={}),
        record_at(DAY_ONE + 5 * SLOT, status="degraded", seconds={"analysis": 5.0, "store": 0.5}),
        record_at(DAY_ONE - 400 * SLOT, stream="urma"),
    ]
    return samples_of(write_metrics(tmp_path / "metrics.prom", records, "small"))


def test_the_last_cycle(samples):
    time = (DAY_ONE + 5 * SLOT).astype("datetime64[s]").astype(int)
    assert value(samples, "last_analysis_time_seconds") == time
    assert value(samples, "last_finish_time_seconds") == time + 300
    assert value(samples, "lag_seconds") == 300 and value(samples, "used_data") == 20
    assert value(samples, "stage_seconds", stage="store") == 0.5
    rms = {key: value(samples, "departure_rms", variable="t2m", departure=f"o_minus_{key[0]}", data=key[1])
           for key in (("b", "used"), ("a", "used"), ("b", "withheld"), ("a", "withheld"))}  # fmt: skip
    assert list(rms.values()) == [1.5, 0.75, 1.6, 1.25]


def test_counts_and_quantiles_take_the_last_try_of_each_time(samples):
    counts = {status: value(samples, "cycles", status=status) for status in ("complete", "degraded", "refused")}
    assert counts == {"complete": 4, "degraded": 1, "refused": 1}
    assert value(samples, "degraded_share") == pytest.approx(0.2)
    assert value(samples, "cycle_seconds", quantile="0.5") == 3.0
    assert value(samples, "cycle_seconds", quantile="0.95") == pytest.approx(np.quantile([1, 2, 3, 4, 5.5], 0.95))


def test_streams_stand_apart_and_what_is_unknown_has_no_line(samples):
    assert samples[("last_analysis_time_seconds", ("region", "small"), ("stream", "urma"))] > 0
    assert not [key for key in samples if ("variable", "d2m") in key and ("data", "withheld") in key]
    assert all(np.isfinite(list(samples.values())))


def test_cycles_before_the_last_day_do_not_count(tmp_path):
    records = [record_at(DAY_ONE + n * SLOT) for n in range(100)]
    assert value(samples_of(write_metrics(tmp_path / "m.prom", records, "small")), "cycles", status="complete") == 96


def test_only_refusals_or_nothing_at_all(tmp_path):
    refused = record_at(DAY_ONE, status="refused", seconds={}, departures={})
    found = samples_of(write_metrics(tmp_path / "metrics.prom", [refused], "small"))
    assert value(found, "cycles", status="refused") == 1 and len(found) == 3
    assert write_metrics(tmp_path / "metrics.prom", [], "small").read_bytes() == b""
    with pytest.raises(InputError, match="cannot write"):
        write_metrics(tmp_path / "absent" / "metrics.prom", [refused], "small")
