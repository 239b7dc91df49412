import json
import logging

import pytest

from rtma_diffda import __version__
from rtma_diffda.cli.logs import configure_logging
from rtma_diffda.cli.main import main, parse_call
from rtma_diffda.cli.verbs import VERBS
from rtma_diffda.errors import DegradedResult, InputError, UsageError


def test_overview_names_every_verb_and_exit_status(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {verb}" in printed for verb in VERBS)
    assert all(f"  {status}" in printed for status in (0, 1, 2, 3, 4, 5, 130))


def test_without_a_verb_the_overview_is_wrong_use(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_shows_its_settings(verb, capsys):
    assert main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "exit status" in printed and "log: {level" in printed


def test_version(capsys):
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fly"], "unknown verb 'fly'"),
        (["demo", "--fast"], "unknown option '--fast'"),
        (["demo", "altitude=3"], "altitude"),
        (["analyse", "--cfg"], "needs a value"),
        (["analyse", "--cfg", "hydra"], "takes 'job'"),
        (["regions", "atlantis"], "unknown region 'atlantis'"),
        (["doctor", "log.level=loud"], "log.level"),
    ],
)
def test_wrong_use_answers_two_and_a_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_missing_input_answers_three(capsys, tmp_path):
    assert main(["ingest", str(tmp_path / "nothing.txt"), "time=2026-01-01T00:00"]) == 3
    assert "nothing.txt" in capsys.readouterr().err


def test_a_bare_word_is_the_verb_s_positional_setting():
    assert parse_call(["regions", "demo"]).overrides == ("name=demo",)
    assert parse_call(["ingest", "a.txt", "time=x"]).overrides == ("observations=a.txt", "time=x")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("x"), 2),
        (InputError("x"), 3),
        (DegradedResult("x"), 4),
        (KeyboardInterrupt(), 130),
        (ValueError(), 1),
    ],
)
def test_errors_become_their_exit_status(error, status, monkeypatch):
    def fail(settings):
        raise error

    broken = VERBS["doctor"].__class__("doctor", "", fail)
    monkeypatch.setitem(VERBS, "doctor", broken)
    assert main(["doctor"]) == status


def test_one_failing_job_does_not_end_a_sweep(capsys):
    assert main(["regions", "--multirun", "name=atlantis,demo"]) == 2
    printed = capsys.readouterr()
    assert "atlantis" in printed.err and "demo:" in printed.out


def test_an_interrupt_ends_a_sweep(monkeypatch):
    started = []

    def interrupted(settings):
        started.append(settings["name"])
        raise KeyboardInterrupt

    monkeypatch.setitem(VERBS, "regions", VERBS["regions"].__class__("regions", "", interrupted))
    assert main(["regions", "--multirun", "name=a,b,c"]) == 130
    assert started == ["a"]


def test_config_is_shown(capsys):
    assert main(["demo", "--cfg", "job"]) == 0
    assert "output:" in capsys.readouterr().out


def test_doctor_and_regions_report(capsys):
    assert main(["doctor"]) == 0
    assert "torch" in capsys.readouterr().out
    assert main(["regions"]) == 0
    printed = capsys.readouterr().out
    assert "conus" in printed and "demo" in printed


def test_json_log_lines(capsys):
    configure_logging(level="info", form="json")
    logging.getLogger("rtma_diffda.test").warning("three of %d fields", 5)
    event = json.loads(capsys.readouterr().err)
    assert event["level"] == "warning" and event["message"] == "three of 5 fields" and event["time"].endswith("Z")
    configure_logging(level="info", form="text")
