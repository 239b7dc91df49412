"""Checkpoints: a trained network as a directory that loads without pickle, and says what it is and whether it is whole.

model.safetensors        weights and buffers, by the names of the module's state
statistics.safetensors   what fields are normalised by
config.yaml              architecture and its settings: a plain mapping
MODEL_CARD.md            for people: what it is for, how it was trained and judged, what it cannot do
manifest.json            format, versions, size and SHA-256 of each file, provenance (data, seeds, scores)
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from rtma_diffda import __version__
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.io import atomic

FORMAT = 1
_WEIGHTS, _STATISTICS, _CONFIG, _CARD = "model.safetensors", "statistics.safetensors", "config.yaml", "MODEL_CARD.md"
_FILES = (_WEIGHTS, _STATISTICS, _CONFIG, _CARD)
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A trained network.

    Attributes:
        weights: the module's state by name; floating-point numbers are float32.
        config: name of the architecture and its settings; plain values (numbers, text, lists, mappings).
        statistics: for normalisation, by name; may be empty.
        card: the model card, in Markdown.
        provenance: data sets, splits, seeds, settings, scores; plain values.
    """

    weights: Mapping[str, Tensor]
    config: Mapping[str, Any]
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    card: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def fill(self, module: torch.nn.Module) -> torch.nn.Module:
        """Put the weights into a module made from ``config``, and return it.

        Raises:
            InputError: names or shapes differ; the message gives the first and counts them.
        """
        found = {name: tuple(values.shape) for name, values in self.weights.items()}
        expected = {name: tuple(values.shape) for name, values in module.state_dict().items()}
        differing = [name for name in expected | found if expected.get(name) != found.get(name)]
        if differing:
            name = differing[0]
            raise InputError(
                f"checkpoint does not fit {type(module).__name__}: weight '{name}' has shape "
                f"{found.get(name, 'none')} in the checkpoint and {expected.get(name, 'none')} in the network "
                f"({len(differing)} weights differ)"
            )
        module.load_state_dict(dict(self.weights))
        return module


def write_checkpoint(directory: Path, checkpoint: Checkpoint, *, created: str, half_precision: bool = False) -> Path:
    """Write a checkpoint directory, whole or not at all; an older one is replaced.

    Args:
        directory: its name; parents are made when absent. One writer at a time in its parent.
        checkpoint: what to write.
        created: when, as ISO text in UTC.
        half_precision: store weights as float16, half the size with about three decimal digits.

    Raises:
        UsageError: config or provenance are not plain values, or weights exceed the range of float16.
        InputError: the file system refused; an older checkpoint is unharmed.
    """
    contents = _encoded(checkpoint, half_precision=half_precision)
    contents[_MANIFEST] = _manifest(contents, checkpoint, created)
    with atomic.explain_failures(f"directory {directory}"):
        directory.parent.mkdir(parents=True, exist_ok=True)
        atomic.recover_directories(directory.parent)
    temporary = atomic.temporary_beside(directory)
    try:
        with atomic.explain_failures(f"checkpoint {directory}"):
            temporary.mkdir()
            for name, content in contents.items():
                (temporary / name).write_bytes(content)
        publish = atomic.replace_directory if directory.exists() else atomic.publish_directory
        publish(temporary, directory)
    finally:
        atomic.remove(temporary)
    return directory


def read_checkpoint(directory: Path) -> Checkpoint:
    """The checkpoint in a directory, after its files were compared with the manifest.

    Raises:
        InputError: there is none, it is incomplete, damaged, or of another format.
    """
    current = atomic.current_directory(directory)
    manifest = read_manifest(directory)
    contents = {name: _verified(current / name, manifest["files"].get(name)) for name in _FILES}
    try:
        config = yaml.safe_load(contents[_CONFIG].decode())
        weights, statistics = load(contents[_WEIGHTS]), load(contents[_STATISTICS])
        card = contents[_CARD].decode()
    except (yaml.YAMLError, SafetensorError, ValueError) as error:
        raise InputError(f"checkpoint {directory} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"{current / _CONFIG} holds {type(config).__name__}, expected a mapping")
    widened = {name: v.float() if v.dtype == torch.float16 else v for name, v in weights.items()}
    return Checkpoint(widened, config, statistics, card, manifest["provenance"])


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, without reading its other files.

    Raises:
        InputError: there is none, or it is damaged or of another format.
    """
    path = atomic.current_directory(directory) / _MANIFEST
    if not path.is_file():
        raise InputError(f"{directory} is no checkpoint: it has no {_MANIFEST}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise InputError(f"{path} has format {found}, expected {FORMAT}: it was written by another version")
    if not all(isinstance(manifest.get(name), dict) for name in ("files", "provenance")):
        raise InputError(f"{path} is damaged: it lacks its list of files, or its provenance")
    return manifest


def _encoded(checkpoint: Checkpoint, *, half_precision: bool) -> dict[str, bytes]:
    weights = {name: _stored(name, v, half_precision=half_precision) for name, v in checkpoint.weights.items()}
    statistics = {name: values.detach().cpu().contiguous().clone() for name, values in checkpoint.statistics.items()}
    try:
        config = yaml.safe_dump(dict(checkpoint.config), sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise UsageError(f"config of a checkpoint must consist of plain values: {error}") from error
    return {
        _WEIGHTS: save(weights),
        _STATISTICS: save(statistics),
        _CONFIG: config.encode(),
        _CARD: checkpoint.card.encode(),
    }


def _stored(name: str, values: Tensor, *, half_precision: bool) -> Tensor:
    """A tensor as it goes into the file: on the CPU, sharing memory with no other."""
    values = values.detach().cpu().contiguous().clone()
    if not (half_precision and values.is_floating_point()):
        return values
    half = values.half()
    if bool((half.isinf() & values.isfinite()).any()):
        raise UsageError(f"weight '{name}' reaches {values.abs().max():.3g}, beyond float16; store it as float32")
    return half


def _manifest(contents: Mapping[str, bytes], checkpoint: Checkpoint, created: str) -> bytes:
    manifest = {
        "format": FORMAT,
        "package": {"name": "rtma_diffda", "version": __version__},
        "created": created,
        "parameters": sum(values.numel() for values in checkpoint.weights.values()),
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in contents.items()
        },
        "provenance": dict(checkpoint.provenance),
    }
    try:
        return json.dumps(manifest, indent=1, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"provenance of a checkpoint must consist of plain, finite values: {error}") from error


def _verified(path: Path, listed: Any) -> bytes:
    """The content of a file, which must be as the manifest lists it."""
    if not isinstance(listed, dict):
        raise InputError(f"checkpoint {path.parent} is damaged: its manifest does not list {path.name}")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"checkpoint {path.parent} is incomplete: {path.name} is missing") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) != listed.get("bytes"):
        raise InputError(f"{path} has {len(content)} bytes, its manifest says {listed.get('bytes')}; fetch it again")
    found = hashlib.sha256(content).hexdigest()
    if found != listed.get("sha256"):
        raise InputError(
            f"{path} is damaged or was changed: its SHA-256 is {found[:12]}…, its manifest says "
            f"{str(listed.get('sha256'))[:12]}…"
        )
    return content
