import pytest

from rtma_diffda.cli.configuration import compose_settings, expand_sweep, show_settings
from rtma_diffda.errors import UsageError
from rtma_diffda.resources import resource_directory

GIVEN = ["region=europe", "time=2018-11-20T12:00", "background=a.grib", "observations=b.bufr"]


def test_settings_are_plain_values():
    settings = compose_settings("analyse", GIVEN)
    assert type(settings) is dict and type(settings["verification"]) is dict
    assert settings["time"] == "2018-11-20T12:00" and settings["output"] == "outputs/europe"
    assert settings["method"]["name"] == "regional"


def test_an_experiment_changes_what_it_names_and_can_be_overridden():
    settings = compose_settings("analyse", ["experiment=europe_20181120", "data=d", "verification.folds=5"])
    assert settings["background"] == "d/t2m_grib.grib"
    assert settings["verification"]["folds"] == 5 and settings["verification"]["withheld_fraction"] == 0.0
    assert settings["window_minutes"] == 30


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["no_such_key=1"], "no_such_key is unknown; known are region, time"),
        (["method=no_such"], "method=no_such is unknown; method may be diffusion, observation_interpolation"),
        (["verification.fold=3"], "fold is unknown"),
        (["a==b=c d"], "configuration 'analyse'"),
        ([], "not given: .*region"),
        (GIVEN[:3], "not given: observations"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(overrides, sentence):
    with pytest.raises(UsageError, match=sentence):
        compose_settings("analyse", overrides)


def test_show_settings_resolves_on_request():
    assert "${region}" in show_settings("analyse", ["region=europe"], resolve=False)
    assert "output: outputs/europe" in show_settings("analyse", ["region=europe"], resolve=True)


def test_sweeps_are_every_combination():
    jobs = expand_sweep(["method=a,b", "seed=1,2", "time=x"])
    assert jobs == [
        ["method=a", "seed=1", "time=x"],
        ["method=a", "seed=2", "time=x"],
        ["method=b", "seed=1", "time=x"],
        ["method=b", "seed=2", "time=x"],
    ]


def test_no_configuration_file_is_long_or_deep():
    files = list(resource_directory("conf").rglob("*.yaml"))
    assert len(files) < 40
    for path in files:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40, path
        assert len(path.relative_to(resource_directory("conf")).parts) <= 2, path
        assert "_target_" not in path.read_text(encoding="utf-8"), path
