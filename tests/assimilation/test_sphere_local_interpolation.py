"""Local interpolation with all data as neighbours is optimal interpolation; with few it comes near."""

import numpy as np
import pytest
import torch
from sphere_world import SCALE, gaussian, globe, layout, places, problem, rows_of_H

from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.assimilation.sphere_fitting import fit_structures, thinned
from rtma_diffda.assimilation.sphere_local_interpolation import SphereLocalInterpolation
from rtma_diffda.assimilation.sphere_mixtures import SphereFitting
from rtma_diffda.assimilation.sphere_structure import SphereStructure, squared_chords
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.state import State
from rtma_diffda.observations.columns import drawn_by_area

STRUCTURES = (SphereStructure("soar", 3e6), SphereStructure("gaussian", 2e6), SphereStructure("exponential", 1e6))
S3 = SCALE[:, None, None]
NOON = np.datetime64("2020-03-01T12:00", "ns")


def std(grid) -> torch.Tensor:
    return SCALE[:, None] * torch.linspace(1.5, 0.5, grid.ny, dtype=torch.float64)


def known(grid=None) -> SphereCovariance:
    grid = grid or globe()
    D = (std(grid) / SCALE[:, None])[:, :, None, None]
    lags = torch.stack([structure.correlation(squared_chords(grid)) for structure in STRUCTURES])
    spectrum = torch.fft.rfft(lags * D * D.transpose(1, 2)).real.permute(0, 3, 1, 2)
    return SphereCovariance(spectrum.contiguous(), torch.eye(3).double(), SCALE, grid.nx)


def case_on(grid, channels=None, count: int = 14):
    B = gaussian(known(grid))
    truth = State(S3 * B.draw(1, generator=torch.Generator().manual_seed(0)), layout(grid), NOON)
    at = drawn_by_area(grid, count, generator=torch.Generator().manual_seed(1))
    return B, truth, problem(truth, at, channels=channels)


def analyse(method, case):
    return method.analyse(case, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [None, ("t2m",)])
def test_with_all_data_as_neighbours_it_is_exact(channels):
    grid = globe()
    B, _, case = case_on(grid, channels)
    posterior = B.given(rows_of_H(case), case.observations.value, case.observations.error_std.square())
    found = analyse(SphereLocalInterpolation(std(grid), STRUCTURES, neighbours=40), case)
    torch.testing.assert_close(found.state.values[0] / S3, posterior.mean, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.error_std / S3, posterior.std, rtol=0, atol=1e-6)


def test_few_neighbours_cost_little():
    grid = globe(12, 24)
    _, truth, case = case_on(grid, count=60)
    rms = [
        float(
            ((analyse(SphereLocalInterpolation(std(grid), STRUCTURES, k), case).state.values - truth.values) / S3).std()
        )
        for k in (60, 12)
    ]
    assert rms[1] < 1.05 * rms[0] < 0.8


def test_without_data_the_background_stands():
    _, _, case = case_on(globe())
    none = type(case)(**{**vars(case), "observations": case.observations.select(np.zeros(0, int))})
    found = analyse(SphereLocalInterpolation(std(globe()), STRUCTURES), none)
    assert torch.equal(found.state.values, case.background.values)
    torch.testing.assert_close(found.error_std, std(globe())[:, :, None].expand(3, 8, 16))


def test_data_between_points_are_where_they_are():
    """A single datum: the increment is largest at the nearest point and pulls it towards the datum."""
    grid = globe()
    truth = State(torch.ones(1, 3, 8, 16, dtype=torch.float64) * S3, layout(grid), NOON)
    found = analyse(SphereLocalInterpolation(std(grid), STRUCTURES), problem(truth, places(1)))
    field = found.state.values[0, 0] / SCALE[0]
    D = std(grid)[0] / SCALE[0]
    nearest = np.unravel_index(int((field / D[:, None]).argmax()), (8, 16))
    assert nearest == (4, 0) and 0.5 < float(field.max()) <= 1.3


def test_structures_are_fitted_on_a_thinned_grid():
    grid = globe(16, 32)
    B, generator = known(grid), torch.Generator().manual_seed(3)
    alone = [SphereCovariance(B.spectrum[q, None], torch.eye(1).double(), SCALE[q, None], grid.nx) for q in range(3)]
    errors = S3 * torch.cat([gaussian(part).draw(200, generator=generator) for part in alone], dim=1)
    settings = SphereFitting(functions=("soar", "gaussian", "exponential"), lengths=(1e6, 2e6, 3e6))
    coarse = thinned(grid, 2)
    found_std, found = fit_structures(errors[..., ::2, ::2], coarse, SCALE, settings)
    assert found == STRUCTURES
    torch.testing.assert_close(found_std, std(grid)[:, ::2], rtol=0.25, atol=0)
    with pytest.raises(UsageError, match="cannot be thinned"):
        thinned(grid, 5)


def test_what_does_not_fit_is_refused():
    _, _, case = case_on(globe())
    with pytest.raises(InputError, match="channels and rows"):
        analyse(SphereLocalInterpolation(std(globe(12, 24)), STRUCTURES), case)
    with pytest.raises(UsageError, match="for each channel"):
        SphereLocalInterpolation(std(globe()), STRUCTURES[:2])
