"""A Lightning checkpoint of Neural-LAM, its graph and its statistics → a checkpoint directory of this package.

    python scripts/convert_neural_lam.py MODEL.ckpt --graph DIR --statistics FILE.npz --output DIR [--option NAME=VALUE]

The checkpoint alone is not enough: it holds neither the graph, nor statistics, nor static fields. DIR is the directory
of ``.pt`` files that the model was trained on; FILE.npz has arrays ``xy`` (node, 2), ``static`` (node, static),
``state_mean``, ``state_std``, ``state_diff_mean_standardized`` and ``state_diff_std_standardized`` (variable). Nothing
in these files is executed. Kinds of message passing (``g2m_gnn_type``, ``m2g_gnn_type``, ``mesh_up_gnn_type``,
``mesh_down_gnn_type``) and ``mesh_aggr`` do not follow from weights: they are taken from the checkpoint's options, or
given by ``--option``.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from rtma_diffda.backbones.limited_area.neural_lam_conversion import as_checkpoint, predictor_from, settings_from
from rtma_diffda.backbones.limited_area.neural_lam_graph import graph_of_neural_lam
from rtma_diffda.errors import RtmaDiffdaError
from rtma_diffda.io.checkpoint import write_checkpoint
from rtma_diffda.io.neural_lam_checkpoint import read_neural_lam_checkpoint, read_neural_lam_statistics
from rtma_diffda.io.neural_lam_graph import read_neural_lam_graph


def convert(chosen: argparse.Namespace) -> str:
    """Write the directory; returns a sentence that says what it holds."""
    stored, statistics = read_neural_lam_checkpoint(chosen.checkpoint), read_neural_lam_statistics(chosen.statistics)
    tensors, version = read_neural_lam_graph(chosen.graph)
    graph = graph_of_neural_lam(tensors, statistics.xy, version=version)
    options = {**stored.options, **dict(chosen.option)}
    channels = {"state": len(statistics.difference_mean), "static": statistics.static.shape[1]}
    settings = settings_from(stored.weights, options, **channels)
    predictor = predictor_from(stored.weights, settings, graph, statistics)
    converted = as_checkpoint(predictor, graph, statistics, source=chosen.checkpoint.name)
    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    write_checkpoint(chosen.output, converted, created=created)
    return (
        f"{chosen.output}: {settings.model} of {settings.processor_layers} layers of width {settings.hidden}, "
        f"{settings.state} variables, {settings.forcing} forcing and {settings.static} static channels, mesh levels of "
        f"{', '.join(map(str, graph.level_sizes))} nodes, {settings.aggregation} aggregation"
    )


def named_value(text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, _, value = text.partition("=")
    if not name or not value:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    return name, value


def main(arguments: list[str] | None = None) -> int:
    """Convert; 1, with one sentence, where that is not possible."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--graph", type=Path, required=True)
    parser.add_argument("--statistics", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--option", type=named_value, action="append", default=[])
    try:
        print(convert(parser.parse_args(arguments)))
    except RtmaDiffdaError as error:
        print(f"cannot convert: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
