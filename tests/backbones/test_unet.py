from dataclasses import replace

import pytest
import torch

from rtma_diffda.backbones.unet import UNet, UNetSettings
from rtma_diffda.errors import UsageError

SMALL = UNetSettings(3, 2, widths=(8, 16), groups=2)


def awake(settings: UNetSettings, seed: int = 0) -> UNet:
    """A network whose zero-initialised layers are not zero any more."""
    torch.manual_seed(seed)
    network = UNet(settings)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def fields(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("noise_level", [False, True])
def test_untrained_network_returns_nought(noise_level):
    network = UNet(replace(SMALL, noise_level=noise_level))
    sigma = torch.tensor([0.1, 30.0]) if noise_level else None
    assert torch.equal(network(fields(2, 3, 16, 16), sigma), torch.zeros(2, 2, 16, 16))


@pytest.mark.parametrize("size", [(16, 16), (13, 15), (5, 22), (2, 3)])
def test_any_size_comes_back(size):
    answer = awake(SMALL)(fields(1, 3, *size))
    assert answer.shape == (1, 2, *size)
    assert bool(torch.isfinite(answer).all())


def test_padding_is_the_reflection():
    """Rows 13 … 15 of a field of 13 are rows 11, 10, 9: a field continued by hand gives the same answer."""
    network, given = awake(SMALL), fields(1, 3, 13, 16)
    by_hand = torch.cat([given, given[:, :, [11, 10, 9]]], dim=2)
    torch.testing.assert_close(network(given), network(by_hand)[:, :, :13])


def test_members_do_not_influence_each_other():
    network, given = awake(SMALL), fields(3, 3, 16, 16)
    changed = given.clone()
    changed[1] += 5.0
    torch.testing.assert_close(network(given)[[0, 2]], network(changed)[[0, 2]])


def test_gradients_reach_every_parameter():
    network = awake(replace(SMALL, noise_level=True, blocks=2))
    network(fields(2, 3, 16, 16), torch.tensor([0.5, 3.0])).square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or float(p.grad.abs().max()) == 0.0]
    assert not idle


def test_noise_level_matters_once_trained_and_not_before():
    settings, given = replace(SMALL, noise_level=True), fields(1, 3, 16, 16)
    torch.manual_seed(0)
    network = UNet(settings)
    torch.nn.init.normal_(network.head.weight)  # an output, but scale and shift still at their start
    low, high = (network(given, torch.tensor([sigma])) for sigma in (0.1, 10.0))
    assert float(low.detach().abs().max()) > 0
    assert torch.equal(low, high)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network(given, torch.tensor([0.1])).square().mean().backward()
    optimiser.step()
    assert not torch.allclose(network(given, torch.tensor([0.1])), network(given, torch.tensor([10.0])))


def test_recomputing_changes_memory_and_not_gradients():
    given, gradients = fields(2, 3, 16, 16), []
    for recompute in (False, True):
        network = awake(replace(SMALL, recompute=recompute))
        network(given).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    torch.testing.assert_close(*gradients)


def test_memory_order_does_not_change_the_answer():
    given = fields(2, 3, 16, 16)
    network, other = awake(SMALL), UNet(replace(SMALL, channels_last=False))
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(given), other(given), rtol=1e-4, atol=1e-5)


def test_moving_a_field_by_the_stride_moves_the_answer():
    """Far from the edge all places are alike; norms, which look at the whole field, see a little of the edge."""
    given, network = fields(1, 3, 64, 64), awake(replace(SMALL, widths=(8,)))
    with torch.no_grad():
        answer, moved = network(given), network(given.roll((2, 2), dims=(2, 3)))
    difference = answer[..., 16:40, 16:40] - moved[..., 18:42, 18:42]
    assert float(difference.std()) < 0.05 * float(answer.std())


def test_default_settings_fit_a_small_checkpoint():
    count = sum(p.numel() for p in UNet(UNetSettings(33, 5)).parameters())
    assert 2 * count <= 8 * 2**20, "float16 weights of at most 8 MiB"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"widths": (8, 11)}, "2 groups"), ({"widths": ()}, "positive"), ({"patch": 0}, "positive")],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        replace(SMALL, **change)


def test_wrong_inputs_are_refused():
    with pytest.raises(UsageError, match=r"takes \(member, 3, y, x\); found \(1, 4, 8, 8\)"):
        UNet(SMALL)(fields(1, 4, 8, 8))
    with pytest.raises(UsageError, match="takes no noise level"):
        UNet(SMALL)(fields(1, 3, 8, 8), torch.ones(1))
    with pytest.raises(UsageError, match="is told a noise level; found none"):
        UNet(replace(SMALL, noise_level=True))(fields(1, 3, 8, 8))
