from dataclasses import dataclass, field

import pytest

from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.settings import as_texts, require_between, settings_from


@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Outer:
    name: str
    values: tuple[int, ...] = ()
    inner: Inner = field(default_factory=Inner)


def test_mappings_become_dataclasses_and_lists_tuples():
    assert settings_from(Outer, {"name": "a", "values": [1, 2], "inner": {"size": 3}}) == Outer("a", (1, 2), Inner(3))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": "a", "colour": 1}, r"unknown settings \['colour'\]; known are"),
        ({}, "missing 1 required"),
        ({"name": "a", "inner": {"weight": 1}}, "unknown settings .*weight"),
    ],
)
def test_what_does_not_fit_is_told(values, sentence):
    with pytest.raises(UsageError, match=sentence):
        settings_from(Outer, values)


def test_paths_and_ranges():
    assert as_texts("a", "files") == ("a",) and as_texts(["a", "b"], "files") == ("a", "b")
    with pytest.raises(UsageError, match="files is empty"):
        as_texts([], "files")
    require_between("x", 1, 0, 1)
    for wrong in (-0.1, 1.1, "half", float("nan")):
        with pytest.raises(UsageError, match="x is"):
            require_between("x", wrong, 0, 1)
