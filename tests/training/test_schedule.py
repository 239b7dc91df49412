"""Learning rates, decays, order and gradients against values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from toy_learning import quick

from rtma_diffda.errors import UsageError
from rtma_diffda.training.batches import derived_seed, members_of_update
from rtma_diffda.training.gradient import FlatGradient
from rtma_diffda.training.learner import Learner
from rtma_diffda.training.moving_average import MovingAverage, decay_at
from rtma_diffda.training.progress import Progress
from rtma_diffda.training.result import TrainingResult
from rtma_diffda.training.schedule import learning_rate
from rtma_diffda.training.settings import TrainingSettings

SETTINGS = TrainingSettings(updates=100, batch_size=4, learning_rate=2.0, warm_up_updates=10, final_fraction=0.1)


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (0, 2.0 / 10),
        (4, 2.0 * 5 / 10 * (0.1 + 0.9 * (1 + math.cos(0.04 * math.pi)) / 2)),
        (50, 2.0 * (0.1 + 0.9 / 2)),
        (100, 2.0 * 0.1),
    ],
)
def test_warm_up_and_cosine(update, expected):
    assert learning_rate(Progress(update), SETTINGS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("update", "expected"),
    [(0, 1e-5), (1825, 5.5e-5), (3650, 1e-4), (10950, 3e-6 + 0.97e-4 / 2), (18250, 3e-6), (21899, 3e-6)],
)
def test_diffdas_schedule_of_warm_up_cosine_and_constant_rate(update, expected):
    """1e-5 → 1e-4 over a sixth of all updates, a cosine to 3e-6 at five sixths, then constant (diffda.md §5)."""
    shape = {"warm_up_updates": 3650, "warm_up_from": 0.1, "decay_until": 5 / 6, "final_fraction": 0.03}
    settings = quick(updates=21900, learning_rate=1e-4, **shape)
    assert learning_rate(Progress(update), settings) == pytest.approx(expected, rel=1e-6)


def test_the_cosine_follows_the_budget_that_is_used_up_most():
    settings = quick(updates=100, max_seconds=60.0, max_cpu_seconds=100.0, learning_rate=2.0, final_fraction=0.0)
    half_over = Progress(10, seconds=30.0, cpu_seconds=10.0)
    assert learning_rate(half_over, settings) == pytest.approx(1.0)
    assert learning_rate(Progress(10, cpu_seconds=100.0), settings) == pytest.approx(0.0)
    assert learning_rate(Progress(10, seconds=70.0), settings) == pytest.approx(0.0)


def test_half_of_the_beginning_is_forgotten_after_a_half_life():
    decays = [decay_at(update, half_life=7.0, ramp=1e9) for update in range(1, 8)]
    assert math.prod(decays) == pytest.approx(0.5)
    assert decay_at(100, half_life=7.0, ramp=0.05) == pytest.approx(0.5 ** (1 / 5))


def test_the_average_of_a_constant_weight():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = MovingAverage(model)
    nn.init.ones_(model.weight)
    for expected in (0.5, 0.75, 0.875):
        average.update(0.5)
        assert float(average.values["weight"]) == expected
    with pytest.raises(ValueError, match="inside"), average.applied():
        assert model.weight.item() == 0.875
        raise ValueError("inside")
    assert model.weight.item() == 1.0


def test_a_long_gradient_is_shortened_and_a_short_one_is_not():
    weights = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(2, 2))]
    gradient = FlatGradient(weights, figures=1)
    (3 * weights[0].sum() + 4 * weights[1][0, 0]).backward()
    assert gradient.norm() == 5.0 and gradient.vector.tolist() == [3, 4, 0, 0, 0, 0]
    gradient.figures.fill_(9)
    gradient.clip(5.0, 10.0)
    assert weights[0].grad.item() == 3
    gradient.clip(5.0, 1.0)
    torch.testing.assert_close(weights[1].grad, torch.tensor([[0.8, 0.0], [0.0, 0.0]]))
    assert gradient.norm() == pytest.approx(1.0) and gradient.figures.item() == 9
    gradient.clear()
    assert gradient.norm() == 0 and gradient.figures.item() == 0


def test_elements_of_a_gradient_are_cut_one_by_one():
    weights = [nn.Parameter(torch.zeros(3))]
    gradient = FlatGradient(weights, figures=1)
    (weights[0] * torch.tensor([0.2, 0.7, -3.0])).sum().backward()
    gradient.figures.fill_(9)
    gradient.cut(0.5)
    torch.testing.assert_close(weights[0].grad, torch.tensor([0.2, 0.5, -0.5]))
    assert gradient.figures.item() == 9


@pytest.mark.parametrize(("clip_value", "expected"), [(None, [-0.6, -0.8]), (0.5, [-0.5, -0.5])])
def test_a_learner_shortens_the_gradient_or_cuts_its_elements(clip_value, expected):
    model = nn.Linear(2, 1, bias=False)
    learner = Learner(model, quick(clip_norm=1.0, clip_value=clip_value))
    learner.gradient.clear()
    model(torch.tensor([[3.0, 4.0]])).neg().sum().backward()
    learner.update(0.0, norm=5.0, number=1)
    torch.testing.assert_close(model.weight.grad[0], torch.tensor(expected))


def test_gradients_lie_in_memory_as_their_weights_do():
    kernel = nn.Parameter(torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last))
    gradient = FlatGradient([kernel], figures=0)
    (kernel**2).sum().backward()
    assert kernel.grad.stride() == kernel.stride()
    torch.testing.assert_close(kernel.grad, 2 * kernel.detach())
    assert gradient.norm() == pytest.approx(2 * kernel.detach().norm().item())


def test_weights_to_be_trained_are_of_one_kind():
    with pytest.raises(UsageError, match="one dtype"):
        FlatGradient([torch.zeros(2), torch.zeros(2, dtype=torch.float64)], figures=0)
    with pytest.raises(UsageError, match="require gradients"):
        FlatGradient([], figures=0)


def test_every_epoch_has_every_member_once_in_another_order():
    settings = quick(batch_size=4, parts=2)
    epochs = [
        np.concatenate([members_of_update(update, 22, settings).ravel() for update in range(5 * e, 5 * e + 5)])
        for e in range(2)
    ]
    assert [len(set(epoch.tolist())) for epoch in epochs] == [20, 20] and (epochs[0] != epochs[1]).any()
    assert (members_of_update(7, 22, settings) == members_of_update(7, 22, settings)).all()
    assert (members_of_update(7, 22, settings) != members_of_update(7, 22, quick(batch_size=4, parts=2, seed=1))).any()
    whole = members_of_update(3, 22, quick(batch_size=4, parts=1))
    assert whole.shape == (1, 4) and (members_of_update(3, 22, settings).ravel() == whole.ravel()).all()


def test_seeds_differ_and_do_not_change():
    seeds = {derived_seed(seed, purpose, update) for seed in range(3) for purpose in range(3) for update in range(50)}
    assert len(seeds) == 450 and max(seeds) < 2**63
    assert derived_seed(0, 2, 17, 1) == 4930039864396778542


def test_progress_remembers_the_best_validation():
    progress = Progress(10).after_validation(2.0)
    worse = progress.after_update(made=False, seconds=1.0, cpu_seconds=2.0).after_validation(3.0)
    assert (worse.best_loss, worse.best_update, worse.last_loss, worse.since_best) == (2.0, 10, 3.0, 1)
    assert (worse.skipped, worse.failures) == (1, 1)
    assert worse.after_update(made=True, seconds=1.0, cpu_seconds=2.0).failures == 0
    assert worse.after_validation(float("nan")).best_loss == 2.0
    assert worse.after_validation(1.0).since_best == 0
    assert worse.stop_reason(quick(patience=1)) == "no new best in 1 validations"
    assert worse.stop_reason(quick()) is None


@pytest.mark.parametrize(("last", "rise", "overfitted"), [(2.02, 0.01, False), (2.2, 0.1, True), (1.0, -0.5, False)])
def test_a_rise_of_validation_is_measured(tmp_path, last, rise, overfitted):
    result = TrainingResult({}, Progress(20, best_loss=2.0, last_loss=last), "", SETTINGS, tmp_path)
    assert result.validation_rise == pytest.approx(rise) and result.overfitted is overfitted


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"updates": 0}, "updates is 0, expected 1 or more"),
        ({"parts": 3}, "8 members cannot be worked through in 3 equal parts"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0, expected more than 0"),
        ({"final_fraction": 2.0}, "final_fraction is 2.0"),
        ({"max_seconds": 0.0}, "max_seconds is 0.0"),
        ({"seed": -1}, "seed is -1"),
        ({"decay_until": 1.5}, "decay_until is 1.5, expected 0 … 1"),
        ({"clip_value": 0.0}, "clip_value is 0.0, expected more than 0"),
    ],
)
def test_impossible_settings_are_refused(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        quick(**changes)


def test_a_training_from_before_an_option_existed_goes_on():
    facts = SETTINGS.facts()
    assert not {"clip_value", "decay_until", "warm_up_from"} & facts.keys()
    assert quick(clip_value=0.5).facts()["clip_value"] == 0.5


def test_settings_without_effect_on_the_result_may_change():
    SETTINGS.require_same(quick(**SETTINGS.facts() | {"betas": (0.9, 0.99), "save_every": 7}).facts(), "here")
    with pytest.raises(UsageError, match=r"here holds a training with other settings \(seed was 4 and is 0\)"):
        SETTINGS.require_same(SETTINGS.facts() | {"seed": 4}, "here")
