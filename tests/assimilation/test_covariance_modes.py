from dataclasses import replace

import numpy as np
import pytest
import torch
from regression_world import ERRORS, LAYOUT, SCALES, STATIC, pairs_of

from rtma_diffda.assimilation.correlation import covariance, variance
from rtma_diffda.assimilation.covariance_modes import covariance_modes
from rtma_diffda.assimilation.places import Surroundings, with_background
from rtma_diffda.fields.state import State
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window

SCALE = torch.tensor(list(SCALES.values()))[:, None, None]


def problem() -> AssimilationProblem:
    batch = pairs_of(1)
    time = batch.valid_time[0]
    empty = torch.zeros(0, dtype=torch.float64)
    none = Observations(
        *[empty] * 5,
        channel=torch.zeros(0, dtype=torch.int64),
        valid_time=np.zeros(0, "datetime64[ns]"),
        station=np.zeros(0, object),
        network=np.zeros(0, object),
        flags=np.zeros(0, np.int32),
        bound=np.zeros(0, np.int8),
    )
    state = State(batch.background, LAYOUT, time)
    return AssimilationProblem(
        state, none, BilinearOperator(LAYOUT, STATIC), Window.around(time, np.timedelta64(30, "m"))
    )


def dense(channel: int) -> tuple[torch.Tensor, torch.Tensor]:
    """B of one channel in units of s², and its diagonal."""
    name = LAYOUT.names[channel]
    places, background = Surroundings(problem(), STATIC).of_grid(channel)
    places = with_background(places, background[0])
    return (
        covariance(ERRORS[name], places, places) / SCALES[name] ** 2,
        variance(ERRORS[name], places) / SCALES[name] ** 2,
    )


@pytest.mark.parametrize("channel", [0, 4])
def test_every_point_a_landmark_gives_b_itself(channel):
    modes = covariance_modes(ERRORS, problem(), STATIC, SCALE, spacing=1)[channel]
    B, _ = dense(channel)
    torch.testing.assert_close((modes.fields @ modes.fields.T).double(), B, rtol=0, atol=2e-3)
    assert float(modes.rest.max()) < 5e-3
    gram = modes.fields.double().T @ modes.fields.double()
    torch.testing.assert_close(gram, torch.diag(modes.variance.double()), rtol=0, atol=1e-3 * float(gram.max()))


@pytest.mark.parametrize("channel", [0, 4])
def test_fewer_landmarks_keep_the_variance(channel):
    modes = covariance_modes(ERRORS, problem(), STATIC, SCALE, spacing=3)[channel]
    _, diagonal = dense(channel)
    kept = modes.fields.square().sum(dim=1)
    torch.testing.assert_close((kept + modes.rest).double(), diagonal, rtol=0, atol=2e-3 * float(diagonal.max()))
    assert float(kept.mean() / diagonal.mean()) > 0.7


def test_a_wide_grid_is_given_fewer_landmarks():
    wide = replace(ERRORS["t2m"], horizontal_length=5e5)
    modes = covariance_modes(ERRORS | {"t2m": wide}, problem(), STATIC, SCALE, spacing=8)[0]
    assert modes.fields.shape[1] <= 4
