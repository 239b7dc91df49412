from dataclasses import replace

import pytest
import torch
from builders import small_grid
from forecast_world import DESIGN, GRID, NAMES, NOON, OUTER_STATIC, PLACE, STATIC, boundary, encoding, history, network

from rtma_diffda.errors import InputError
from rtma_diffda.fields.boundary import Boundary
from rtma_diffda.fields.layout import Layout
from rtma_diffda.forecast.forecast_checkpoint import forecast_checkpoint, load_forecast, network_of, parameters
from rtma_diffda.forecast.forecast_design import ForecastDesign, ForecastPlace
from rtma_diffda.forecast.limited_area import LimitedAreaForecast
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.static_fields import StaticFields, ridge_and_coast
from rtma_diffda.io.checkpoint import Checkpoint, write_checkpoint


def stored(made=None) -> Checkpoint:
    return forecast_checkpoint(made or network(), DESIGN, PLACE, DESIGN.graph(PLACE, encoding()), card="# card\n")


def written(path, **options: bool):
    return write_checkpoint(path / "forecast", stored(), created="2026-01-01T00:00:00Z", **options)


def test_a_model_comes_back_as_it_was(tmp_path):
    found = load_forecast(written(tmp_path), STATIC, variables=NAMES)
    before = LimitedAreaForecast(network(), STATIC, PLACE)
    assert found.place.margins == PLACE.margins and found.network.encoding.window == encoding().window
    assert torch.equal(found.step(history(), boundary()).values, before.step(history(), boundary()).values)
    assert parameters(found.network) == parameters(before.network)


def test_half_precision_forecasts_nearly_the_same(tmp_path):
    found = load_forecast(written(tmp_path, half_precision=True), STATIC)
    exact = LimitedAreaForecast(network(), STATIC, PLACE).step(history(), boundary()).values
    assert 0.0 < float((found.step(history(), boundary()).values - exact)[:, :4].abs().max()) < 0.05


def test_another_graph_under_the_same_weights_is_noticed():
    good = stored()
    name = "graph.grid_to_mesh.features"
    moved = replace(good, statistics={**good.statistics, name: good.statistics[name] * 1.01})
    with pytest.raises(InputError, match="not the one that it was trained on"):
        network_of(moved)


def test_statistics_of_other_variables_are_noticed():
    good = stored()
    fewer = replace(good, statistics={**good.statistics, "difference_std": torch.ones(4)})
    with pytest.raises(InputError, match=r"difference_std has shape \(4,\).*5 variables"):
        network_of(fewer)
    without = {name: values for name, values in good.statistics.items() if name != "difference_mean"}
    with pytest.raises(InputError, match="difference_mean has shape none"):
        network_of(replace(good, statistics=without))


def test_another_order_of_variables_is_noticed(tmp_path):
    with pytest.raises(InputError, match="in this order"):
        load_forecast(written(tmp_path), STATIC, variables=NAMES[::-1])


def test_other_kinds_and_damaged_settings_are_refused():
    good = stored()
    with pytest.raises(InputError, match="architecture 'unet'"):
        network_of(replace(good, config={**good.config, "architecture": "unet"}))
    with pytest.raises(InputError, match="not understood"):
        network_of(replace(good, config={**good.config, "design": {}}))
    wider = {**good.config["design"], "hidden": 16}
    with pytest.raises(InputError, match="does not fit"):
        network_of(replace(good, config={**good.config, "design": wider}))


def test_other_spacings_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"region 10 km apart; those given are 2\.5 km apart"):
        load_forecast(written(tmp_path), ridge_and_coast(small_grid(12, 10)))


def test_the_same_weights_forecast_another_region_of_the_same_spacing(tmp_path):
    wider = ProjectedGrid(GRID.projection, 14, 12, 1e4, 1e4, 2e5, 1e5)
    found = load_forecast(written(tmp_path), ridge_and_coast(wider))
    outer = found.place.boundary_grid
    assert outer.dx == PLACE.boundary_grid.dx and outer.x0 < wider.x0 - 3.9e4 and outer.nx > PLACE.boundary_grid.nx
    layout = Layout.of(outer, NAMES)
    values = torch.tensor([285.0, 280.0, 3.0, -2.0, 1e5])[:, None, None]
    hours = boundary(-1, 3).states
    states = tuple(type(s)(values.expand(1, *layout.shape), layout, s.valid_time) for s in hours)
    given = Boundary(states, NOON, "calm", ridge_and_coast(outer))
    inner = Layout.of(wider, NAMES)
    known = [type(s)(values.expand(1, *inner.shape), inner, s.valid_time) for s in history()]
    assert torch.isfinite(found.step(known, given).values).all()
    assert isinstance(OUTER_STATIC, StaticFields)


def test_a_design_without_mesh_takes_no_nodes():
    plain = replace(DESIGN, meshed=False)
    made = plain.build(PLACE, encoding())
    assert made.nodes is None and parameters(made) < parameters(network())
    assert ForecastDesign.from_settings(DESIGN.settings()) == DESIGN
    assert ForecastPlace.from_settings(PLACE.settings()) == PLACE
