from dataclasses import replace

import pytest
import torch
from regression_world import ENCODING, FEW, NAMES, network_of, pairs_of, wake

from rtma_diffda.assimilation.regression_network import RegressionNetwork, RegressionTraining, unet_settings
from rtma_diffda.assimilation.simulated_observing import observe
from rtma_diffda.errors import UsageError

BLIND = replace(ENCODING, observations=False)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_untrained_network_is_optimal_interpolation():
    batch = pairs_of(2)
    inputs = ENCODING.of_batch(batch, observe(batch, FEW, generator=seeded()))
    assert torch.equal(network_of()(inputs), inputs.increment)


def test_loss_of_an_untrained_network_is_known():
    """Without observations it is the mean squared error of the background in units of s."""
    batch, network = pairs_of(3), network_of(BLIND)
    loss, figures = network.loss(batch, generator=seeded())
    departure = (batch.truth - batch.background) / BLIND.scale(batch.truth)
    assert float(loss.detach()) == pytest.approx(float(departure.square().mean()), rel=1e-5)
    assert figures["rmse_sp"] == pytest.approx(float(departure[:, 4].square().mean().sqrt()), rel=1e-5)
    assert list(figures) == [f"rmse_{name}" for name in NAMES]


def test_absolute_penalty():
    batch = pairs_of(3)
    loss, _ = network_of(BLIND, penalty="absolute").loss(batch, generator=seeded())
    departure = (batch.truth - batch.background) / BLIND.scale(batch.truth)
    assert float(loss.detach()) == pytest.approx(float(departure.abs().mean()), rel=1e-5)


def test_turning_a_batch_does_not_change_what_nothing_was_learned_from():
    """An untrained network's error is interpolation's, however the batch is turned."""
    batch = pairs_of(2)
    losses = [network_of(orientations=n).loss(batch, generator=seeded(4))[0] for n in (1, 2, 4)]
    assert float(losses[1].detach()) == pytest.approx(float(losses[0].detach()), rel=1e-5)
    assert float(losses[2].detach()) == pytest.approx(float(losses[0].detach()), rel=1e-5)


def test_same_generator_gives_the_same_loss_and_another_another():
    batch, network = pairs_of(2), wake(network_of(orientations=2))
    first, again, other = (float(network.loss(batch, generator=seeded(s))[0].detach()) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("encoding", [ENCODING, BLIND])
def test_gradients_reach_every_parameter(encoding):
    network = wake(network_of(encoding))
    network.loss(pairs_of(2), generator=seeded())[0].backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or float(p.grad.abs().max()) == 0.0]
    assert not idle


def test_half_precision_leaves_the_interpolation_alone():
    """Under autocast the loss of an untrained network, which is all interpolation, stays what it was."""
    batch, network = pairs_of(2), network_of()
    exact = float(network.loss(batch, generator=seeded())[0].detach())
    with torch.autocast("cpu", torch.bfloat16):
        half = float(network.loss(batch, generator=seeded())[0].detach())
    assert half == exact


def test_a_few_pairs_are_learned_by_heart():
    """Three members again and again: the error falls to half of what interpolation leaves."""
    batch, network = pairs_of(3), network_of(observing=replace(FEW, usual_share=1.0))
    optimiser, generator = torch.optim.AdamW(network.parameters(), lr=5e-3), seeded()
    losses = []
    for _ in range(60):
        loss, _ = network.loss(batch, generator=generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="the U-Net's are"):
        RegressionNetwork(ENCODING, unet_settings(BLIND))
    with pytest.raises(UsageError, match="unknown penalty 'cubic'"):
        RegressionTraining(penalty="cubic")
    with pytest.raises(UsageError, match="orientations"):
        RegressionTraining(orientations=5)
