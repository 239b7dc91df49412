"""What networks are told and made of, as plain values for the config of a checkpoint, and back."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.network_inputs import InputEncoding
from rtma_diffda.backbones.unet import UNetSettings


def encoding_config(encoding: InputEncoding) -> dict[str, Any]:
    """Numbers, text and mappings from which ``encoding_from`` makes the encoding again."""
    return {
        "scales": {name: float(scale) for name, scale in encoding.scales.items()},
        "observations": encoding.observations,
        "spacing": encoding.spacing,
        "large_scale": encoding.large_scale,
        "background_errors": errors_config(encoding.background_errors),
        "observation_error_factors": {name: float(v) for name, v in encoding.observation_error_factors.items()},
    }


def encoding_from(config: Mapping[str, Any]) -> InputEncoding:
    """The encoding of a config.

    Raises:
        KeyError, TypeError, AttributeError, UsageError: the config is incomplete or not understood.
    """
    return InputEncoding(
        config["scales"],
        errors_from(config["background_errors"]),
        config["observation_error_factors"],
        config["observations"],
        config.get("spacing"),
        bool(config.get("large_scale", False)),
    )


def errors_config(errors: Mapping[str, BackgroundError]) -> dict[str, dict[str, Any]]:
    """B by variable as plain values."""
    return {name: _plain(error) for name, error in errors.items()}


def errors_from(config: Mapping[str, Mapping[str, Any]]) -> dict[str, BackgroundError]:
    """B by variable from plain values.

    Raises:
        TypeError, AttributeError, UsageError: the values are incomplete or not understood.
    """
    return {name: BackgroundError(**error) for name, error in config.items()}


def unet_from(config: Mapping[str, Any]) -> UNetSettings:
    """Settings of a U-Net from their plain values.

    Raises:
        KeyError, TypeError, AttributeError, UsageError: the values are incomplete or not understood.
    """
    return UNetSettings(**config | {"widths": tuple(config["widths"])})


def _plain(error: BackgroundError) -> dict[str, Any]:
    """The parameters of B as numbers and text."""
    values = {part.name: getattr(error, part.name) for part in fields(error)}
    return {name: value if value is None or name == "function" else float(value) for name, value in values.items()}
