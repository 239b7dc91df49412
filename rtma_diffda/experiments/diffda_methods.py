"""The methods of DiffDA's experiments, by name: how each is built, with how many members, and what it costs.

    name              what it is                                                  network calls of an analysis
    linear            observations alone, linear on the sphere (older release)    0
    kriging           observations alone, kriging of anomalies (newer release)    0
    kriging_tuned     the same with the length that interpolates this truth best  0
    oi                optimal interpolation, B of the training pairs              0
    diffda            the published recipe, sampler shortened                     stated in its title
    diffda_innovations  the same with innovations interpolated                    stated in its title
    diffda_full       the published recipe                                        2,910
    default           ours: a gain at every noise level; all members together     30
    default_adaptive  the same; in cycles it is told how far errors have grown    30
    default_cycled    for cycles: B of their backgrounds, and a smoothed history  30
    oi_cycled         optimal interpolation with the same                         0
    sda, mmps         guidance through the network: scores, moments               stated in their titles
    prior             ours without observations                                   30

Networks of the published recipe answer ε and have a lead time each; ours answers both, and its answer to noise alone is
E[truth | background]. DiffDA's B, of truth − background in training, is what optimal interpolation uses, too.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np
from torch import Tensor

from rtma_diffda.assimilation.global_diffusion import GlobalDiffusion
from rtma_diffda.assimilation.global_presets import PRESETS, GlobalPreset
from rtma_diffda.assimilation.graphcast_denoiser_checkpoint import TrainedGraphCastDenoiser
from rtma_diffda.assimilation.on_device import OnDevice
from rtma_diffda.assimilation.release_step import ReleaseStep
from rtma_diffda.assimilation.sphere_conditioning import (
    NoConditioning,
    SphereConditioning,
    SphereGuidance,
    SphereKalman,
    SphereReplacement,
)
from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.assimilation.sphere_interpolation import (
    Climatology,
    SphereInterpolation,
    points_on_sphere,
    tuned_kriging,
)
from rtma_diffda.assimilation.sphere_optimal_interpolation import SphereOptimalInterpolation
from rtma_diffda.diffusion.conditioning.moment_matching import MomentMatching
from rtma_diffda.diffusion.conditioning.replacement import ReplacementSettings
from rtma_diffda.diffusion.conditioning.score_guidance import ScoreGuidance
from rtma_diffda.diffusion.conditioning.soft_mask import NEWER, OLDER, Bumps
from rtma_diffda.diffusion.conditioning.spread_innovations import Kriging, Linear
from rtma_diffda.diffusion.paths import count_falls, diffda_path, karras_path
from rtma_diffda.diffusion.sampling import Ancestral, Sampler
from rtma_diffda.errors import UsageError
from rtma_diffda.experiments.diffda_bench import Recipe, generator_of
from rtma_diffda.experiments.diffda_parts import DiffdaParts
from rtma_diffda.experiments.diffda_settings import RepaintSettings
from rtma_diffda.experiments.train_global_cycles import LONG
from rtma_diffda.interfaces import AnalysisMethod
from rtma_diffda.observations.columns import drawn_by_area, observe_columns

_GUIDED_LEVELS = 16
_GUIDED_MEMBERS = 2


@dataclass(frozen=True)
class Repaint:
    """A form of DiffDA's recipe.

    Attributes:
        levels, jump, passes: of the sampler; 300, 10 and 10 are published.
        blur: σ of the soft mask, in cells; 0: a hard mask.
        newer: whether mask and interpolation are the newer release's.
        clip: of the denoised residual; None: none.
        innovations: whether innovations are interpolated, in the place of values.
    """

    levels: int = 300
    jump: int = 10
    passes: int = 10
    blur: float = 1.5
    newer: bool = True
    clip: float | None = 1.0
    innovations: bool = False

    @property
    def sampler(self) -> Sampler:
        """Path and stepper."""
        return Sampler(diffda_path(self.levels, jump_length=self.jump, resamplings=self.passes), ReleaseStep(self.clip))

    @property
    def calls(self) -> int:
        """Of the network."""
        return count_falls(self.sampler.path)

    def conditioning(self, climatology: Climatology | None) -> SphereReplacement:
        """How observations enter."""
        bumps = Bumps(self.blur, NEWER if self.newer else OLDER)
        settings = ReplacementSettings(bumps, Kriging() if self.newer else Linear())
        return SphereReplacement(settings, not self.innovations, climatology if self.newer else None)

    @property
    def title(self) -> str:
        """In pictures."""
        return f"DiffDA, {self.calls:,} calls"


def recipes(
    names: tuple[str, ...],
    parts: DiffdaParts,
    *,
    members: int,
    repaint: RepaintSettings,
    full_columns: int | None = None,
) -> tuple[Recipe, ...]:
    """The methods of these names.

    Args:
        names: keys of ``BUILDERS``.
        parts: what they are made of.
        members: of our ensembles.
        repaint: the shortened sampler of ``diffda``.
        full_columns: number of columns that ``diffda_full`` is used for, in one case.

    Raises:
        UsageError: a name that is unknown; the message lists those there are.
    """
    unknown = [name for name in names if name not in BUILDERS]
    if unknown:
        raise UsageError(f"no method of DiffDA's experiments is called {unknown[0]}; known are {', '.join(BUILDERS)}")
    order = _Order(parts, members, Repaint(repaint.levels, repaint.jump, repaint.passes))
    found = [BUILDERS[name](order) for name in names]
    if full_columns is not None:
        full = repaint_recipe("diffda_full", parts, Repaint())
        found.append(replace(full, title=full.title + ", one case", cases=1, columns=(full_columns,)))
    return tuple(found)


def repaint_recipe(name: str, parts: DiffdaParts, form: Repaint, *, title: str | None = None) -> Recipe:
    """DiffDA's recipe in some form: one sample, with the network of the lead time."""

    def build(lead: np.timedelta64) -> AnalysisMethod:
        trained = parts.diffda_denoiser(lead)
        climatology = None if parts.climatology is None else parts.climatology.state
        method = GlobalDiffusion(
            parts.world.archive.static, trained.denoiser, form.sampler, form.conditioning(climatology), lead
        )
        return OnDevice(method, parts.device)

    facts = (form, *_identities(parts, "denoiser_48h", "denoiser_6h", "climatology"))
    return Recipe(name, title or form.title, build, facts, calls=form.calls)


