"""The methods that a comparison knows, each ready for any terrain, with settings chosen on validation cases.

A method is a dataclass with a field ``static``; ``dataclasses.replace(method, static=…)`` moves it to another run. What
several methods need, such as the tuned background errors, is worked out once.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from rtma_diffda.assimilation.background_itself import BackgroundItself
from rtma_diffda.assimilation.corrected_background import CorrectedBackground, corrected_cases
from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser, denoiser_from_checkpoint
from rtma_diffda.assimilation.large_scale_blend import tuned_blend
from rtma_diffda.assimilation.multivariate_interpolation import MultivariateInterpolation
from rtma_diffda.assimilation.multivariate_tuning import tune_multivariate
from rtma_diffda.assimilation.observation_interpolation import ObservationInterpolation
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.sample_covariance import sample_correlations
from rtma_diffda.assimilation.truth_cases import TruthCase, background_error_std
from rtma_diffda.assimilation.truth_tuning import (
    TruthTuned,
    structure_starts,
    truth_starts,
    tune_on_truth,
    tune_structures_on_truth,
)
from rtma_diffda.assimilation.unet_regression import UNetRegression, load_unet_regression
from rtma_diffda.experiments.diffusion_methods import DENOISERS, diffusion_method, without_mesh
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import AnalysisMethod
from rtma_diffda.io.checkpoint import read_checkpoint
from rtma_diffda.resources import resource_directory

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComparedMethod:
    """A method in a comparison.

    Attributes:
        name: a key of ``COMPARED``.
        method: has a field ``static``.
        description: its settings, in words.
        network_calls: evaluations of a network for one analysis, where the analysis does not say.
    """

    name: str
    method: AnalysisMethod
    description: str
    network_calls: int = 0


@dataclass(frozen=True)
class Workshop:
    """Validation cases, and what methods share that is made from them.

    Attributes:
        cases: of validation runs.
        errors: (member, channel, y, x) SI: truth minus background at all hours of the validation runs.
        checkpoints: {name: directory}; None or absent: the packaged one.
    """

    cases: Sequence[TruthCase]
    errors: Tensor
    checkpoints: Mapping[str, str | None]

    @property
    def static(self) -> StaticFields:
        """Some terrain, for methods before they are moved to a case."""
        return self.cases[0].static

    @cached_property
    def tuned(self) -> dict[str, TruthTuned]:
        """Univariate background errors of the background as given."""
        return tune_on_truth(self.cases, truth_starts(self.cases[0].truth.layout))

    @cached_property
    def correction(self) -> UNetRegression:
        """The learned correction that looks at no observation."""
        return self.network("background_correction")

    def denoiser(self, name: str) -> TrainedDenoiser:
        """The denoiser of a checkpoint; one that several methods share is read once.

        Raises:
            InputError: the checkpoint is absent or damaged.
        """
        if name not in self._denoisers:
            self._denoisers[name] = denoiser_from_checkpoint(read_checkpoint(self.checkpoint(name)))
        return self._denoisers[name]

    @cached_property
    def _denoisers(self) -> dict[str, TrainedDenoiser]:
        return {}

    def checkpoint(self, name: str) -> Path:
        """Directory of the checkpoint that a learned method brings."""
        given = self.checkpoints.get(name)
        return Path(given) if given else resource_directory("checkpoints") / name

    def network(self, name: str) -> UNetRegression:
        """The method of a checkpoint.

        Raises:
            InputError: the checkpoint is absent or damaged.
        """
        return load_unet_regression(self.checkpoint(name), self.static)


def build_compared(names: Sequence[str], workshop: Workshop) -> tuple[ComparedMethod, ...]:
    """The methods called ``names``, with settings chosen on the workshop's cases.

    Raises:
        InputError: a checkpoint is absent or damaged.
    """
    built = []
    for name in names:
        built.append(COMPARED[name](name, workshop))
        _log.info("%s: %s", name, built[-1].description)
    return tuple(built)


def _background(name: str, workshop: Workshop) -> ComparedMethod:
    stds = background_error_std(workshop.cases)
    described = ", ".join(f"{variable} {std:.3g}" for variable, std in stds.items())
    method = BackgroundItself(workshop.static, stds)
    return ComparedMethod(name, method, f"error on validation runs (SI): {described}")


def _optimal_interpolation(name: str, workshop: Workshop) -> ComparedMethod:
    return ComparedMethod(name, _interpolation(workshop.tuned, workshop.static), _describe(workshop.tuned))


def _observation_interpolation(name: str, workshop: Workshop) -> ComparedMethod:
    tuned = tune_structures_on_truth(workshop.cases, structure_starts(workshop.cases[0].truth.layout))
    structures = {variable: found.background_error for variable, found in tuned.items()}
    method = ObservationInterpolation(workshop.static, structures, _factors(tuned))
    return ComparedMethod(name, method, _describe(tuned))


def _multivariate_interpolation(name: str, workshop: Workshop) -> ComparedMethod:
    sampled = sample_correlations([workshop.errors], workshop.cases[0].truth.layout)
    tuned = tune_multivariate(workshop.cases, sampled, workshop.tuned)
    method = MultivariateInterpolation(
        workshop.static, tuned.background_error, tuned.observation_error_factors, tuned.error_std_factors
    )
    return ComparedMethod(name, method, tuned.describe())


def _background_correction(name: str, workshop: Workshop) -> ComparedMethod:
    where = workshop.checkpoint("background_correction")
    return ComparedMethod(name, workshop.correction, f"learned, no observations; checkpoint {where.name}", 1)


def _corrected_optimal_interpolation(name: str, workshop: Workshop) -> ComparedMethod:
    cases = corrected_cases(workshop.correction, workshop.cases)
    tuned = tune_on_truth(cases, truth_starts(cases[0].truth.layout))
    inner = _interpolation(tuned, workshop.static)
    method = CorrectedBackground(workshop.static, workshop.correction, inner)
    calls = workshop.correction.orientations
    return ComparedMethod(name, method, f"learned correction, then: {_describe(tuned)}", calls)


def _large_scale_optimal_interpolation(name: str, workshop: Workshop) -> ComparedMethod:
    blend = tuned_blend(workshop.cases)
    cases = corrected_cases(blend, workshop.cases)
    tuned = tune_on_truth(cases, truth_starts(cases[0].truth.layout))
    method = CorrectedBackground(workshop.static, blend, _interpolation(tuned, workshop.static))
    weights = ", ".join(f"{variable} {weight:.2f}" for variable, weight in blend.weights.items())
    described = f"large scale of the global run, over {blend.points} points, times {weights}; then: {_describe(tuned)}"
    return ComparedMethod(name, method, described)


def _unet_regression(name: str, workshop: Workshop) -> ComparedMethod:
    where = workshop.checkpoint("unet_regression")
    return ComparedMethod(name, workshop.network(name), f"checkpoint {where.name}", 1)


def _diffusion(name: str, workshop: Workshop) -> ComparedMethod:
    centre = workshop.network("unet_regression") if name == "diffusion_centred" else None
    trained = workshop.denoiser(DENOISERS[name])
    if name == "diffusion_meshless":
        trained = without_mesh(trained)
    method = diffusion_method(name, trained, workshop.static, centre=centre)
    spreads = ", ".join(f"{variable} {factor:.2f}" for variable, factor in method.calibration.factor.items())
    where = workshop.checkpoint(DENOISERS[name])
    return ComparedMethod(name, method, f"checkpoint {where.name}; spread times {spreads or '1'}")


COMPARED: Mapping[str, Callable[[str, Workshop], ComparedMethod]] = {
    "background": _background,
    "observation_interpolation": _observation_interpolation,
    "optimal_interpolation": _optimal_interpolation,
    "multivariate_interpolation": _multivariate_interpolation,
    "background_correction": _background_correction,
    "corrected_optimal_interpolation": _corrected_optimal_interpolation,
    "large_scale_optimal_interpolation": _large_scale_optimal_interpolation,
    "unet_regression": _unet_regression,
    **dict.fromkeys(DENOISERS, _diffusion),
}
"""Every method that a comparison can name."""


def _interpolation(tuned: Mapping[str, TruthTuned], static: StaticFields) -> OptimalInterpolation:
    errors = {variable: found.background_error for variable, found in tuned.items()}
    return OptimalInterpolation(static, errors, _factors(tuned))


def _factors(tuned: Mapping[str, TruthTuned]) -> dict[str, float]:
    return {variable: found.observation_error_factor for variable, found in tuned.items()}


def _describe(tuned: Mapping[str, TruthTuned]) -> str:
    return "\n".join(f"{variable}: {found.describe()}" for variable, found in tuned.items())
