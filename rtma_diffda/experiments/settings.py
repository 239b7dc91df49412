"""From plain mappings (the composed configuration) to the settings dataclasses of the experiments."""

from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from rtma_diffda.errors import UsageError
from rtma_diffda.times import parse_time

Settings = TypeVar("Settings")


def settings_from(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """A settings dataclass from a mapping; nested mappings become the dataclasses that the fields are of.

    Raises:
        UsageError: a key that the dataclass does not have, a required one that is absent, or a value of the wrong kind.
    """
    known = {field.name: field for field in fields(kind)}
    unknown = set(values) - set(known)
    if unknown:
        raise UsageError(f"unknown settings {sorted(unknown)}; known are {sorted(known)}")
    try:
        return kind(**{name: _value(known[name], value) for name, value in values.items()})
    except TypeError as error:
        raise UsageError(f"settings of {kind.__name__}: {error}") from error


def _value(field: Field, value: Any) -> Any:
    if is_dataclass(field.type):
        if not isinstance(value, Mapping):
            raise UsageError(f"{field.name} is {value!r}; it is a group of settings: say {field.name}.KEY=…")
        return settings_from(field.type, value)
    return tuple(value) if isinstance(value, list) else value


def as_texts(value: str | Sequence[str], what: str) -> tuple[str, ...]:
    """One text or several, as a tuple.

    Raises:
        UsageError: there are none.
    """
    texts = (value,) if isinstance(value, str) else tuple(map(str, value or ()))
    if not texts:
        raise UsageError(f"{what} is empty; give one or a list")
    return texts


def as_time(value: str | np.datetime64) -> np.datetime64:
    """A time given as text or already read, as ``datetime64[ns]``."""
    return parse_time(str(value)) if not isinstance(value, np.datetime64) else value.astype("datetime64[ns]")


def require_texts(name: str, values: object) -> None:
    """Check a list of texts.

    Raises:
        UsageError: it is none; the message names it.
    """
    if not isinstance(values, tuple) or not all(isinstance(value, str) for value in values):
        raise UsageError(f"{name} is {values!r}; it must be a list of texts, such as [a,b]")


def require_between(name: str, value: float, lowest: float, highest: float) -> None:
    """Check a number.

    Raises:
        UsageError: it is outside its range; the message names it.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise UsageError(f"{name} is {value!r}; it must be a number between {lowest:g} and {highest:g}")
