from dataclasses import replace

import numpy as np
import pytest
import torch
from regression_world import ENCODING, ERRORS, GRID, LAYOUT, NAMES, STATIC, network_of, pairs_of, wake
from test_network_inputs import problem_of as problem_of_reports

from rtma_diffda.assimilation.error_calibration import ErrorCalibration
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.regression_checkpoint import regression_checkpoint, regression_from_checkpoint
from rtma_diffda.assimilation.rotation import possible_turns
from rtma_diffda.assimilation.simulated_observing import Observing, observe
from rtma_diffda.assimilation.truth_cases import TruthCase
from rtma_diffda.assimilation.unet_regression import UNetRegression, calibrated, load_unet_regression
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.io.checkpoint import read_checkpoint, write_checkpoint

CALIBRATION = ErrorCalibration(dict.fromkeys(NAMES, 0.1), dict.fromkeys(NAMES, 0.8))
TRAINED = UNetRegression(STATIC, wake(network_of()), CALIBRATION)
BLIND = UNetRegression(STATIC, wake(network_of(replace(ENCODING, observations=False))), CALIBRATION)
INTERPOLATION = OptimalInterpolation(STATIC, ERRORS, ENCODING.observation_error_factors)


@pytest.fixture(scope="module")
def problem() -> AssimilationProblem:
    batch = pairs_of(1)
    observing = Observing(15, 15, none_share=0.0, usual_share=1.0)
    return problem_of_reports(batch, observe(batch, observing, generator=torch.Generator().manual_seed(1))[0])


def analyse(method, problem):
    return method.analyse(problem, generator=torch.Generator())


def of_two_members(problem: AssimilationProblem) -> AssimilationProblem:
    values = torch.cat([problem.background.values, problem.background.values.flip(-1)])
    return replace(problem, background=problem.background.with_values(values))


