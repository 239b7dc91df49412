"""Which of our variables a GRIB message is: by discipline, category, number and level (edition 2), else by short name.

What looks like a variable and is not is left out: maxima and minima over an hour, spreads and probabilities of an
ensemble, and analysis errors bear the same numbers as the value itself.
"""

from collections.abc import Mapping
from typing import Any

from rtma_diffda.variables import VARIABLES, Variable, find_variable

NAME_KEYS = (
    "edition", "shortName", "typeOfLevel", "level", "units", "stepType", "discipline", "parameterCategory",
    "parameterNumber", "typeOfFirstFixedSurface", "typeOfSecondFixedSurface", "typeOfGeneratingProcess",
    "productDefinitionTemplateNumber", "derivedForecast", "perturbationNumber", "numberOfForecastsInEnsemble",
)  # fmt: skip
"""Keys that a reader must look up to name a message."""

_TRIPLES = {v.grib: v for v in VARIABLES.values() if v.grib}
_ALSO = {
    (0, 2, 22, 1, 0): "gust",  # HRRR and GFS state it at the surface
    (0, 3, 5, 215, 0): "ceil",  # older RTMA and HRRR files: height of the ceiling
    (0, 6, 1, 200, 0): "tcc",
    (0, 6, 1, 1, 0): "tcc",
    (0, 3, 0, 101, 0): "msl",
    (0, 3, 4, 1, 0): "orog",  # geopotential of the surface; the unit tells
    (0, 2, 22, 103, 10): "gust",
    (10, 0, 3, 101, 0): "swh",
}
_SHORT_NAMES = {"10fg": "gust", "z": "orog", "gh": "ceil", "h": "orog"}
_SHORT_NAME_LEVELS = {"z": {"surface"}, "h": {"surface"}, "gh": {"cloudCeiling"}}
_SINGLE_LEVELS = {
    "surface", "meanSea", "heightAboveGround", "atmosphere", "entireAtmosphere", "atmosphereSingleLayer",
    "cloudCeiling", "unknown",
}  # fmt: skip
_STEP_TYPES = {"gust": {"instant", "max"}, "tp": {"instant", "accum"}}
_ENSEMBLE_MEAN = {0, 1}
_ANALYSIS_ERROR = 7
_PROBABILITY_TEMPLATES = {5, 6, 9, 10}
_DERIVED_TEMPLATES = {2, 3, 4, 12, 13, 14}
_MEMBER_TEMPLATES = {1, 11}


def variable_of(keys: Mapping[str, Any]) -> Variable | None:
    """The variable of a message; None if it is none of ours.

    Args:
        keys: ecCodes' names → values: those of ``NAME_KEYS`` that the message has.
    """
    found = _by_numbers(keys) if keys.get("edition") == 2 else None
    found = found or _by_short_name(keys)
    if found is None or keys.get("stepType", "instant") not in _STEP_TYPES.get(found.name, {"instant"}):
        return None
    return None if _is_statistic(keys) else found


def member_of(keys: Mapping[str, Any]) -> int | None:
    """The ensemble member of a message; None for a single forecast."""
    if keys.get("productDefinitionTemplateNumber") in _MEMBER_TEMPLATES:
        return int(keys["perturbationNumber"])
    return None


def _by_numbers(keys: Mapping[str, Any]) -> Variable | None:
    triple = tuple(int(keys[key]) for key in ("discipline", "parameterCategory", "parameterNumber"))
    surface, level = int(keys.get("typeOfFirstFixedSurface", 255)), keys.get("level", 0)
    level = 0 if surface != 103 else level
    identity = (*triple, surface, level)
    return _TRIPLES.get(identity) or VARIABLES.get(_ALSO.get(identity, ""))


def _by_short_name(keys: Mapping[str, Any]) -> Variable | None:
    name, level_type = str(keys.get("shortName", "")), keys.get("typeOfLevel")
    if level_type not in _SHORT_NAME_LEVELS.get(name, _SINGLE_LEVELS):
        return None
    found = find_variable(name) or VARIABLES.get(_SHORT_NAMES.get(name, ""))
    if found and level_type == "heightAboveGround" and keys.get("level") not in (found.height, None):
        return None
    return found


def _is_statistic(keys: Mapping[str, Any]) -> bool:
    template = keys.get("productDefinitionTemplateNumber")
    if keys.get("typeOfGeneratingProcess") == _ANALYSIS_ERROR and keys.get("edition") == 2:
        return True
    if template in _DERIVED_TEMPLATES:
        return keys.get("derivedForecast") not in _ENSEMBLE_MEAN
    return template in _PROBABILITY_TEMPLATES
