from dataclasses import replace

import numpy as np
import pytest
import torch
from forecast_world import HOUR, NAMES, network, sequences

from rtma_diffda.errors import UsageError
from rtma_diffda.forecast.forcing import Forcing
from rtma_diffda.forecast.forecast_inputs import StatePair
from rtma_diffda.forecast.forecast_network import ForecastTraining, within_validity


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def begun(batch) -> tuple[StatePair, Forcing]:
    return StatePair(batch.states[:, 0], batch.states[:, 1], batch.valid_times[:, 1]), Forcing.of_sequences(batch)


def test_an_untrained_network_persists_but_for_the_mean_change():
    batch = sequences(2)
    pair, forcing = begun(batch)
    made = network(answering=False)
    with torch.no_grad():
        found = made(pair, forcing)
    mean = made.encoding.difference(pair.current)[0]
    torch.testing.assert_close(found, within_validity(pair.current + mean, NAMES))


def test_the_loss_is_the_error_in_units_of_one_step_differences():
    batch = sequences(3)
    made = network(answering=False)
    loss, figures = made.loss(batch, generator=generator())
    mean, std = made.encoding.difference(batch.states)
    error = (within_validity(batch.states[:, 1] + mean, NAMES) - batch.states[:, 2]) / std
    torch.testing.assert_close(loss, error.square().mean())
    assert figures["rmse_sp"] == pytest.approx(float(error[:, 4].square().mean().sqrt()), rel=1e-5)


def test_weights_make_a_variable_count_more():
    batch = sequences(2)
    made = network(answering=False)
    _, figures = made.loss(batch, generator=generator())
    made.training_settings = ForecastTraining(weights={"sp": 6.0})
    loss, _ = made.loss(batch, generator=generator())
    shares = dict.fromkeys(NAMES, 0.5) | {"sp": 3.0}
    expected = np.mean([shares[name] * figures[f"rmse_{name}"] ** 2 for name in NAMES])
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_each_step_of_a_rollout_begins_with_the_one_before():
    batch = sequences(2, targets=3)
    pair, forcing = begun(batch)
    made = network()
    with torch.no_grad():
        first, second, third = made.rollout(pair, forcing, 3)
        torch.testing.assert_close(first, made(pair, forcing))
        then = StatePair(pair.current, first, pair.time + HOUR)
        torch.testing.assert_close(second, made(then, forcing))
        torch.testing.assert_close(third, made(StatePair(first, second, pair.time + 2 * HOUR), forcing))
        loss, _ = made.loss(batch, generator=generator())
        std = made.encoding.difference(first)[1]
        errors = [(s - batch.states[:, 2 + i]) / std for i, s in enumerate((first, second, third))]
        torch.testing.assert_close(loss, torch.stack(errors).square().mean())


def test_recomputed_steps_have_the_gradients_of_kept_ones(monkeypatch):
    batch, made = sequences(2, targets=2), network()

    def gradients() -> list[torch.Tensor]:
        made.zero_grad()
        made.loss(batch, generator=generator())[0].backward()
        return [p.grad.clone() for p in made.parameters() if p.grad is not None]

    recomputed = gradients()
    monkeypatch.setattr(
        "rtma_diffda.forecast.forecast_network.checkpoint", lambda function, *given, use_reentrant: function(*given)
    )
    kept = gradients()
    assert len(kept) == len(recomputed) == len(list(made.parameters()))
    for a, b in zip(recomputed, kept, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    assert all(bool(g.any()) for g in kept)


def test_some_members_train_without_their_boundary():
    batch = sequences(3)
    made = network()
    judged = float(made.loss(batch, generator=generator())[0].detach())
    made.training_settings = ForecastTraining(without_boundary=0.999)
    assert float(made.loss(batch, generator=generator())[0].detach()) == pytest.approx(judged)  # not where it is judged
    made.train()
    alone = replace(batch, boundary=torch.zeros_like(batch.boundary))
    bereft = float(made.loss(batch, generator=generator())[0].detach())
    assert bereft != pytest.approx(judged, rel=1e-4)
    assert float(made.loss(alone, generator=generator())[0].detach()) == pytest.approx(bereft)
    with pytest.raises(UsageError, match="share of members"):
        ForecastTraining(without_boundary=1.0)


def test_a_dew_point_is_at_most_the_temperature():
    values = torch.tensor([280.0, 281.0, 1.0]).reshape(1, 3, 1, 1)
    assert within_validity(values, ("t2m", "d2m", "u10m")).flatten().tolist() == [280.0, 280.0, 1.0]
    assert within_validity(values, ("d2m", "t2m", "u10m")).flatten().tolist() == [280.0, 281.0, 1.0]
    assert within_validity(values, ("u10m", "t2m", "v10m")) is values
