"""What a publisher keeps, replaces and says; and the small verbs."""

import numpy as np
import pandas as pd
import pytest
import torch
from builders import NOON, random_state, random_table, small_grid, small_static

from rtma_diffda.cycling.case import CaseSources, limited
from rtma_diffda.cycling.publication import Publisher
from rtma_diffda.errors import InputError
from rtma_diffda.experiments.doctor import OPTIONAL, REQUIRED, examine
from rtma_diffda.experiments.progress import progress
from rtma_diffda.experiments.regions import describe_regions
from rtma_diffda.experiments.reporting import Verification, withheld_pairs
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.region import Region, region_names
from rtma_diffda.interfaces import Analysis
from rtma_diffda.observations.screening import QualityControl
from rtma_diffda.times import Window
from rtma_diffda.verification.bootstrap import BlockBootstrap

LAYOUT = Layout.of(small_grid(), ["t2m", "d2m"])
REGION = Region("small", "Small", LAYOUT.grid, LAYOUT.names)


@pytest.fixture
def case():
    background = random_state(LAYOUT, dtype=torch.float32)
    sources = CaseSources(REGION, small_static(), QualityControl(background_check=None), ("S001", "S004"))
    background = background.with_values(280.0 + background.values)
    return sources.case(background, random_table(LAYOUT, 30), Window.around(NOON, np.timedelta64(15, "m")))


def analysis_of(case, shift: float, **extra) -> Analysis:
    state = case.background.with_values(case.background.values + shift)
    return Analysis(state, case.problem(), torch.ones(LAYOUT.shape), **extra)


def publisher_at(directory, *, overwrite: bool = False) -> Publisher:
    return Publisher.at(directory, REGION, layout=LAYOUT, static=small_static(), overwrite=overwrite)


def stored_shift(publisher, case) -> float:
    return float((publisher.archive.state(NOON).values - case.background.values).mean())


def test_a_complete_analysis_stays_unless_overwriting_is_asked_for(case, tmp_path):
    publisher = publisher_at(tmp_path)
    assert not publisher.keeps(NOON)
    publisher.publish(case, analysis_of(case, 1.0), {"method": "first"})
    assert publisher.keeps(NOON) and stored_shift(publisher, case) == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(InputError, match="overwrite=true"):
        publisher.publish(case, analysis_of(case, 2.0), {"method": "second"})
    assert stored_shift(publisher, case) == pytest.approx(1.0, abs=1e-4)
    again = publisher_at(tmp_path, overwrite=True)
    again.publish(case, analysis_of(case, 2.0), {"method": "second"})
    assert stored_shift(again, case) == pytest.approx(2.0, abs=1e-4)
    rows = pd.read_parquet(next((tmp_path / "feedback").glob("*.parquet")))
    assert np.nanmean(rows["ombg"] - rows["oman"]) == pytest.approx(2.0, abs=1e-3)


def test_a_degraded_analysis_gives_way_to_a_complete_one(case, tmp_path):
    publisher = publisher_at(tmp_path)
    publisher.publish(case, analysis_of(case, 1.0, degraded=("half of the stations",)), {})
    assert publisher.archive.status(NOON) == "degraded" and not publisher.keeps(NOON)
    publisher.publish(case, analysis_of(case, 2.0), {})
    assert publisher.archive.status(NOON) == "complete"


def test_dew_points_above_temperature_are_moved_and_counted(case):
    analysis = analysis_of(case, 0.0)
    above = int((analysis.state.channel("d2m") > analysis.state.channel("t2m")).sum())
    assert above > 0
    found = limited(analysis)
    assert found.diagnostics["d2m_values_moved_to_limits"] == above
    assert not bool((found.state.channel("d2m") > found.state.channel("t2m")).any())


def test_withheld_pairs_score_the_published_field_through_h(case):
    pairs = withheld_pairs(case, {"shifted": analysis_of(case, 1.5)})
    assert set(pairs["station"]) == {"S001", "S004"} and (pairs["analysis_time"] == NOON).all()
    assert np.allclose(pairs["shifted"] - pairs["background"], 1.5, atol=1e-4)
    assert np.allclose(pairs["shifted_error_std"], 1.0)
    verification = Verification.of(pairs, ("S001", "S004"), BlockBootstrap(block_degrees=0.1))
    assert set(verification.scores["source"]) == {"background", "shifted"}
    assert set(verification.calibration["source"]) == {"shifted"}


def test_doctor_names_every_part_and_how_to_get_what_is_missing(monkeypatch):
    text = examine()
    assert all(name in text for name in (*REQUIRED, *OPTIONAL)) and "cores" in text
    monkeypatch.setattr("rtma_diffda.experiments.doctor._version", lambda name: None)
    bare = examine()
    assert all(advice in bare for advice in OPTIONAL.values()) and "torch                MISSING: pip install" in bare


def test_regions_are_listed_described_and_drawn(tmp_path):
    listed = describe_regions(None)
    assert all(name in listed for name in region_names()) and "2345 × 1597" in listed
    described = describe_regions("demo", output=str(tmp_path))
    assert "64 × 64 points" in described and "generator: ridge_and_coast" in described
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_progress_passes_everything_on(capsys):
    assert list(progress([1, 2, 3], "counting", shown=True)) == [1, 2, 3]
    assert capsys.readouterr().err == ""  # nobody watches
