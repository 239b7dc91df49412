"""Composition of a verb's configuration by Hydra, as plain Python values.

The configuration is composed here (not by ``hydra.main``), so that a bad override answers exit status 2, and nothing
below this package ever sees a ``DictConfig``. No resolver is registered: a configuration is data, never code.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rtma_diffda.errors import UsageError
from rtma_diffda.resources import resource_directory


def compose_settings(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The settings of the configuration ``name`` with overrides applied, interpolations resolved.

    Raises:
        UsageError: an unknown key or group, an override that does not parse, or a required value not given.
    """
    config = _compose(name, overrides)
    missing = sorted(_not_given(OmegaConf.to_container(config, resolve=False)))
    if missing:
        raise UsageError(f"not given: {', '.join(missing)}; say for example {missing[0]}=… (see --help)")
    try:
        return OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise UsageError(f"the configuration cannot be resolved: {_first_line(error)}") from error


def show_settings(name: str, overrides: Sequence[str], *, resolve: bool) -> str:
    """The composed configuration as YAML, for ``--cfg job``."""
    return OmegaConf.to_yaml(_compose(name, overrides), resolve=resolve)


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """Every combination of the values that comma-separated overrides sweep over, for ``--multirun``."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UsageError(f"override not understood: {_first_line(error)}") from error
    combinations: list[list[str]] = [[]]
    for override in parsed:
        choices = (
            [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
            if override.is_sweep_override()
            else [override.input_line]
        )
        combinations = [[*chosen, choice] for chosen in combinations for choice in choices]
    return combinations


def _compose(name: str, overrides: Sequence[str]) -> DictConfig:
    directory = resource_directory("conf").resolve()
    try:
        with initialize_config_dir(str(directory), version_base="1.3"):
            return compose(name, overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(f"configuration '{name}': {_in_a_sentence(error, directory, name)}") from error


def _in_a_sentence(error: Exception, directory: Path, name: str) -> str:
    """What Hydra says, with the options or keys that there are; its advice to append keys does not hold here."""
    text = _first_line(error)
    if group := re.search(r"Could not find '(\w+)/([^']*)'", text):
        options = sorted(path.stem for path in (directory / group[1]).glob("*.yaml"))
        return f"{group[1]}={group[2]} is unknown; {group[1]} may be {', '.join(options)}"
    if key := re.search(r"(?:Could not override|Key) '([\w.]+)'", text):
        known = re.findall(r"^(\w+):", (directory / f"{name}.yaml").read_text(encoding="utf-8"), flags=re.MULTILINE)
        return f"{key[1]} is unknown; known are {', '.join(k for k in known if k != 'defaults')} (see --help)"
    return text


def _not_given(values: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose value is still ``???``."""
    keys = []
    for key, value in values.items():
        if isinstance(value, dict):
            keys += _not_given(value, f"{prefix}{key}.")
        elif value == "???":
            keys.append(f"{prefix}{key}")
    return keys


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])