@dataclass(frozen=True)
class _Order:
    """What builders are told."""

    parts: DiffdaParts
    members: int
    repaint: Repaint


def _linear(order: _Order) -> Recipe:
    return Recipe("linear", "interpolation, linear", lambda lead: SphereInterpolation(Linear()), ("linear",))


def _kriging(order: _Order) -> Recipe:
    climatology = None if order.parts.climatology is None else order.parts.climatology.state
    method = SphereInterpolation(Kriging(), climatology)
    facts = ("kriging", *_identities(order.parts, "climatology"))
    return Recipe("kriging", "interpolation, kriging", lambda lead: method, facts)


def _kriging_tuned(order: _Order) -> Recipe:
    parts = order.parts
    climatology = None if parts.climatology is None else parts.climatology.state

    def build(lead: np.timedelta64) -> AnalysisMethod:
        return SphereInterpolation(tuned_to(parts), climatology)

    facts = ("kriging_tuned", parts.world.store.identity, *_identities(parts, "climatology"))
    return Recipe("kriging_tuned", "interpolation, kriging tuned", build, facts)


def tuned_to(parts: DiffdaParts, *, times: int = 4, seed: int = 0) -> Kriging:
    """Kriging with the length that suits some true states best, observed at 4 % of the points.

    The published 600 km suit 0.25° and thousands of columns. One number is chosen, from times other than the cases'.
    """
    world = parts.world
    grid, known = world.layout.grid, world.archive.valid_times
    chosen = known[np.linspace(1, len(known) - 2, 2 * times + 1).round().astype(int)[1::2]]
    scale = world.change_std.double()[:, None, None]
    anomalies = []
    for time in chosen:
        truth = world.truth(time)
        mean = truth.values.mean(dim=(2, 3), keepdim=True).expand_as(truth.values)
        expected = mean if parts.climatology is None else parts.climatology.state(time).values
        departure = truth.with_values(truth.values - expected)
        places = drawn_by_area(grid, max(4, grid.ny * grid.nx // 25), generator=generator_of(seed, "tuning", time))
        data = observe_columns(departure, places, world.change_std.double())
        observed = points_on_sphere(data, data.value / scale.flatten()[data.channel])
        anomalies.append((observed, departure.values[0].double() / scale))
    return tuned_kriging(anomalies, grid, Kriging())


def _optimal(order: _Order) -> Recipe:
    parts = order.parts

    def build(lead: np.timedelta64) -> AnalysisMethod:
        trained = parts.diffda_denoiser(lead)
        covariance = trained.covariance(lead)
        method = SphereOptimalInterpolation(_grown(covariance, parts, lead), with_error_std=False)
        return OnDevice(method, parts.device)

    facts = ("oi", *_identities(parts, "denoiser_48h", "denoiser_6h", "denoiser"))
    return Recipe("oi", "optimal interpolation", build, facts)


def _diffda(order: _Order) -> Recipe:
    return repaint_recipe("diffda", order.parts, order.repaint)


def _diffda_innovations(order: _Order) -> Recipe:
    form = replace(order.repaint, innovations=True)
    return repaint_recipe("diffda_innovations", order.parts, form, title=f"DiffDA, innovations, {form.calls:,} calls")


def _default(order: _Order) -> Recipe:
    return _ours(
        "default", "default", order, PRESETS["default"], lambda trained, lead: SphereKalman(_ours_b(trained, lead))
    )


def _default_adaptive(order: _Order) -> Recipe:
    return replace(_default(order), name="default_adaptive", title="default, told of drift", adaptive=True)


def _default_cycled(order: _Order) -> Recipe:
    """The denoiser is told 48 h: of the lead times that it knows, the one with errors most like those of cycles."""
    recipe, parts = _default(order), order.parts

    def build(lead: np.timedelta64) -> AnalysisMethod:
        if lead >= LONG:
            return recipe.build(lead)
        conditioning = SphereKalman(_cycled(parts))
        method = PRESETS["default"].method(
            parts.denoiser(LONG),
            parts.world.archive.static,
            lead=LONG,
            conditioning=conditioning,
            members=1,
            mean=False,
        )
        return OnDevice(method, parts.device)

    facts = (*recipe.facts, "cycled and smoothed", *_identities(parts, "cycled_covariance"))
    return replace(recipe, name="default_cycled", title="default, for cycles", build=build, facts=facts, smoothed=True)


def _optimal_cycled(order: _Order) -> Recipe:
    recipe, parts = _optimal(order), order.parts

    def build(lead: np.timedelta64) -> AnalysisMethod:
        if lead >= LONG:
            return recipe.build(lead)
        return OnDevice(SphereOptimalInterpolation(_cycled(parts), with_error_std=False), parts.device)

    facts = (*recipe.facts, "cycled and smoothed", *_identities(parts, "cycled_covariance"))
    title = "optimal interpolation, for cycles"
    return replace(recipe, name="oi_cycled", title=title, build=build, facts=facts, smoothed=True)


def _cycled(parts: DiffdaParts) -> SphereCovariance:
    if parts.cycled is None:
        raise UsageError("cycled_covariance is not given; `rtma-diffda train target=graphcast_cycles …` makes one")
    return parts.cycled


def _prior(order: _Order) -> Recipe:
    return _ours("prior", "prior, no observations", order, PRESETS["default"], lambda trained, lead: NoConditioning())


def _sda(order: _Order) -> Recipe:
    return _guided("sda", "score guidance", order, ScoreGuidance, each=2)


def _mmps(order: _Order) -> Recipe:
    return _guided("mmps", "moment matching", order, partial(MomentMatching, iterations=2), each=3)


def _guided(name: str, title: str, order: _Order, guidance: Callable, *, each: int) -> Recipe:
    path = karras_path(_GUIDED_LEVELS, highest=30.0, lowest=0.05)
    preset = GlobalPreset(Sampler(path, Ancestral(eta=1.0)), "guidance", members=_GUIDED_MEMBERS)
    small = replace(order, members=_GUIDED_MEMBERS)
    return _ours(name, title, small, preset, lambda trained, lead: SphereGuidance(guidance), each=each)


def _ours(
    name: str,
    title: str,
    order: _Order,
    preset: GlobalPreset,
    conditioning: Callable[[TrainedGraphCastDenoiser, np.timedelta64], SphereConditioning],
    *,
    each: int = 1,
) -> Recipe:
    """An ensemble of our denoiser; the bench hands in as many copies of the background as it has members."""
    parts = order.parts

    def build(lead: np.timedelta64) -> AnalysisMethod:
        trained = parts.denoiser(lead)
        method = preset.method(
            trained,
            parts.world.archive.static,
            lead=lead,
            conditioning=conditioning(trained, lead),
            members=1,
            mean=False,
        )
        return OnDevice(method, parts.device)

    calls = each * preset.calls
    facts = (name, preset.sampler.path, repr(preset.sampler.stepper), preset.centred, order.members,
             *_identities(parts, "denoiser", "denoiser_48h", "denoiser_6h"))  # fmt: skip
    return Recipe(name, f"{title}, {calls * order.members} calls", build, facts, members=order.members, calls=calls)


def _ours_b(trained: TrainedGraphCastDenoiser, lead: np.timedelta64) -> SphereCovariance:
    """Of truth − E[truth | background], with the size of residuals of this lead time."""
    covariance = trained.covariance(lead)
    return replace(covariance, scale=_size(trained, lead).to(covariance.scale))


def _grown(covariance: SphereCovariance, parts: DiffdaParts, lead: np.timedelta64) -> SphereCovariance:
    """B of the nearest lead time that was fitted, with errors grown or shrunk to this one as those of forecasts are."""
    if parts.ours is None:
        return covariance
    nearest = min((6.0, 48.0), key=lambda hours: abs(math.log(hours) - math.log(lead / np.timedelta64(1, "h"))))
    fitted = np.timedelta64(int(nearest), "h")
    growth = _size(parts.ours, lead) / _size(parts.ours, fitted)
    return replace(covariance, scale=covariance.scale * growth.to(covariance.scale))


def _size(trained: TrainedGraphCastDenoiser, lead: np.timedelta64) -> Tensor:
    """s (channel,) of residuals of a lead time."""
    return trained.denoiser.scale.of(lead).flatten()


def residual_spread(parts: DiffdaParts) -> Callable[[np.timedelta64], Tensor] | None:
    """How large errors of forecasts of a lead time are, (channel,) SI; None where only a fixed scale is known."""
    return None if parts.ours is None else partial(_size, parts.ours)


def _identities(parts: DiffdaParts, *names: str) -> tuple[str, ...]:
    return tuple(f"{name} {parts.identity.get(name, 'none')}" for name in names)


BUILDERS: Mapping[str, Callable[[_Order], Recipe]] = MappingProxyType(
    {
        "linear": _linear,
        "kriging": _kriging,
        "kriging_tuned": _kriging_tuned,
        "oi": _optimal,
        "diffda": _diffda,
        "diffda_innovations": _diffda_innovations,
        "default": _default,
        "default_adaptive": _default_adaptive,
        "default_cycled": _default_cycled,
        "oi_cycled": _optimal_cycled,
        "sda": _sda,
        "mmps": _mmps,
        "prior": _prior,
    }
)
"""By name."""
