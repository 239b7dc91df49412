"""The methods that judge a persisted background: baselines tuned on training days, and ensembles of one denoiser."""

from dataclasses import replace

from rtma_diffda.assimilation.corrected_background import CorrectedBackground, corrected_cases
from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser
from rtma_diffda.assimilation.observation_entry import NoObservations
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration
from rtma_diffda.assimilation.truth_tuning import truth_starts, tune_on_truth
from rtma_diffda.experiments.compared_methods import ComparedMethod, Workshop, build_compared
from rtma_diffda.experiments.diffusion_methods import diffusion_method
from rtma_diffda.experiments.mean_change import MeanChange
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.geo.static_fields import StaticFields

BASELINES = ("background", "observation_interpolation", "optimal_interpolation")
"""Of ``compared_methods``."""

ENSEMBLES = ("diffusion_channels", "diffusion")
"""Of ``diffusion_methods``: through the network's channels, and through ``kalman``."""


def baselines(workshop: Workshop, pairs: Pairs) -> tuple[ComparedMethod, ...]:
    """Background, observation and optimal interpolation, and the latter on persistence with its mean change.

    Args:
        workshop: with cases of training days.
        pairs: of the same days.
    """
    correction = MeanChange.of(pairs, workshop.static)
    cases = corrected_cases(correction, workshop.cases)
    tuned = tune_on_truth(cases, truth_starts(cases[0].truth.layout))
    errors = {name: found.background_error for name, found in tuned.items()}
    factors = {name: found.observation_error_factor for name, found in tuned.items()}
    inner = OptimalInterpolation(workshop.static, errors, factors)
    method = CorrectedBackground(workshop.static, correction, inner)
    described = "; ".join(f"{name}: {found.describe()}" for name, found in tuned.items())
    corrected = ComparedMethod(
        "mean_change_and_interpolation", method, f"mean change by hour and place, then {described}"
    )
    return (*build_compared(BASELINES, workshop), corrected)


def ensembles(trained: TrainedDenoiser, static: StaticFields) -> tuple[ComparedMethod, ...]:
    """The learned prior, which looks at no observation, and diffusion ensembles."""
    prior = replace(
        diffusion_method("diffusion", trained, static), entry=NoObservations(), calibration=SpreadCalibration()
    )
    described = f"draws from p(truth | background), no observations, {prior.members} members"
    built = [ComparedMethod("learned_background", prior, described)]
    for name in ENSEMBLES:
        method = diffusion_method(name, trained, static)
        spread = ", ".join(f"{variable} × {factor:.2f}" for variable, factor in method.calibration.factor.items())
        built.append(ComparedMethod(name, method, f"{method.members} members, spread of {spread}"))
    return tuple(built)
