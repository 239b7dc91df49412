"""``rtma-diffda status DIR``: what it prints and answers."""

import numpy as np
import pytest
from cycle_runs import DAY_ONE, make_publisher, publish

from rtma_diffda.cli.configuration import compose_settings
from rtma_diffda.cli.main import main
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.status import StatusSettings, run_status
from rtma_diffda.times import SLOT


@pytest.fixture
def run(tmp_path):
    publisher = make_publisher(tmp_path)
    for slot in (0, 1, 3):
        publish(publisher, DAY_ONE + slot * SLOT)
    publish(publisher, DAY_ONE + 4 * SLOT, degraded=("few observations: 3 stations",))
    return tmp_path


def test_the_text_says_what_became_of_the_cycles(run, capsys):
    assert main(["status", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Small region: analyses"
    assert lines[1] == (
        "Newest analysis: 2026-01-01T01:00Z, made 5.0 min after its time, degraded: few observations: 3 stations"
    )
    assert "5 analyses due, 3 complete, 1 degraded (20.0 %), 1 missing (20.0 %), 0 of these refused" in lines[2]
    assert any(line.split() == ["few", "observations", "1"] for line in lines)
    assert any(line.split() == ["analysis", "1.000", "1.000"] for line in lines)
    (used,) = (line.split() for line in lines if "2 m temperature (K)" in line or "2 metre temperature (K)" in line)
    assert used[-6:-4] == ["used", "56"] and used[-4] == used[-2] == "–"  # nothing older than six hours


def test_only_strict_settings_answer_four(run, capsys):
    assert main(["status", str(run), "strict=true"]) == 4
    assert "few observations: 3 stations" in capsys.readouterr().err
    publish(make_publisher(run), DAY_ONE + 5 * SLOT)
    assert run_status(StatusSettings(str(run), strict=True)).degraded == ()


def test_files_of_the_run(run):
    publish(make_publisher(run / "urma"), DAY_ONE, lag=np.timedelta64(6, "h"))
    (run / "index.html").touch()
    summary = run_status(StatusSettings(str(run)))
    assert list(summary.files) == ["archive", "urma", "page"] and summary.text.count("Newest analysis") == 2
    assert "made 360.0 min after its time, complete" in summary.text


def test_a_directory_without_a_run_answers_three(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 3
    assert "there is no archive at" in capsys.readouterr().err


def test_defaults_of_file_and_dataclass_agree():
    composed = compose_settings("status", ["output=here"])
    composed.pop("log")
    assert StatusSettings.from_mapping(composed) == StatusSettings("here")
    with pytest.raises(UsageError, match="hours"):
        StatusSettings("here", hours=0.0)
