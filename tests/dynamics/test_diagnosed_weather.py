"""Diagnosed weather: bounds, and agreement with the state that it belongs to."""

import pytest
import torch

from rtma_diffda.dynamics.diagnosed_weather import cloud_base, relative_humidity, with_diagnosed_weather


def test_relative_humidity_of_known_air():
    temperature = torch.tensor([293.15, 293.15, 273.15], dtype=torch.float64)
    dew_point = torch.tensor([293.15, 282.42, 268.15], dtype=torch.float64)
    found = relative_humidity(temperature, dew_point).tolist()
    assert found == pytest.approx([1.0, 0.50, 0.69], abs=0.01)  # psychrometric tables


def test_cloud_base_is_the_condensation_level_within_bounds():
    temperature = torch.tensor([290.0, 290.0, 290.0])
    assert cloud_base(temperature, torch.tensor([280.0, 290.0, 250.0])).tolist() == [1250.0, 30.0, 3650.0]


def test_diagnosed_fields_are_bounded_and_consistent(afternoons):
    for state in with_diagnosed_weather(afternoons[0], generator=torch.Generator().manual_seed(0)):
        speed = torch.hypot(state.channel("u10m"), state.channel("v10m"))
        cover, ceiling, visibility = (state.channel(name) for name in ("tcc", "ceil", "vis"))
        assert (state.channel("gust") >= speed).all()
        assert ((cover >= 0) & (cover <= 1)).all()
        assert ((visibility >= 100) & (visibility <= 80e3)).all()
        assert torch.equal(torch.isnan(ceiling), cover < 4.5 / 8)
        seen = ceiling[~torch.isnan(ceiling)]
        assert ((seen >= 30) & (seen <= 3650)).all()


def test_the_state_itself_is_kept_and_the_seed_decides(afternoons):
    first, again = (
        with_diagnosed_weather(afternoons[0][:2], generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first[1].values.nan_to_num(), again[1].values.nan_to_num())
    assert torch.equal(first[1].values[:, :5], afternoons[0][1].values)
    assert first[1].layout.names == (*afternoons[0][1].layout.names, "gust", "tcc", "vis", "ceil")
    assert with_diagnosed_weather((), generator=torch.Generator()) == ()
