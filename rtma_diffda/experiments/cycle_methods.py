"""The methods of a cycle: the one wanted, and those that stand in for it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rtma_diffda.assimilation.carried_ensemble import CarriedEnsemble
from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.defaults import default_background_errors
from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser, denoiser_from_checkpoint
from rtma_diffda.assimilation.denoising_network import DenoisingNetwork
from rtma_diffda.assimilation.diffusion import DiffusionAssimilation
from rtma_diffda.assimilation.encoding_config import errors_config, errors_from
from rtma_diffda.assimilation.on_device import OnDevice
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.cycling.method_chain import Alternative, Failure, MethodChain, chain_of
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.cycle_settings import CycleMethodSettings
from rtma_diffda.experiments.diffusion_methods import diffusion_method, packaged_denoiser
from rtma_diffda.experiments.methods import MethodSettings, build_method, misfits
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AnalysisMethod, AssimilationProblem
from rtma_diffda.io.checkpoint import read_checkpoint

_log = logging.getLogger(__name__)

_FEWER_MEMBERS = (4, 2)
_OPTIMAL_INTERPOLATION = "optimal interpolation"


@dataclass(frozen=True)
class Tuned:
    """What optimal interpolation was tuned to, as a run remembers it.

    Attributes:
        background_errors: B by variable.
        observation_error_factors: by variable.
        source: what it was tuned on, in words.
    """

    background_errors: Mapping[str, BackgroundError]
    observation_error_factors: Mapping[str, float]
    source: str

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "background_errors": errors_config(self.background_errors),
            "observation_error_factors": {name: float(v) for name, v in self.observation_error_factors.items()},
            "source": self.source,
        }

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "Tuned":
        """From what ``to_plain`` gave."""
        errors = errors_from(content["background_errors"])
        return cls(errors, content["observation_error_factors"], content["source"])


def tuned_interpolation(problems: Sequence[AssimilationProblem], layout: Layout, static: StaticFields) -> Tuned:
    """Optimal interpolation tuned on problems before the first cycle; its defaults where there are none."""
    if not problems:
        return Tuned(default_background_errors(layout), {}, "default parameters: nothing to tune on")
    built = build_method(MethodSettings("optimal_interpolation"), problems, static)
    method = built.method
    span = f"{len(problems)} analysis times before the first cycle"
    return Tuned(method.background_errors, method.observation_error_factors, f"tuned on {span}")


@dataclass(frozen=True)
class CycleMethod:
    """A method with its stand-ins.

    Attributes:
        chain: what makes the analyses.
        starting: what makes those of a cycled run whose first guess is not cycled; None: the same.
        name: of the method that is wanted.
        description: of it, in words.
        forced: whether it makes use of a global run.
        members: of an analysis of one background.
    """

    chain: MethodChain
    name: str
    description: str
    forced: bool
    members: int
    starting: MethodChain | None = None


@dataclass(frozen=True)
class Mode:
    """How analyses follow each other.

    Attributes:
        forced: whether there are global runs.
        cycled: whether the first guess begins from our own analyses.
        carried: whether members are carried from cycle to cycle, one analysis for each.
    """

    forced: bool
    cycled: bool = False
    carried: bool = False


def cycle_method(
    settings: CycleMethodSettings, tuned: Tuned, layout: Layout, static: StaticFields, mode: Mode
) -> CycleMethod:
    """The method of a run.

    Args:
        settings: which, and where it works.
        tuned: of optimal interpolation, which stands in for any other.
        layout: of the analyses.
        static: terrain and land.
        mode: how analyses follow each other.

    Raises:
        UsageError: diffusion is asked for, and its denoiser does not fit the region.
    """
    plain = OptimalInterpolation(static, tuned.background_errors, tuned.observation_error_factors)
    last = Alternative(_OPTIMAL_INTERPOLATION, plain)
    if settings.name != "optimal_interpolation":
        trained = packaged_denoiser(global_run=mode.forced)
        reasons = misfits(trained, layout, static)
        if not reasons:
            return _diffusion(settings, trained, static, last, mode)
        if settings.name == "diffusion":
            raise UsageError(f"diffusion does not fit this region: {'; '.join(reasons)}")
        _log.warning("optimal interpolation is the method, not diffusion: %s", "; ".join(reasons))
    return CycleMethod(chain_of([last]), "optimal_interpolation", tuned.source, forced=False, members=1)


def _diffusion(
    settings: CycleMethodSettings, trained: TrainedDenoiser, static: StaticFields, last: Alternative, mode: Mode
) -> CycleMethod:
    """Diffusion; a denoiser that is named serves a cycled run where its first guess is cycled, and any other always."""
    chosen = trained
    if settings.checkpoint is not None:
        chosen = denoiser_from_checkpoint(read_checkpoint(Path(settings.checkpoint)))
    method = diffusion_method("diffusion", chosen, static)
    told = "told the global run" if mode.forced else "without global run"
    kept = "members carried from cycle to cycle" if mode.carried else "members"
    described = f"{method.members} {kept}, {told}, {len(method.sampler.path) - 1} network calls each"
    chain = _chain(settings, method, last, carried=mode.carried)
    starting = None
    if chosen is not trained and mode.cycled:
        starting = _chain(settings, diffusion_method("diffusion", trained, static), last, carried=mode.carried)
    return CycleMethod(chain, "diffusion", described, mode.forced, method.members, starting)


def _chain(
    settings: CycleMethodSettings, method: DiffusionAssimilation, last: Alternative, *, carried: bool
) -> MethodChain:
    """On the device that is wanted; with fewer members where memory runs out; on the processor; interpolation."""

    def built(part: DiffusionAssimilation) -> AnalysisMethod:
        return CarriedEnsemble(part, part.members, part.calibration) if carried else part

    if settings.device == "cpu":
        return chain_of([Alternative("diffusion", built(method)), *_fewer(method, built), last])
    device = torch.device(settings.device)
    try:
        there = _on_device(method, device)
    except (RuntimeError, AssertionError, InputError) as error:
        reason = f"the accelerator cannot be used ({str(error).splitlines()[0]}): analysed on the processor"
        return chain_of([Alternative("diffusion", built(method)), *_fewer(method, built), last], (reason,))
    here = Alternative("on the processor", built(method), frozenset({Failure.DEVICE}))

    def moved(part: DiffusionAssimilation) -> AnalysisMethod:
        return OnDevice(built(part), device)

    return chain_of([Alternative(f"diffusion on {device}", moved(there)), *_fewer(there, moved), here, last])


def _fewer(
    method: DiffusionAssimilation, built: Callable[[DiffusionAssimilation], AnalysisMethod]
) -> list[Alternative]:
    """The method with fewer members, for when memory runs out."""
    counts = [count for count in _FEWER_MEMBERS if count < method.members]
    return [
        Alternative(f"{count} members", built(replace(method, members=count)), frozenset({Failure.MEMORY}))
        for count in counts
    ]


def _on_device(method: DiffusionAssimilation, device: torch.device) -> DiffusionAssimilation:
    """The method with a copy of its network on a device.

    Raises:
        RuntimeError, AssertionError: there is no such device.
    """
    torch.zeros(1, device=device)
    known = method.network
    copy = DenoisingNetwork(known.encoding, known.backbone, known.training_settings)
    copy.load_state_dict(known.state_dict())
    return replace(method, network=copy.to(device).eval())
