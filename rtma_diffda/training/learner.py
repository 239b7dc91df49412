"""``Learner``: a model with everything that an update changes: optimiser, gradient, moving average, best weights."""

import torch
from torch import Tensor

from rtma_diffda.errors import InputError
from rtma_diffda.training.gradient import FlatGradient
from rtma_diffda.training.moving_average import MovingAverage, decay_at
from rtma_diffda.training.settings import TrainingSettings

FIGURES = ("loss", "stop", "seconds", "cpu_seconds")
"""What travels with the gradient, summed over processes."""


class Learner:
    """A model in training.

    Attributes:
        model: the network; its weights are those of the latest update.
        gradient: of the present batch.
        average: the moving average of the weights.
        best: the model's state at the best validation so far, with averaged weights; empty before the first.
    """

    def __init__(self, model: torch.nn.Module, settings: TrainingSettings) -> None:
        self.model = model
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.gradient = FlatGradient(weights, figures=len(FIGURES))
        self.average = MovingAverage(model)
        self.best: dict[str, Tensor] = {}
        self._settings = settings
        decayed = [weight for weight in weights if weight.ndim >= 2]
        others = [weight for weight in weights if weight.ndim < 2]
        groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        self._optimiser = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def update(self, learning_rate: float, *, norm: float, number: int) -> None:
        """Change the weights along the gradient, of length ``norm``, as update ``number`` = 1, 2, …"""
        if self._settings.clip_value is None:
            self.gradient.clip(norm, self._settings.clip_norm)
        else:
            self.gradient.cut(self._settings.clip_value)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate
        self._optimiser.step()
        half_life, ramp = self._settings.average_half_life, self._settings.average_ramp
        self.average.update(decay_at(number, half_life=half_life, ramp=ramp))

    def keep_best(self) -> None:
        """Remember the averaged weights as the best ones."""
        with self.average.applied():
            self.best = {name: values.detach().clone() for name, values in self.model.state_dict().items()}

    def take_best(self) -> dict[str, Tensor]:
        """Give the model its best weights, or the averaged ones if none were judged; returns the model's state."""
        if not self.best:
            self.keep_best()
        _copy(self.model.state_dict(), self.best)
        return dict(self.best)

    def tensors(self) -> dict[str, Tensor]:
        """Everything, by names of two parts: model, average, best, optimiser."""
        parts = {"model": self.model.state_dict(), "average": self.average.values, "best": self.best}
        found = {f"{part}/{name}": values for part, named in parts.items() for name, values in named.items()}
        for index, moments in self._optimiser.state_dict()["state"].items():
            found |= {f"optimiser/{index}/{name}": values for name, values in moments.items()}
        return found

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what ``tensors`` gave.

        Raises:
            InputError: they belong to another model.
        """
        _copy(self.model.state_dict(), _part(tensors, "model"))
        _copy(self.average.values, _part(tensors, "average"))
        device = next(iter(self.average.values.values())).device
        self.best = {name: values.to(device) for name, values in _part(tensors, "best").items()}
        self._restore_optimiser(_part(tensors, "optimiser"))

    def _restore_optimiser(self, moments: dict[str, Tensor]) -> None:
        weights = [weight for group in self._optimiser.param_groups for weight in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, values in moments.items():
            index, moment = name.split("/")
            weight = weights[int(index)]
            same = values.shape == weight.shape and weight.ndim > 0  # as the weight lies in memory (channels last)
            state.setdefault(int(index), {})[moment] = torch.empty_like(weight).copy_(values) if same else values
        self._optimiser.load_state_dict({"state": state, "param_groups": self._optimiser.state_dict()["param_groups"]})


def _part(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}/"): v for name, v in tensors.items() if name.startswith(f"{part}/")}


@torch.no_grad()
def _copy(target: dict[str, Tensor], source: dict[str, Tensor]) -> None:
    """Fill the tensors of ``target`` in place."""
    expected = {name: tuple(values.shape) for name, values in target.items()}
    found = {name: tuple(values.shape) for name, values in source.items()}
    differing = [name for name in expected | found if expected.get(name) != found.get(name)]
    if differing:
        name = differing[0]
        raise InputError(
            f"the stored training is of another model: weight '{name}' has shape {found.get(name, 'none')} there and "
            f"{expected.get(name, 'none')} in this model ({len(differing)} weights differ)"
        )
    for name, values in source.items():
        target[name].copy_(values)
