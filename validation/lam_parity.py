"""Our limited-area graph networks against Neural-LAM's, with its weights and its graph.

Claim: GraphLAM, Hi-LAM and Hi-LAM-Parallel agree with Neural-LAM 0.7.0 in float32: what the grid embedder, the encoder
and the processor answer (in proportion to values above 1) and one step to 2e-5, three steps to 1e-4, a loss to 1e-4
and the norm of every weight's gradient to 1e-3 of their size; and every way of computing them that ``Evaluation``
offers agrees with the default.
Source: a FILE.npz in the format of ../shared/fixtures/lam/README.md. Everything but kinds of message passing and
aggregation is taken from its arrays; arrays that it lacks are not checked. With a predicted standard deviation
``out/one_step_std``, ``out/rollout_std`` and ``grad/weights_std`` are understood, too.
Expected and tolerance: printed beside each figure.

    python validation/lam_parity.py ../shared/fixtures/lam/hi_lam.npz [--all]

Exits 0 only if every figure lies within its limit.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.backbones.limited_area.clamping import Clamping
from rtma_diffda.backbones.limited_area.evaluation import Evaluation
from rtma_diffda.backbones.limited_area.neural_lam import CLAMPING_BUFFERS, NeuralLamPredictor
from rtma_diffda.backbones.limited_area.neural_lam_conversion import predictor_from, settings_from
from rtma_diffda.backbones.limited_area.neural_lam_graph import graph_of_neural_lam
from rtma_diffda.errors import InputError, RtmaDiffdaError
from rtma_diffda.io.neural_lam_checkpoint import read_neural_lam_statistics, sizes_of

ONE_STEP, THREE_STEPS, LOSS, GRADIENT = 2e-5, 1e-4, 1e-4, 1e-3
NO_GRADIENT = 1e-7
"""Of the largest gradient: below it, a gradient is that of rounding errors."""
PLAIN = Evaluation(split=False, keep_static=False, fixed_degree=False)
WAYS = {
    "plain": PLAIN,
    "split first layer": replace(PLAIN, split=True),
    "fixed degree": replace(PLAIN, fixed_degree=True),
    "static terms kept": replace(PLAIN, split=True, keep_static=True),
    "recomputed": Evaluation(recompute=True),
    "chunks of 31": replace(PLAIN, chunk=31),
    "chunks of 100, recomputed": Evaluation(chunk=100, recompute=True),
}
"""Ways of computing the model, each compared with the default; the default is compared with the file."""


@dataclass(frozen=True)
class Figure:
    """One line of the table: a difference, absolute or of the reference's size."""

    quantity: str
    count: int
    difference: float
    limit: float
    relative: bool = False
    judged: bool = True

    @property
    def ok(self) -> bool:
        """Whether it is within its limit; NaN is not."""
        return self.difference <= self.limit


@dataclass(frozen=True)
class Case:
    """A file: its arrays as tensors, and what its author wrote about them."""

    path: Path
    arrays: Mapping[str, Tensor] = field(repr=False)
    meta: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Case":
        """The case of a file."""
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"])) if "meta" in stored.files else {}
            numbers = {name: stored[name] for name in stored.files if stored[name].dtype.kind in "fiub"}
        return cls(path, {name: torch.from_numpy(np.array(v)) for name, v in numbers.items()}, meta)

    def under(self, folder: str) -> dict[str, Tensor]:
        """Arrays whose names begin with ``folder``, without it."""
        return {n.removeprefix(folder): v for n, v in self.arrays.items() if n.startswith(folder)}

    def graph_tensors(self) -> dict[str, Tensor | list[Tensor]]:
        """Tensors of the graph by file; those over levels as lists."""
        found: dict[str, Tensor | list[Tensor]] = {}
        stored = self.under("graph/")
        for name in stored:
            base, _, level = name.partition("/")
            levels = sorted((int(n.split("/")[1]) for n in stored if n.startswith(f"{base}/")), key=int)
            found[base] = [stored[f"{base}/{i}"] for i in levels] if level else stored[name]
        return found

    def predictor(self, evaluation: Evaluation) -> NeuralLamPredictor:
        """Our model with the case's weights, computed as ``evaluation`` says."""
        statistics, weights = read_neural_lam_statistics(self.path), self.under("param/")
        channels = {"state": len(statistics.difference_mean), "static": statistics.static.shape[1]}
        settings = settings_from(weights, self.meta, **channels)
        version = str(self.meta.get("graph_version", "0.1.0"))
        graph = graph_of_neural_lam(self.graph_tensors(), statistics.xy, version=version)
        return predictor_from(weights, replace(settings, evaluation=evaluation), graph, statistics)


@dataclass(frozen=True)
class Outcome:
    """What a model makes of a case.

    Attributes:
        arrays: named as in the file, of values that are absolute differences apart.
        gradients: norm of each weight's gradient, by Neural-LAM's names.
    """

    arrays: Mapping[str, Tensor]
    gradients: Mapping[str, float]


