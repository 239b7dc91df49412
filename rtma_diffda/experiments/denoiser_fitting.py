"""What is fitted to a trained denoiser on validation runs: B of its residuals, and the spreads of its ensembles.

B is that of truth − E[truth | background], the denoiser's own mean, with the same parameters and the same tuning as
optimal interpolation's (``truth_tuning``). Spreads are calibrated over networks of few and of many stations.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from rtma_diffda.assimilation.corrected_background import corrected_cases
from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser
from rtma_diffda.assimilation.denoising_network import DenoisingNetwork
from rtma_diffda.assimilation.diffusion import fitted_ensemble
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.assimilation.truth_tuning import truth_starts, tune_on_truth
from rtma_diffda.experiments.diffusion_methods import background_mean, diffusion_method
from rtma_diffda.interfaces import AnalysisMethod

_log = logging.getLogger(__name__)


def fitted_denoiser(
    network: DenoisingNetwork,
    cases: Sequence[TruthCase],
    *,
    densities: Sequence[TruthCase],
    centre: AnalysisMethod | None,
    seed: int,
) -> TrainedDenoiser:
    """The denoiser with B of its residuals and its calibrations; arguments as for ``_fitted``.

    A network that is told the large scale is fitted a second time without it.
    """
    fixed = {"centre": centre, "seed": seed}
    if not network.encoding.large_scale:
        return _fitted(network, cases, densities=densities, **fixed)
    alone = _fitted(network, _without_boundary(cases), densities=_without_boundary(densities), **fixed)
    return replace(_fitted(network, cases, densities=densities, **fixed), without_large_scale=alone)


def _without_boundary(cases: Sequence[TruthCase]) -> tuple[TruthCase, ...]:
    return tuple(replace(case, problem=replace(case.problem, boundary=None)) for case in cases)


def _fitted(
    network: DenoisingNetwork,
    cases: Sequence[TruthCase],
    *,
    densities: Sequence[TruthCase],
    centre: AnalysisMethod | None,
    seed: int,
) -> TrainedDenoiser:
    """The denoiser with B of its residuals and its calibrations.

    Args:
        network: trained.
        cases: of validation runs, which B is tuned on.
        densities: of validation runs with few, the default and many stations, which spreads are calibrated on.
        centre: what ``diffusion_centred`` is centred on; without one it is not calibrated.
        seed: of the ensembles that are drawn.
    """
    static, network = cases[0].static, network.eval()
    bare = TrainedDenoiser(network, network.encoding.background_errors)
    corrected = corrected_cases(background_mean(bare, static), cases)
    tuned = tune_on_truth(corrected, truth_starts(cases[0].truth.layout))
    trained = TrainedDenoiser(
        network,
        {name: found.background_error for name, found in tuned.items()},
        {name: found.observation_error_factor for name, found in tuned.items()},
    )
    names = ("diffusion", "diffusion_channels", *(("diffusion_centred",) if centre is not None else ()))
    for name in names:
        own = centre if name == "diffusion_centred" else None
        method = fitted_ensemble(diffusion_method(name, trained, static, centre=own), densities, seed=seed)
        trained = replace(trained, calibrations={**trained.calibrations, name: method.calibration})
        _log.info("%s: spread times %s, centring %s", name, method.calibration.factor, method.centring.weight)
        if own is not None:
            trained = replace(trained, centring=method.centring)
    return trained
