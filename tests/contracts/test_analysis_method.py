"""What every analysis method promises (style.md §8), over every one there is but ``DiffusionAssimilation``.

Draws of an ensemble promise more, and less: see ``tests/assimilation/test_diffusion.py``.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from rtma_diffda.assimilation.background_itself import BackgroundItself
from rtma_diffda.assimilation.corrected_background import CorrectedBackground
from rtma_diffda.assimilation.correlation import BackgroundError
from rtma_diffda.assimilation.error_calibration import ErrorCalibration
from rtma_diffda.assimilation.multivariate_error import MultivariateError
from rtma_diffda.assimilation.multivariate_interpolation import MultivariateInterpolation
from rtma_diffda.assimilation.network_inputs import InputEncoding
from rtma_diffda.assimilation.observation_interpolation import ObservationInterpolation
from rtma_diffda.assimilation.optimal_interpolation import OptimalInterpolation
from rtma_diffda.assimilation.posterior import ExactSolver, LocalSolver
from rtma_diffda.assimilation.regression_network import RegressionNetwork, unet_settings
from rtma_diffda.assimilation.sample_covariance import localised, sample_correlations
from rtma_diffda.assimilation.unet_regression import UNetRegression
from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.grid import ProjectedGrid, transformer
from rtma_diffda.geo.static_fields import StaticFields, ridge_and_coast
from rtma_diffda.interfaces import AssimilationProblem
from rtma_diffda.observations.flags import Flag
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.table import Observations
from rtma_diffda.times import Window

NAMES, NOON = ("t2m", "u10m"), np.datetime64("2026-01-01T12:00", "ns")
B = BackgroundError(2.0, 4e4, 500.0, land_sea_factor=0.5, function="soar")
FLOW = replace(B, background_length=5.0, bias_std=0.5, height_drift_std=1e-3, background_drift_std=0.1)
FIELD = BackgroundError(6.0, 8e4, 900.0, function="exponential", bias_std=10.0, height_drift_std=0.006)
GRID = ProjectedGrid(
    "+proj=lcc +lat_1=45 +lat_2=45 +lat_0=45 +lon_0=10 +R=6371200 +units=m", 15, 13, 1e4, 1e4, -7e4, -6e4
)
STATIC = ridge_and_coast(GRID)


def sampled_error() -> MultivariateError:
    """B of both variables from errors that are partly shared between them."""
    layout = Layout.of(GRID, NAMES)
    white = torch.randn(40, 3, *GRID.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    smooth = functional.avg_pool2d(white, 5, stride=1, padding=2) * 4.0
    correlations = sample_correlations([smooth[:, :2] + smooth[:, 2:]], layout)
    both = {"std": dict.fromkeys(NAMES, 1.5), "vertical_length": dict.fromkeys(NAMES, 600.0)}
    return MultivariateError(
        localised(correlations, 8e4), **both, land_sea_factor=0.8, univariate=dict.fromkeys(NAMES, B)
    )


def untrained_network() -> RegressionNetwork:
    torch.manual_seed(0)
    encoding = InputEncoding(dict.fromkeys(NAMES, 1.5), dict.fromkeys(NAMES, B))
    return RegressionNetwork(encoding, unet_settings(encoding, (8, 16))).eval()


METHODS: Mapping[str, Callable[[StaticFields], object]] = {
    "background_itself": lambda static: BackgroundItself(static, dict.fromkeys(NAMES, 1.5)),
    "corrected_background": lambda static: CorrectedBackground(
        static, BackgroundItself(static), OptimalInterpolation(static, dict.fromkeys(NAMES, B))
    ),
    "multivariate_interpolation": lambda static: MultivariateInterpolation(
        static, sampled_error(), dtype=torch.float64
    ),
    "unet_regression": lambda static: UNetRegression(
        static, untrained_network(), ErrorCalibration(dict.fromkeys(NAMES, 0.1), dict.fromkeys(NAMES, 1.0))
    ),
    "optimal_interpolation": lambda static: OptimalInterpolation(static, dict.fromkeys(NAMES, B)),
    "optimal_interpolation_flow": lambda static: OptimalInterpolation(static, dict.fromkeys(NAMES, FLOW)),
    "optimal_interpolation_local": lambda static: OptimalInterpolation(
        static, dict.fromkeys(NAMES, B), solver=LocalSolver(16, dtype=torch.float64)
    ),
    "observation_interpolation": lambda static: ObservationInterpolation(static, dict.fromkeys(NAMES, FIELD)),
}
"""Every method, ready to use on ``STATIC``; add new ones here."""


@pytest.fixture(params=sorted(METHODS))
def method(request):
    return METHODS[request.param](STATIC)


def problem_of(*, count: int = 40, members: int = 2) -> AssimilationProblem:
    rng = np.random.default_rng(7)
    layout = Layout.of(GRID, NAMES)
    values = 280.0 + rng.normal(0, 2, (members, *layout.shape))
    x, y = rng.uniform(-6.9e4, 6.9e4, count), rng.uniform(-5.9e4, 5.9e4, count)
    longitude, latitude = transformer(GRID.projection).transform(x, y, direction="INVERSE")
    columns = {"value": 280 + rng.normal(0, 3, count), "error_std": rng.uniform(0.5, 1.5, count)}
    columns |= {"latitude": latitude, "longitude": longitude, "elevation": rng.uniform(0, 900, count)}
    observations = Observations(
        **{name: torch.from_numpy(column) for name, column in columns.items()},
        channel=torch.from_numpy(rng.integers(0, len(NAMES), count)),
        valid_time=np.full(count, NOON),
        station=np.array([f"S{i}" for i in range(count)], dtype=object),
        network=np.full(count, "metar", dtype=object),
        flags=np.zeros(count, np.int32),
        bound=np.zeros(count, np.int8),
    )
    window = Window.around(NOON, np.timedelta64(30, "m"))
    operator = BilinearOperator(layout, STATIC)
    return AssimilationProblem(State(torch.from_numpy(values), layout, NOON), observations, operator, window)


def analyse(method, problem: AssimilationProblem, seed: int = 0):
    return method.analyse(problem, generator=torch.Generator().manual_seed(seed))


def test_gaussian_problem_has_the_closed_form_answer():
    """A datum at a grid point, with B and R given: gain b²/(b² + r²) there, and B's column everywhere else."""
    problem = problem_of(members=1)
    at = (6, 7)
    datum = replace(
        problem.observations.select(np.zeros(1, int)),
        value=torch.tensor([285.0], dtype=torch.float64),
        error_std=torch.tensor([1.0], dtype=torch.float64),
        latitude=torch.tensor([GRID.latitude()[at]]),
        longitude=torch.tensor([GRID.longitude()[at]]),
        elevation=torch.tensor([STATIC.orography[at]]),
        channel=torch.zeros(1, dtype=torch.int64),
    )
    problem = replace(problem, observations=datum)
    gaussian = BackgroundError(2.0, 3e4, function="gaussian")
    found = OptimalInterpolation(STATIC, dict.fromkeys(NAMES, gaussian), solver=ExactSolver())
    analysis = analyse(found, problem)
    x, y = np.meshgrid(GRID.x, GRID.y)
    correlation = np.exp(-0.5 * ((x - GRID.x[at[1]]) ** 2 + (y - GRID.y[at[0]]) ** 2) / 3e4**2)
    innovation = 285.0 - float(problem.background.values[0, 0][at])
    np.testing.assert_allclose(analysis.increment()[0, 0].numpy(), 0.8 * innovation * correlation, atol=1e-6)
    np.testing.assert_allclose(analysis.error_std[0].numpy() ** 2, 4.0 - 3.2 * correlation**2, atol=1e-6)
    assert float(analysis.increment()[0, 1].abs().max()) == 0.0