def test_untrained_network_gives_optimal_interpolation(problem):
    untrained = UNetRegression(
        STATIC, network_of(), ErrorCalibration(dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, 1.0))
    )
    found, expected = analyse(untrained, problem), analyse(INTERPOLATION, problem)
    torch.testing.assert_close(found.increment(), expected.increment(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found.error_std, expected.error_std, rtol=1e-4, atol=1e-4)


def test_without_observations_the_background_is_corrected_and_no_more(problem):
    empty = replace(problem, observations=problem.observations.select(np.zeros(0, int)))
    seen, unseen = analyse(BLIND, problem), analyse(BLIND, empty)
    assert torch.equal(seen.state.values, unseen.state.values)
    assert float(seen.increment().abs().max()) > 0.1
    untrained = UNetRegression(STATIC, network_of())
    assert torch.equal(analyse(untrained, empty).state.values, problem.background.values)
    assert analyse(untrained, empty).error_std is None


def test_order_of_observations_does_not_matter(problem):
    order = np.random.default_rng(1).permutation(len(problem.observations))
    shuffled = replace(problem, observations=problem.observations.select(order))
    first, second = analyse(TRAINED, problem), analyse(TRAINED, shuffled)
    torch.testing.assert_close(first.state.values, second.state.values, rtol=0, atol=1e-8)
    torch.testing.assert_close(first.error_std, second.error_std, rtol=0, atol=1e-8)


def test_members_do_not_influence_each_other(problem):
    both = analyse(TRAINED, of_two_members(problem))
    alone = analyse(TRAINED, problem)
    torch.testing.assert_close(both.state.values[:1], alone.state.values, rtol=0, atol=1e-4)
    assert both.state.members == 2
    assert not torch.allclose(both.increment()[0], both.increment()[1])


def test_layout_time_and_type_are_the_backgrounds(problem):
    single = replace(problem, background=problem.background.with_values(problem.background.values.float()))
    for given in (problem, single):
        analysis = analyse(TRAINED, given)
        assert (analysis.state.layout, analysis.state.valid_time) == (LAYOUT, given.background.valid_time)
        assert analysis.state.values.dtype == analysis.error_std.dtype == given.background.values.dtype
        assert analysis.error_std.shape == LAYOUT.shape


def test_analysis_at_a_grid_point_is_the_grids(problem):
    analysis, at = analyse(TRAINED, problem), (5, 11)
    target = replace(
        problem.observations.select(np.zeros(1, int)),
        latitude=torch.tensor([GRID.latitude()[at]]),
        longitude=torch.tensor([GRID.longitude()[at]]),
        elevation=torch.tensor([STATIC.orography[at]]),
        channel=torch.tensor([4]),
    )
    found = TRAINED.analyse_at(problem, target)
    assert float(found.mean[0, 0]) == pytest.approx(float(analysis.state.values[0, 4, 5, 11]), abs=1e-6 * 1e5)
    assert float(found.error_std[0]) == pytest.approx(float(analysis.error_std[4, 5, 11]), rel=1e-5)
    assert UNetRegression(STATIC, TRAINED.network).analyse_at(problem, target).error_std is None


def test_error_std_is_smaller_near_stations(problem):
    error_std = analyse(TRAINED, problem).error_std
    empty = replace(problem, observations=problem.observations.select(np.zeros(0, int)))
    without = analyse(TRAINED, empty).error_std
    assert bool((error_std <= without + 1e-6).all())
    assert float(error_std.min()) >= 0.1


def test_calibration_states_the_size_of_the_errors(problem):
    """On the cases that it was fitted to, errors over their stated size have unit variance."""
    truth = problem.background.with_values(problem.background.values + 2.0 * torch.randn(1, *LAYOUT.shape))
    method = calibrated(TRAINED, [TruthCase(problem, truth, STATIC)])
    analysis = analyse(method, problem)
    ratio = (analysis.state.values - truth.values)[0] / analysis.error_std
    np.testing.assert_allclose(ratio.square().mean(dim=(1, 2)), 1.0, atol=0.02)
    with pytest.raises(UsageError, match="there are none"):
        calibrated(TRAINED, [])


def test_checkpoint_gives_the_same_analysis(problem, tmp_path):
    provenance = {"data": "a small world", "seed": 0}
    checkpoint = regression_checkpoint(TRAINED.network, calibration=CALIBRATION, card="# Test", provenance=provenance)
    directory = write_checkpoint(tmp_path / "net", checkpoint, created="2026-03-01T00:00:00Z")
    loaded = load_unet_regression(directory, STATIC)
    assert loaded.calibration == CALIBRATION
    assert loaded.network.encoding == TRAINED.network.encoding
    first, second = analyse(TRAINED, problem), analyse(loaded, problem)
    assert torch.equal(first.state.values, second.state.values)
    assert torch.equal(first.error_std, second.error_std)


def test_checkpoint_takes_averaged_weights_and_none_of_the_calibration(tmp_path):
    other = wake(network_of(seed=3), seed=8)
    checkpoint = regression_checkpoint(TRAINED.network, weights=other.state_dict())
    write_checkpoint(tmp_path / "net", checkpoint, created="2026-03-01T00:00:00Z")
    network, calibration = regression_from_checkpoint(read_checkpoint(tmp_path / "net"))
    assert calibration is None
    for name, values in other.state_dict().items():
        assert torch.equal(network.state_dict()[name], values)


def test_foreign_checkpoints_are_refused():
    checkpoint = regression_checkpoint(TRAINED.network)
    with pytest.raises(InputError, match="architecture 'graph'"):
        regression_from_checkpoint(replace(checkpoint, config={"architecture": "graph"}))
    with pytest.raises(InputError, match="not understood"):
        regression_from_checkpoint(replace(checkpoint, config={"architecture": "unet_regression"}))
    spoilt = dict(checkpoint.config) | {"unet": dict(checkpoint.config["unet"]) | {"depth": 3}}
    with pytest.raises(InputError, match="depth"):
        regression_from_checkpoint(replace(checkpoint, config=spoilt))


def test_a_grid_of_another_spacing_is_named_as_a_reason_for_less_trust(problem):
    spacing = problem.background.layout.grid.dx
    for known, count in ((spacing, 0), (2.0 * spacing, 1), (None, 0)):
        network = network_of(replace(ENCODING, spacing=known))
        degraded = analyse(UNetRegression(STATIC, network), problem).degraded
        assert len(degraded) == count and all(f"{2 * spacing:.0f} m" in reason for reason in degraded)


def test_the_mean_over_orientations_is_what_each_gives_turned_back(problem):
    encoding, network = TRAINED.network.encoding, TRAINED.network
    inputs, _ = encoding.of_problem(problem, STATIC)
    turns = possible_turns(problem.background.layout.grid.shape)
    with torch.no_grad():
        answers = [encoding.turned_fields(network(encoding.turned(inputs, k)), -k % 4) for k in turns]
    scale = encoding.scale(answers[0])
    analysis = analyse(TRAINED, problem)
    expected = torch.stack(answers).mean(dim=0) * scale
    torch.testing.assert_close(analysis.increment().float(), expected, rtol=1e-5, atol=1e-3)
    assert analysis.diagnostics["network_calls"] == len(turns)
    single = analyse(replace(TRAINED, orientations=1), problem)
    torch.testing.assert_close(single.increment().float(), answers[0] * scale, rtol=1e-5, atol=1e-3)
    assert not torch.allclose(analysis.increment(), single.increment(), atol=1e-2)
