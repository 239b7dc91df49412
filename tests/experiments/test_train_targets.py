"""What a denoiser's training begins with: the weights of an earlier network, as far as they fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from regression_world import ENCODING, FEW, pairs_of

from rtma_diffda.assimilation.denoiser_checkpoint import TrainedDenoiser, denoiser_checkpoint
from rtma_diffda.assimilation.simulated_observing import observe
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.train_targets import DenoiserTarget, Material, NetworkSettings

SMALL = {"widths": (4, 8), "orientations": 1, "hidden": 8, "layers": 1, "spacing": 1.0}


def material(**changes: object) -> Material:
    pairs = pairs_of(4)
    return Material(replace(pairs, large_scale=pairs.truth), (), (), 0, replace(ENCODING, **changes))


def trained_unet(*, large_scale: bool = False):
    torch.manual_seed(1)
    settings = NetworkSettings(backbone="unet", large_scale=large_scale, **SMALL)
    network = DenoiserTarget().network(settings, material())
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    return network, denoiser_checkpoint(TrainedDenoiser(network, ENCODING.background_errors))


def answers(network, *, told: bool) -> torch.Tensor:
    batch = pairs_of(4)
    batch = replace(batch, large_scale=batch.truth) if told else batch
    inputs = network.encoding.of_batch(batch, observe(batch, FEW, generator=torch.Generator().manual_seed(1)))
    noisy = torch.randn(batch.truth.shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return network(noisy, torch.tensor([0.1, 0.5, 2.0, 20.0]), inputs.side_by_side())


@pytest.mark.parametrize("backbone", ["hybrid", "unet"])
def test_begun_with_a_unet_its_answers_are_the_unets_own(backbone):
    """Weights for channels that the earlier network did not have begin at zero, those for what a mesh makes too."""
    unet, start = trained_unet()
    torch.manual_seed(2)
    network = DenoiserTarget().network(NetworkSettings(backbone=backbone, large_scale=True, **SMALL), material())
    DenoiserTarget().begin(network, start)
    for told in (True, False):
        torch.testing.assert_close(answers(network, told=told), answers(unet, told=False), rtol=1e-5, atol=1e-5)


def test_the_mesh_alone_is_trained():
    _, start = trained_unet(large_scale=True)
    network = DenoiserTarget().network(NetworkSettings(trained="mesh", **SMALL), material())
    DenoiserTarget().begin(network, start)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    batch = replace(pairs_of(4), large_scale=pairs_of(4).truth)
    optimiser = torch.optim.SGD([weight for weight in network.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        network.loss(batch, generator=torch.Generator().manual_seed(0))[0].backward()
        optimiser.step()
    changed = {name for name, weight in network.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed and all(name.startswith("network.graph.") for name in changed)


def test_a_checkpoint_that_has_nothing_in_common_is_refused():
    _, start = trained_unet()
    strange = replace(start, weights={"head.weight": torch.from_numpy(np.zeros(3))})
    network = DenoiserTarget().network(NetworkSettings(**SMALL), material())
    with pytest.raises(InputError, match="no weight of the checkpoint"):
        DenoiserTarget().begin(network, strange)


def test_wrong_networks_are_refused():
    with pytest.raises(UsageError, match="the mesh of a hybrid denoiser is told the large scale"):
        DenoiserTarget().network(NetworkSettings(large_scale=False, **SMALL), material())
    with pytest.raises(UsageError, match=r"network\.backbone is 'meshless'; it may be hybrid, graph, unet"):
        NetworkSettings(backbone="meshless")
    with pytest.raises(UsageError, match=r"network\.trained is 'mesh'; it may be all, or mesh of a hybrid"):
        NetworkSettings(backbone="unet", trained="mesh")