def outcome(case: Case, evaluation: Evaluation) -> Outcome:
    """Run a case forwards and backwards."""
    predictor = case.predictor(evaluation)
    initial, forcing = case.arrays["in/init_states"], case.arrays["in/forcing"]
    previous, state = initial.unbind(dim=1)
    found = middle(predictor, state, previous, forcing[:, 0])
    with torch.no_grad():
        found["out/one_step"], std = predictor(state, previous, forcing[:, 0])
    states, stds = rolled_out(case, predictor)
    if std is not None:
        found |= {"out/one_step_std": std, "out/rollout_std": stds.detach()}
    found["out/rollout"] = states.detach()
    if "grad/weights" not in case.arrays:
        return Outcome(found, {})
    loss = 100.0 * (states * case.arrays["grad/weights"]).mean()
    for name, weights in case.under("grad/weights").items():
        if "std" in name:
            loss = loss + 100.0 * (stds * weights).mean()
    loss.backward()
    gradients = predictor.neural_lam_gradients(case.under("param/"))
    norms = {n: 0.0 if g is None else float(g.norm()) for n, g in gradients.items()}
    return Outcome(found | {"grad/loss": loss.detach()}, norms)


def middle(predictor: NeuralLamPredictor, state: Tensor, previous: Tensor, forcing: Tensor) -> dict[str, Tensor]:
    """What is inside the network on the way, of the first member of the batch."""
    network = predictor.network
    with torch.no_grad():
        embedded = network.embedded(predictor.inputs(state, previous, forcing), None)
        encoded = network.encoded(embedded)
        processed = network.mesh(encoded)
    parts = {"grid_emb": embedded, "mesh_after_g2m": encoded, "mesh_after_processor": processed}
    return {f"mid/{name}": values[:, 0] for name, values in parts.items()}


def rolled_out(case: Case, predictor: NeuralLamPredictor) -> tuple[Tensor, Tensor | None]:
    """States (batch, step, node, state) with the border overwritten, and standard deviations as they are predicted."""
    previous, state = case.arrays["in/init_states"].unbind(dim=1)
    known, rim = case.arrays["in/boundary_states"], case.arrays["grid/boundary_mask"].bool()[:, None]
    states, stds = [], []
    for step, forcing in enumerate(case.arrays["in/forcing"].unbind(dim=1)):
        mean, std = predictor(state, previous, forcing)
        previous, state = state, torch.where(rim, known[:, step], mean)
        states.append(state)
        stds.append(std)
    return torch.stack(states, dim=1), None if stds[0] is None else torch.stack(stds, dim=1)


def figures(case: Case) -> Iterator[Figure]:
    """All figures of a case."""
    yield from setting_figures(case)
    ours, theirs = outcome(case, Evaluation()), reference_arrays(case)
    yield from array_figures(ours, {n: v for n, v in theirs.items() if n in ours.arrays}, prefix="")
    for name in sorted(set(theirs) - set(ours.arrays)):
        yield Figure(f"{name}: not understood", theirs[name].numel(), np.nan, np.nan, judged=False)
    yield from gradient_figures(ours.gradients, {n: float(v) for n, v in case.under("grad/param/").items()}, prefix="")
    for name, evaluation in WAYS.items():
        other = outcome(case, evaluation)
        yield from array_figures(other, ours.arrays, prefix=f"{name}: ")
        yield from gradient_figures(other.gradients, ours.gradients, prefix=f"{name}: ")


def setting_figures(case: Case) -> Iterator[Figure]:
    """Whether what shapes say agrees with what the author wrote, and limits with those given in physical units."""
    sizes, meta = sizes_of(case.under("param/")), case.meta
    written = {"hidden": "hidden_dim", "hidden_layers": "hidden_layers", "processor_layers": "processor_layers"}
    pairs = [(getattr(sizes, own), meta[theirs]) for own, theirs in written.items() if theirs in meta]
    if "model" in meta:
        pairs.append((sizes.model, meta["model"]))
    yield Figure("settings against meta", len(pairs), float(sum(a != b for a, b in pairs)), 0.0)
    given = limits_from(case)
    if given is not None:
        ours = case.predictor(PLAIN).clamping
        blank = torch.full_like(given.lower, torch.inf)
        own = (blank.neg(), blank) if ours is None else (ours.lower, ours.upper)
        apart = [torch.where(a == b, 0.0, (a - b).abs()) for a, b in zip(own, (given.lower, given.upper), strict=True)]
        yield Figure("limits against meta", 2 * len(blank), float(torch.stack(apart).nan_to_num(torch.inf).max()), 1e-5)


