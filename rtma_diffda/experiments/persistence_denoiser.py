"""A denoiser trained on a few weeks of real hourly fields, for the methods that draw their ensembles with it.

Hours of one day are near duplicates, and the geography is always the same: neither turned fields nor other terrain may
be added. What is drawn anew for every batch are the networks of stations, the noise, and its levels. Training ends when
the loss on days that it does not see has not improved for a while, and the weights of the best validation are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rtma_diffda.assimilation.denoising_network import DenoisingNetwork, DenoisingTraining, denoiser_settings
from rtma_diffda.assimilation.network_inputs import InputEncoding
from rtma_diffda.assimilation.simulated_observing import Observing
from rtma_diffda.assimilation.truth_tuning import TruthTuned
from rtma_diffda.fields.pairs import Pairs
from rtma_diffda.observations.simulated_errors import ERROR_STD
from rtma_diffda.training.loop import train
from rtma_diffda.training.result import TrainingResult
from rtma_diffda.training.settings import TrainingSettings


@dataclass(frozen=True)
class DenoiserSettings:
    """Size and training of the denoiser; names and meanings as in ``conf/experiment/era5_uk.yaml``."""

    widths: tuple[int, ...] = (32, 64)
    patch: int = 2
    updates: int = 3000
    batch_size: int = 8
    learning_rate: float = 1e-3
    validate_every: int = 100
    patience: int = 6

    def training(self, *, seed: int, progress: bool) -> TrainingSettings:
        """What the loop is told."""
        return TrainingSettings(
            updates=self.updates,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warm_up_updates=min(100, self.updates // 8),
            weight_decay=0.02,
            average_half_life=150.0,
            validate_every=min(self.validate_every, self.updates),
            save_every=min(self.validate_every, self.updates),
            patience=self.patience,
            seed=seed,
            show_progress=progress,
        )


def persistence_denoiser(
    pairs: Pairs,
    tuned: Mapping[str, TruthTuned],
    settings: DenoiserSettings,
    *,
    stations: Sequence[int],
    seed: int,
) -> DenoisingNetwork:
    """The network before training.

    Args:
        pairs: of training days.
        tuned: B and R of the interpolation among its inputs.
        settings: size.
        stations: numbers of stations that it will meet.
        seed: of the initial weights.
    """
    departures = (pairs.truth - pairs.background).double()
    scales = departures.square().mean(dim=(0, 2, 3)).sqrt().tolist()
    encoding = InputEncoding(
        dict(zip(pairs.layout.names, scales, strict=True)),
        {name: found.background_error for name, found in tuned.items()},
        {name: found.observation_error_factor for name, found in tuned.items()},
        spacing=pairs.layout.grid.dx,
    )
    error_std = {name: ERROR_STD[name] for name in pairs.layout.names}
    observing = Observing(max(1, min(stations) // 2), round(1.5 * max(stations)), error_std)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layers draw their initial weights from torch's own generator
        unet = denoiser_settings(encoding, settings.widths, patch=settings.patch)
        return DenoisingNetwork(encoding, unet, DenoisingTraining(observing))


def train_denoiser(
    network: DenoisingNetwork, pairs: Pairs, validation: Pairs, training: TrainingSettings, *, directory: Path
) -> TrainingResult:
    """Train in place; the same call goes on with a training that was interrupted.

    Raises:
        TrainingInterrupted: asked to end early; the state is saved.
    """
    result = train(network, pairs, validation=validation, settings=training, directory=directory)
    network.eval()
    return result
