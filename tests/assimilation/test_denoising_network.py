from dataclasses import replace

import pytest
import torch
from regression_world import ENCODING, FEW, GRID, NAMES, pairs_of

from rtma_diffda.assimilation.denoising_network import (
    DenoisingNetwork,
    DenoisingTraining,
    denoiser_channels,
    denoiser_settings,
)
from rtma_diffda.assimilation.network_inputs import NetworkInputs
from rtma_diffda.assimilation.simulated_observing import observe
from rtma_diffda.backbones.limited_area.backbone import LimitedAreaBackbone
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.backbones.limited_area.settings import LimitedAreaSettings
from rtma_diffda.errors import UsageError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def denoiser(*, awake: bool = False, **training: object) -> DenoisingNetwork:
    torch.manual_seed(0)
    settings = DenoisingTraining(**{"observing": FEW, **training})
    network = DenoisingNetwork(ENCODING, denoiser_settings(ENCODING, (8, 16)), settings)
    if awake:
        torch.nn.init.normal_(network.network.head.weight, std=0.05, generator=seeded(5))
        for name, weight in network.named_parameters():
            if "film" in name:
                torch.nn.init.normal_(weight, std=0.1, generator=seeded(6))
    return network


def inputs_of(members: int = 3, *, none_share: float = 0.0) -> tuple[NetworkInputs, torch.Tensor]:
    batch = pairs_of(members)
    inputs = ENCODING.of_batch(batch, observe(batch, replace(FEW, none_share=none_share), generator=seeded()))
    return inputs, (batch.truth - batch.background) / ENCODING.scale(batch.truth)


@pytest.mark.parametrize("none_share", [0.0, 1.0])
def test_untrained_denoiser_knows_the_limits(none_share):
    """Pure noise gives optimal interpolation's increment (0 without data); no noise gives what it was given."""
    inputs, clean = inputs_of(none_share=none_share)
    context, network = inputs.side_by_side(), denoiser()
    noise = torch.randn(clean.shape, generator=seeded(1))
    pure, none = (network(clean + s * noise, torch.full((3,), s), context) for s in (1e4, 1e-4))
    torch.testing.assert_close(pure, inputs.increment, rtol=0, atol=2e-3)
    torch.testing.assert_close(none, clean, rtol=0, atol=2e-3)


def test_untrained_loss_of_a_gaussian_of_unit_spread_is_about_one():
    """Without data, c_skip is made for s = √(1 + ¼²); pairs whose error has unit spread then lose about 1."""
    network = denoiser(prior_share=1.0)
    losses = [float(network.loss(pairs_of(8, seed=s), generator=seeded(s))[0].detach()) for s in range(6)]
    assert 0.6 < sum(losses) / 6 < 1.4


def test_half_of_the_members_are_shown_no_observation():
    network, batch = denoiser(prior_share=0.5), pairs_of(32)
    inputs = network.prepare(batch, generator=seeded(3)).inputs
    shown = inputs.observed.flatten(1).abs().amax(dim=1) > 0
    assert 8 <= int(shown.sum()) <= 24
    assert torch.equal(inputs.increment[~shown], torch.zeros_like(inputs.increment[~shown]))


def test_same_generator_gives_the_same_loss_and_another_another():
    network, batch = denoiser(awake=True, orientations=2), pairs_of(2)
    first, again, other = (float(network.loss(batch, generator=seeded(s))[0].detach()) for s in (1, 1, 2))
    assert first == again != other


def test_gradients_reach_every_parameter():
    network = denoiser(awake=True)
    network.loss(pairs_of(3), generator=seeded())[0].backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or float(p.grad.abs().max()) == 0.0]
    assert not idle


def test_members_do_not_influence_each_other():
    inputs, clean = inputs_of(3)
    network, context, sigma = denoiser(awake=True), inputs.side_by_side(), torch.tensor([0.1, 1.0, 10.0])
    together = network(clean, sigma, context)
    alone = torch.cat([network(clean[i : i + 1], sigma[i : i + 1], context[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_figures_and_settings():
    loss, figures = denoiser().loss(pairs_of(2), generator=seeded())
    assert list(figures) == [f"loss_{name}" for name in NAMES]
    assert float(loss.detach()) == pytest.approx(sum(figures.values()) / len(figures), rel=1e-5)
    with pytest.raises(UsageError, match="channels with a noise level"):
        DenoisingNetwork(ENCODING, replace(denoiser_settings(ENCODING, (8,)), noise_level=False))
    with pytest.raises(UsageError, match="prior_share"):
        DenoisingTraining(prior_share=1.5)


def test_members_that_are_not_told_the_large_scale():
    told = replace(ENCODING, large_scale=True)
    settings = DenoisingTraining(observing=FEW, without_large_scale=0.5)
    network = DenoisingNetwork(told, denoiser_settings(told, (8, 16)), settings)
    batch = pairs_of(32)
    inputs = network.prepare(replace(batch, large_scale=batch.truth), generator=seeded(3)).inputs
    known = inputs.large_scale[:, -1, 0, 0]
    assert set(known.tolist()) == {0.0, 1.0} and 8 <= int(known.sum()) <= 24
    assert (
        not inputs.large_scale[known == 0].any() and inputs.large_scale[known == 1][:, :-1].flatten(1).any(dim=1).all()
    )
    with pytest.raises(UsageError, match="without_large_scale must be 0 … 1"):
        DenoisingTraining(without_large_scale=1.5)


def test_a_hybrid_hears_the_large_scale_through_its_mesh_alone():
    told = replace(ENCODING, large_scale=True)
    shape = LimitedAreaSettings(
        *denoiser_channels(told), mesh="flat", hidden=8, processor_layers=1, noise_level=True, convolutions=(4, 8),
        mesh_channels=told.large_scale_count,
    )  # fmt: skip
    torch.manual_seed(0)
    backbone = LimitedAreaBackbone(shape, MeshDesign("multiscale", 1.0, 2, 2), GRID)
    hybrid = DenoisingNetwork(told, backbone)
    bare = DenoisingNetwork(told, replace(backbone, settings=replace(shape, meshed=False)))
    with torch.no_grad():
        for weight in hybrid.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=seeded(1)))
    bare.load_state_dict({name: hybrid.state_dict()[name] for name in bare.state_dict()})
    batch = pairs_of(2)
    reports = observe(batch, FEW, generator=seeded())
    noisy, sigma = torch.randn(batch.truth.shape, generator=seeded(2)), torch.tensor([0.3, 4.0])
    untold, heard = (told.of_batch(b, reports).side_by_side() for b in (batch, replace(batch, large_scale=batch.truth)))
    with torch.no_grad():
        assert torch.equal(bare(noisy, sigma, heard), bare(noisy, sigma, untold))
        assert float((hybrid(noisy, sigma, heard) - hybrid(noisy, sigma, untold)).abs().amax()) > 1e-3