def limits_from(case: Case) -> Clamping | None:
    """Limits as the author gave them, by number or name of a variable; None where there are none to compare."""
    lower, upper = ({str(n): float(v) for n, v in (case.meta.get(f"clamp_{side}") or {}).items()} for side in SIDES)
    mean, std = case.arrays["norm/state_mean"], case.arrays["norm/state_std"]
    for names in name_choices(case.meta, len(mean)):
        if (lower or upper) and set(lower) | set(upper) <= set(names):
            return Clamping.of(names, lower, upper, mean=mean, std=std)
    return None


SIDES = ("lower", "upper")


def name_choices(meta: Mapping[str, Any], count: int) -> Iterator[list[str]]:
    """What variables may be called."""
    yield from (list(map(str, value)) for value in meta.values() if isinstance(value, list) and len(value) == count)
    yield from ([f"{prefix}{i}" for i in range(count)] for prefix in ("", "state_", "var_", "state_feature_", "v", "x"))


def reference_arrays(case: Case) -> dict[str, Tensor]:
    """What the file holds to compare with, by the names of ``Outcome``; standard deviations may have other names."""
    found = {f"{folder}{n}": v for folder in ("mid/", "out/") for n, v in case.under(folder).items()}
    for name in [name for name in found if "std" in name]:
        found[f"out/{'rollout' if 'rollout' in name else 'one_step'}_std"] = found.pop(name)
    return found | {name: case.arrays[name] for name in ("grad/loss",) if name in case.arrays}


def array_figures(ours: Outcome, reference: Mapping[str, Tensor], *, prefix: str) -> Iterator[Figure]:
    """Largest differences of arrays, and the relative one of the loss."""
    for name, expected in reference.items():
        values = ours.arrays[name]
        if values.shape != expected.shape:
            raise InputError(f"{name} has shape {tuple(expected.shape)}; ours has {tuple(values.shape)}")
        difference = float((values - expected).abs().max())
        if name == "grad/loss":
            scale = max(abs(float(expected)), 1e-3)
            yield Figure(f"{prefix}{name}", 1, difference / scale, LOSS, relative=True)
        else:
            limit = THREE_STEPS if "rollout" in name else ONE_STEP
            if name.startswith("mid/"):  # hidden values may be large: float32 rounds in proportion
                limit *= max(1.0, float(expected.abs().max()))
            yield Figure(f"{prefix}{name}", values.numel(), difference, limit)


def gradient_figures(ours: Mapping[str, float], reference: Mapping[str, float], *, prefix: str) -> Iterator[Figure]:
    """Relative differences of norms of gradients; a way of computing gets one line, the largest."""
    if not reference:
        return
    floor = NO_GRADIENT * max(reference.values())
    apart = {n: abs(ours.get(n, np.nan) - v) / max(v, floor) for n, v in reference.items()}
    if prefix:
        yield Figure(f"{prefix}grad/param", len(apart), float(np.max(list(apart.values()))), GRADIENT, relative=True)
        return
    unmatched = set(ours) ^ {n for n in reference if n not in CLAMPING_BUFFERS}
    yield Figure("grad/param: names", len(apart), float(len(unmatched)), 0.0)
    for name, difference in apart.items():
        yield Figure(f"grad/param/{name}", 1, difference, GRADIENT, relative=True)


def print_table(found: list[Figure], *, everything: bool) -> None:
    """One line a figure; gradients within their limits are counted in one line unless ``everything``."""
    print(f"{'quantity':60s} {'n':>7s} {'difference':>11s} {'limit':>9s}  ok")
    folded = [f for f in found if f.quantity.startswith("grad/param/") and f.ok and not everything]
    for figure in found:
        if figure not in folded:
            print_line(figure)
    if folded:
        print_line(
            replace(max(folded, key=lambda f: f.difference), quantity="grad/param/*, largest", count=len(folded))
        )


def print_line(figure: Figure) -> None:
    """One line of the table."""
    kind = "relative" if figure.relative else ""
    verdict = ("yes" if figure.ok else "NO") if figure.judged else "-"
    print(f"{figure.quantity:60s} {figure.count:7d} {figure.difference:11.2e} {figure.limit:9.1e}  {verdict:3s} {kind}")


def main(arguments: list[str] | None = None) -> int:
    """Print the table and a summary line; 0 when every figure is within its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="FILE.npz of a model, its graph, inputs and outputs")
    parser.add_argument("--all", action="store_true", help="a line for every gradient")
    chosen = parser.parse_args(arguments)
    try:
        case = Case.read(chosen.file)
        found = list(figures(case))
    except (RtmaDiffdaError, KeyError, OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        print(f"lam parity: {chosen.file} cannot be judged: {type(error).__name__}: {error}: FAILED")
        return 1
    print_table(found, everything=chosen.all)
    judged = [figure for figure in found if figure.judged]
    good, model = sum(figure.ok for figure in judged), sizes_of(case.under("param/")).model
    passed = good == len(judged)
    print(
        f"lam parity: {good} of {len(judged)} figures within limits, {model} of {chosen.file.name}: "
        f"{'passed' if passed else 'FAILED'}"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
