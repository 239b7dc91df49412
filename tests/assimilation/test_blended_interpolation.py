"""The blend lies between its parts and keeps the background far from stations; ensembles add to it at stations."""

from dataclasses import dataclass, replace

import pytest
import torch

from rtma_diffda.assimilation.blended_interpolation import BlendedInterpolation, left_out, tuned_blend, weight
from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.ensemble_at_stations import EnsembleAtStations
from rtma_diffda.assimilation.observation_interpolation import ObservationInterpolation, departures_from_mean
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.places import Surroundings
from rtma_diffda.assimilation.tuning import innovation_evidence
from rtma_diffda.interfaces import Analysis

ERROR = BackgroundError(2.0, 6e4, function="exponential")
FIELD = BackgroundError(5.0, 8e4, function="exponential", bias_std=20.0)
GENERATOR = torch.Generator()


def parts(static):
    return OptimalInterpolation(static, {"t2m": ERROR}), ObservationInterpolation(static, {"t2m": FIELD})


def test_weights_follow_the_stated_errors():
    assert float(weight(torch.tensor(0.5), torch.tensor(1.0), torch.tensor(1.0))) == pytest.approx(0.5)
    assert float(weight(torch.tensor(0.5), torch.tensor(1.0), torch.tensor(2.0))) == pytest.approx(0.2)
    assert float(weight(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(2.0))) == 0.0
    assert float(weight(torch.tensor(0.9), torch.tensor(1.0), torch.tensor(torch.nan))) == 0.0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_at_either_end_the_blend_is_one_of_its_parts(make_problem, share):
    problem, static = make_problem(count=20, seed=3)
    alone = parts(static)[round(share)]
    blend = BlendedInterpolation(static, *parts(static), {"t2m": share})
    fields = [method.analyse(problem, generator=GENERATOR).state.values for method in (blend, alone)]
    values = [method.analyse_at(problem, problem.observations).mean for method in (blend, alone)]
    torch.testing.assert_close(*fields, rtol=0, atol=1e-3)
    torch.testing.assert_close(*values, rtol=0, atol=1e-3)


def test_without_data_the_background_stands(make_problem):
    problem, static = make_problem(count=0)
    found = BlendedInterpolation(static, *parts(static)).analyse(problem, generator=GENERATOR)
    assert torch.equal(found.state.values, problem.background.values)


def test_left_out_errors_are_those_of_analyses_without_each_datum(make_problem):
    problem, static = make_problem(count=12, seed=5)
    error, std = left_out(ERROR, 1.0, innovation_evidence(Surroundings(problem, static), 0))
    for i in range(3):
        kept = torch.arange(12) != i
        alone = problem.observations.select((~kept).numpy())
        there = parts(static)[0].analyse_at(
            replace(problem, observations=problem.observations.select(kept.numpy())), alone
        )
        assert float(alone.value[0] - there.mean[0, 0]) == pytest.approx(float(error[i]), abs=1e-6)
        assert float(there.error_std[0]) == pytest.approx(float(std[i]), rel=1e-5)


def test_the_share_that_errs_least_is_chosen(make_problem):
    problem, static = make_problem(count=40, seed=6)
    blend, around = tuned_blend([problem], *parts(static)), Surroundings(problem, static)
    first = left_out(ERROR, 1.0, innovation_evidence(around, 0))
    second = left_out(FIELD, 1.0, departures_from_mean(around, 0)[1])

    def mean_square(share: float) -> float:
        w = weight(torch.tensor(share), first[1], second[1])
        return float(((1 - w) * first[0] + w * second[0]).square().mean())

    assert mean_square(blend.shares["t2m"]) == min(
        mean_square(share) for share in (0.0, 0.5, 1.0, *blend.shares.values())
    )
    assert blend.error_factors["t2m"] > 0


@dataclass(frozen=True)
class _Shifted:
    """Stands for an ensemble: its reference, moved by a constant on the grid."""

    static: object
    reference: OptimalInterpolation
    by: float
    centre: None = None

    def analyse(self, problem, *, generator):
        there = self.reference.analyse(problem, generator=generator)
        pair = torch.cat([there.state.values + self.by - 1.0, there.state.values + self.by + 1.0])
        return Analysis(problem.background.with_values(pair), problem)


@pytest.mark.parametrize("by", [0.0, 2.0])
def test_stations_get_what_the_ensemble_adds_to_its_reference(make_problem, by):
    problem, static = make_problem(count=20, seed=3)
    reference = parts(static)[0]
    method = EnsembleAtStations(static, _Shifted(static, reference, by), reference)
    found, alone = (m.analyse_at(problem, problem.observations) for m in (method, reference))
    torch.testing.assert_close(found.mean, alone.mean + by, rtol=0, atol=1e-3)
    assert torch.equal(found.error_std, alone.error_std)


def test_members_get_the_spread_that_the_reference_states(make_problem):
    problem, static = make_problem(count=20, seed=3)
    reference = parts(static)[0]
    method = EnsembleAtStations(static, _Shifted(static, reference, 1.0), reference)
    found = method.analyse(problem, generator=GENERATOR)
    stated = reference.analyse(problem, generator=GENERATOR)
    assert float(found.error_std.square().mean()) == pytest.approx(float(stated.error_std.square().mean()), rel=1e-4)
    torch.testing.assert_close(found.state.mean().values, stated.state.values + 1.0, rtol=0, atol=1e-3)