def test_no_observations_give_the_background(method):
    problem = problem_of(count=0)
    assert torch.equal(analyse(method, problem).state.values, problem.background.values)


def test_order_of_observations_does_not_matter(method):
    problem = problem_of()
    shuffled = replace(problem, observations=problem.observations.select(np.random.default_rng(1).permutation(40)))
    first, second = analyse(method, problem), analyse(method, shuffled)
    torch.testing.assert_close(first.state.values, second.state.values, rtol=0, atol=1e-8)
    torch.testing.assert_close(first.error_std, second.error_std, rtol=0, atol=1e-8)


def test_same_generator_gives_the_same_bits(method):
    first, second = analyse(method, problem_of(), seed=3), analyse(method, problem_of(), seed=3)
    assert torch.equal(first.state.values, second.state.values)


def test_layout_time_type_and_members_are_the_backgrounds(method):
    problem = problem_of()
    single = replace(problem, background=problem.background.with_values(problem.background.values.float()))
    for given in (problem, single):
        state = analyse(method, given).state
        assert (state.layout, state.valid_time, state.members) == (given.background.layout, NOON, 2)
        assert state.values.dtype == given.background.values.dtype


def test_members_do_not_influence_each_other(method):
    problem = problem_of()
    changed = problem.background.values.clone()
    changed[1] += torch.linspace(-3.0, 3.0, GRID.nx, dtype=torch.float64)
    first = analyse(method, problem).state.values
    second = analyse(method, replace(problem, background=problem.background.with_values(changed))).state.values
    torch.testing.assert_close(first[0], second[0], rtol=0, atol=1e-9)


def test_withheld_data_change_nothing(method):
    """Only rows with clear flags can enter a problem, so what is withheld cannot matter."""
    problem = problem_of()
    withheld = np.arange(40) % 4 == 0
    marked = problem.observations.with_flag(withheld, Flag.WITHHELD)
    spoilt = replace(marked, value=torch.where(torch.from_numpy(withheld), marked.value + 50.0, marked.value))
    with pytest.raises(InputError, match="clear flags only"):
        replace(problem, observations=marked)
    first, second = (analyse(method, replace(problem, observations=data.used())) for data in (marked, spoilt))
    assert torch.equal(first.state.values, second.state.values)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_analysis_at_stations_agrees_with_the_grids(name):
    """A target at a grid point, at the grid's own height, gets the grid's value; local tiles differ a little."""
    method, problem, at = METHODS[name](STATIC), problem_of(), (5, 11)
    analysis = analyse(method, problem)
    target = replace(
        problem.observations.select(np.zeros(1, int)),
        latitude=torch.tensor([GRID.latitude()[at]]),
        longitude=torch.tensor([GRID.longitude()[at]]),
        elevation=torch.tensor([STATIC.orography[at]]),
        channel=torch.zeros(1, dtype=torch.int64),
    )
    found = method.analyse_at(problem, target)
    tolerance = 0.3 if "local" in name else 1e-6
    torch.testing.assert_close(found.mean[:, 0], analysis.state.values[:, 0, at[0], at[1]], rtol=0, atol=tolerance)
    torch.testing.assert_close(found.error_std, analysis.error_std[:1, at[0], at[1]], rtol=0, atol=tolerance)
