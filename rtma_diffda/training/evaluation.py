"""The loss on some members of the data, and its mean over all validation members."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rtma_diffda.errors import UsageError
from rtma_diffda.training.batches import VALIDATION, Batches, derived_seed
from rtma_diffda.training.distributed import Processes
from rtma_diffda.training.settings import TrainingSettings


@dataclass(frozen=True)
class LossPass:
    """The loss of a model on chosen members, with random draws from one seed alone.

    The generator that draws lives on the CPU, so that the draws are the same on every device. Layers that know no
    generator (dropout) draw from torch's global one, which is seeded for them.

    Attributes:
        model: a module with a ``loss`` (see ``interfaces.Trainable``).
        settings: for the precision, and the size of a part.
        processes: where to compute, and with whom.
    """

    model: torch.nn.Module
    settings: TrainingSettings
    processes: Processes

    def prepare(self, data: Batches, members: np.ndarray, *, seed: int) -> Any:
        """The batch of ``members`` (m,) with what is drawn for it (``interfaces.PreparedTrainable``), on the CPU."""
        batch = data.select(members)
        if not hasattr(self.model, "prepare"):
            return batch
        return self.model.prepare(batch, generator=torch.Generator().manual_seed(seed))

    def __call__(self, prepared: Any, *, seed: int) -> tuple[Tensor, Mapping[str, float]]:
        """The loss (0-d) and the model's figures on what was prepared with the same seed.

        Raises:
            UsageError: the loss is not one number.
        """
        torch.manual_seed(seed)
        device = self.processes.device
        there = prepared.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.settings.bfloat16):
            if hasattr(self.model, "prepared_loss"):
                loss, figures = self.model.prepared_loss(there)
            else:
                loss, figures = self.model.loss(there, generator=torch.Generator().manual_seed(seed))
        if loss.ndim:
            raise UsageError(f"loss of {type(self.model).__name__} has shape {tuple(loss.shape)}, expected one number")
        return loss, figures

    @torch.no_grad()
    def validate(self, data: Batches) -> dict[str, float]:
        """Mean over all members of the loss (under the name ``loss``) and of the model's figures.

        Every validation draws the same random numbers, so that validations differ by the weights alone. Processes
        share the batches; the result does not depend on how many processes there are.
        """
        batches = np.array_split(np.arange(len(data)), -(-len(data) // self.settings.part_size))
        rows = {}
        self.model.eval()
        for i in list(self.processes.share(len(batches))) or [0]:
            seed = derived_seed(self.settings.seed, VALIDATION, i)
            loss, figures = self(self.prepare(data, batches[i], seed=seed), seed=seed)
            rows[i] = {name: float(value) for name, value in {**figures, "loss": loss}.items()}
        self.model.train()
        names = sorted(next(iter(rows.values())))
        return dict(zip(names, self._member_mean(rows, names, batches), strict=True))

    def _member_mean(self, rows: Mapping[int, Mapping[str, float]], names: list[str], batches: list) -> list[float]:
        table = torch.zeros(len(batches), len(names), dtype=torch.float64, device=self.processes.device)
        for i in self.processes.share(len(batches)):
            table[i] = torch.tensor([rows[i][name] for name in names], dtype=torch.float64)
        self.processes.add(table)
        sizes = torch.tensor([len(batch) for batch in batches], dtype=torch.float64, device=table.device)
        return (sizes @ table / sizes.sum()).tolist()
