"""Global denoisers in files: the same bits again; forecast models' weights, ours and published, without reshaping."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from global_denoising import FEW, LEADS, TIME, land_of, statistics_of
from global_world import small_globe

from rtma_diffda.assimilation.global_formulation import DIFFDA, FORMULATIONS
from rtma_diffda.assimilation.graphcast_denoiser import GraphCastDenoiser
from rtma_diffda.assimilation.graphcast_denoiser_checkpoint import (
    TrainedGraphCastDenoiser,
    begun_with_forecast,
    graphcast_denoiser_checkpoint,
    graphcast_denoiser_from_checkpoint,
)
from rtma_diffda.assimilation.residual_scale import ResidualScale
from rtma_diffda.assimilation.sphere_covariance import SphereCovariance
from rtma_diffda.assimilation.spread_calibration import SpreadCalibration
from rtma_diffda.backbones.graphcast.backbone import GraphCastBackbone
from rtma_diffda.backbones.graphcast.deepmind import from_deepmind, to_deepmind
from rtma_diffda.backbones.graphcast.settings import GraphCastSettings
from rtma_diffda.backbones.graphcast.task import TASKS
from rtma_diffda.errors import InputError
from rtma_diffda.fields.state import State
from rtma_diffda.forecast.graphcast_network import GraphCastForecastNetwork
from rtma_diffda.io.checkpoint import read_checkpoint, write_checkpoint

SETTINGS = GraphCastSettings(mesh_size=1, latent_size=8, message_steps=2)


def denoiser_of(task=FEW, formulation="improved") -> GraphCastDenoiser:
    torch.manual_seed(0)
    statistics = statistics_of(task)
    channels = len(task.prognostic)
    scale = ResidualScale((6.0, 48.0), torch.linspace(0.5, 2.0, 2 * channels).view(2, channels))
    backbone = GraphCastBackbone(SETTINGS, task, small_globe())
    return GraphCastDenoiser(backbone, statistics, scale, formulation=FORMULATIONS[formulation])


def covariance_of(denoiser) -> SphereCovariance:
    channels, (ny, nx) = len(denoiser.layout.channels), denoiser.layout.grid.shape
    spectrum = torch.eye(ny, dtype=torch.float64).expand(channels, nx // 2 + 1, ny, ny).clone()
    scale = denoiser.scale.of(LEADS[0]).flatten().double()
    return SphereCovariance(spectrum, torch.eye(channels, dtype=torch.float64), scale, nx)


def answer_of(denoiser) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (2, *denoiser.layout.shape)
    background = State(torch.randn(shape, generator=generator), denoiser.layout, TIME)
    context = denoiser.context_of(background, land_of(denoiser.layout.grid), lead=LEADS[1])
    with torch.no_grad():
        return denoiser(torch.randn(shape, generator=generator), torch.tensor([0.3, 8.0]), context)


@pytest.mark.parametrize("formulation", ["improved", "diffda"])
def test_a_checkpoint_gives_the_same_bits_again(formulation, tmp_path):
    denoiser = denoiser_of(formulation=formulation)
    calibrations = {"default": SpreadCalibration({"z500": 1.25})}
    trained = TrainedGraphCastDenoiser(denoiser, {6.0: covariance_of(denoiser)}, calibrations)
    stored = graphcast_denoiser_checkpoint(trained, card="# A card", provenance={"seed": 3})
    found = read_checkpoint(write_checkpoint(tmp_path / "c", stored, created="2022-01-01T00:00:00Z"))
    again = graphcast_denoiser_from_checkpoint(found)
    assert torch.equal(answer_of(again.denoiser), answer_of(denoiser))
    assert again.denoiser.formulation == denoiser.formulation and again.denoiser.layout == denoiser.layout
    assert again.calibrations == calibrations and found.provenance == {"seed": 3}
    torch.testing.assert_close(again.covariance(LEADS[1]).spectrum, trained.covariances[6.0].spectrum)


def test_the_covariance_is_that_of_the_nearest_lead_time_with_residuals_of_this_ones_size():
    denoiser = denoiser_of()
    both = {6.0: covariance_of(denoiser), 48.0: covariance_of(denoiser)}
    trained = TrainedGraphCastDenoiser(denoiser, both)
    for hours, nearest in ((6, 6.0), (12, 6.0), (36, 48.0)):
        lead = np.timedelta64(hours, "h")
        found = trained.covariance(lead)
        assert found.spectrum is both[nearest].spectrum
        torch.testing.assert_close(found.scale, denoiser.scale.of(lead).flatten().double())
    with pytest.raises(InputError, match="has no covariance of residuals"):
        TrainedGraphCastDenoiser(denoiser).covariance(LEADS[0])


def test_other_and_damaged_checkpoints_are_refused():
    stored = graphcast_denoiser_checkpoint(TrainedGraphCastDenoiser(denoiser_of()))
    with pytest.raises(InputError, match="is of architecture 'denoiser', expected 'graphcast_denoiser'"):
        graphcast_denoiser_from_checkpoint(replace(stored, config={"architecture": "denoiser"}))
    with pytest.raises(InputError, match="config of the graphcast_denoiser checkpoint is not understood"):
        graphcast_denoiser_from_checkpoint(replace(stored, config={"architecture": "graphcast_denoiser"}))


def test_a_denoiser_begins_with_the_weights_of_a_forecast_model():
    """``diffda.md`` §3: no weight surgery, of ours or of published weights, at the operational task's 181 channels."""
    task = TASKS["GraphCast_operational"]
    denoiser = denoiser_of(task)
    torch.manual_seed(5)
    forecast = GraphCastForecastNetwork(denoiser.backbone, statistics_of(task), land_of(denoiser.layout.grid))
    begun_with_forecast(denoiser, forecast.state_dict())
    assert torch.equal(denoiser.network.grid_embedder.first.weight, forecast.network.grid_embedder.first.weight)
    published = to_deepmind(forecast.network.state_dict(), SETTINGS)
    embedder = "grid2mesh_gnn/~_networks_builder/encoder_nodes_grid_nodes_mlp/~/linear_0"
    assert published[embedder, "w"].shape[0] == 181 + 3
    other = denoiser_of(task)
    begun_with_forecast(other, from_deepmind(published, SETTINGS))
    assert torch.equal(answer_of(other), answer_of(denoiser))
    with pytest.raises(InputError, match="checkpoint does not fit GraphCastNetwork"):
        begun_with_forecast(denoiser_of(FEW), forecast.state_dict())


def test_the_statistics_kept_are_enough_for_the_published_formulation():
    denoiser = denoiser_of(formulation="diffda")
    again = graphcast_denoiser_from_checkpoint(graphcast_denoiser_checkpoint(TrainedGraphCastDenoiser(denoiser)))
    assert again.denoiser.formulation == DIFFDA
    assert dict(again.denoiser.statistics.mean) == dict(denoiser.statistics.mean)
