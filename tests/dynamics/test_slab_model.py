"""The slab: rest stays rest, mass stays, winds blow where they should, and derivatives are right."""

from dataclasses import replace

import pytest
import torch

from rtma_diffda.dynamics.slab.landscape import Position, SlabLandscape
from rtma_diffda.dynamics.slab.model import SlabModel, SlabSettings
from rtma_diffda.dynamics.slab.parameters import LAW, SlabParameters
from rtma_diffda.dynamics.slab.state import PROGNOSTIC, SlabForcing, SlabState

POINTS, SPACING = 24, 5000.0


def place(runs, dtype):
    one = torch.ones(runs, dtype=dtype)
    return Position(1e-4 * one, 45.0 * one, 10.0 * one, SPACING)


def hills(runs=1, height=600.0, dtype=torch.float32):
    x = torch.arange(POINTS, dtype=dtype) * (2 * torch.pi / POINTS)
    shape = (0.5 - 0.5 * torch.cos(x))[None, :] * (0.6 - 0.4 * torch.cos(2 * x))[:, None]
    return (height * shape).expand(runs, -1, -1).clone()


def model_on(terrain, land, **changed):
    landscape = SlabLandscape.of(terrain, land, position=place(terrain.shape[0], terrain.dtype), margin=0)
    parameters = SlabParameters.typical(terrain.shape[0], dtype=terrain.dtype)
    parameters = replace(parameters, **{name: torch.full_like(parameters.heating, v) for name, v in changed.items()})
    return SlabModel(landscape, parameters, SlabSettings())


def forcing(like, **changed):
    one = torch.ones_like(like[:, :1, :1])
    zero, everywhere = 0.0 * one, torch.zeros_like(like)
    calm = SlabForcing(zero, 290.0 * one, 290.0 * one, zero, zero, *(everywhere,) * 3, everywhere + 0.006, everywhere)
    return replace(calm, **{name: everywhere + v if v.ndim == 0 else v for name, v in changed.items()})


def run(model, outside, steps, state=None):
    state = model.at_rest(outside) if state is None else state
    for _ in range(steps):
        state = model.step(state, outside)
    return state


def test_air_at_rest_over_hills_stays_at_rest_without_sun_and_cooling():
    terrain = hills()
    model = model_on(terrain, torch.ones_like(terrain), cooling=0.0)
    state = run(model, forcing(terrain), 60)
    for name in ("interface", "u", "v", "u_surface", "v_surface", "surface", "theta"):
        assert float(state.field(name).abs().max()) < 1e-5, name


def test_mass_is_conserved_in_a_storm_over_hills():
    terrain = hills(dtype=torch.float64)
    model = model_on(terrain, torch.ones_like(terrain))
    wind = torch.tensor(12.0, dtype=torch.float64)
    outside = forcing(terrain, u_geostrophic=wind * torch.ones(1, 1, 1, dtype=torch.float64), u_large=wind)
    start = model.at_rest(outside)
    after = run(model, outside, 120, start)
    assert float(after.field("interface").std()) > 5.0
    mean = [float(model.depth(state).mean()) for state in (start, after)]
    assert mean[1] == pytest.approx(mean[0], rel=1e-12)


def coast():
    land = torch.zeros(1, POINTS, POINTS)
    land[..., POINTS // 2 :] = 1.0
    return land


def test_the_sea_breeze_blows_onshore_by_day_and_offshore_by_night():
    land = coast()
    model = model_on(torch.zeros_like(land), land)
    noon = forcing(land, sun=torch.full((1, 1, 1), 0.8))
    by_day = run(model, noon, 100)
    by_night = run(model, forcing(land), 100)
    middle = POINTS // 2
    assert 1.0 < float(by_day.field("u_surface")[0, :, middle].mean()) < 7.0
    assert -4.0 < float(by_night.field("u_surface")[0, :, middle].mean()) < -0.2
    assert float(by_day.field("surface")[0, :, -6].mean()) > 2.0 > -1.0 > float(by_night.field("surface")[0, 0, -6])


def test_cold_air_drains_downslope_at_night():
    terrain = hills()
    model = model_on(terrain, torch.ones_like(terrain))
    state = run(model, forcing(terrain), 100)
    landscape = model.landscape
    uphill = state.field("u_surface") * landscape.slope_x + state.field("v_surface") * landscape.slope_y
    steep = torch.hypot(landscape.slope_x, landscape.slope_y) > 0.01
    assert float((uphill[steep] < 0.0).float().mean()) > 0.95


def test_a_downdraught_makes_a_pool_of_cold_air_that_flows_out():
    land = torch.ones(1, POINTS, POINTS)
    model = model_on(torch.zeros_like(land), land)
    distance = torch.hypot(*torch.meshgrid(*(torch.arange(POINTS) - POINTS / 2.0,) * 2, indexing="ij"))
    humid = forcing(land, moisture_large=torch.tensor(0.0105), sun=torch.full((1, 1, 1), 0.8))
    shower = replace(humid, convection=torch.exp(-((distance / 3.0) ** 2))[None])
    state = run(model, shower, 16, run(model, humid, 30))
    middle = POINTS // 2
    surface, u = state.field("surface")[0], state.field("u_surface")[0]
    assert float(surface[middle, middle]) < float(surface[0, 0]) - 2.0
    assert float(u[middle, middle + 3]) > 0.5
    assert float(u[middle, middle - 3]) < -0.5


def test_cloud_shades_the_ground_by_day():
    land = torch.ones(1, POINTS, POINTS)
    model = model_on(torch.zeros_like(land), land)
    noon = {"sun": torch.full((1, 1, 1), 0.8)}
    dry, moist = (forcing(land, moisture_large=torch.tensor(q), **noon) for q in (0.004, 0.0115))
    clear, overcast = run(model, dry, 60), run(model, moist, 60)
    assert float(model.cloud(clear, dry).mean()) < 0.1 < 0.7 < float(model.cloud(overcast, moist).mean())
    assert float(clear.field("surface").mean()) > float(overcast.field("surface").mean()) + 2.0


def weather(runs, dtype=torch.float64):
    generator = torch.Generator().manual_seed(4)
    values = torch.randn(runs, len(PROGNOSTIC), POINTS, POINTS, generator=generator, dtype=dtype)
    spectrum = torch.fft.rfft2(values)
    spectrum[..., 4:-3, :], spectrum[..., 4:] = 0.0, 0.0
    smooth = torch.fft.irfft2(spectrum, s=(POINTS, POINTS))
    scale = torch.tensor([40.0, 5.0, 5.0, 1.5, 1e-3, 1.5, 1.0, 1.0], dtype=dtype)
    offset = torch.tensor([0.0, 6.0, -3.0, 0.0, 8e-3, -1.0, 0.0, 0.0], dtype=dtype)
    return SlabState(smooth / smooth.std() * scale[:, None, None] + offset[:, None, None])


def test_gradients_agree_with_finite_differences():
    terrain = hills(dtype=torch.float64)
    land = (terrain > 100.0).to(terrain)
    model = model_on(terrain, land)
    outside = forcing(terrain, sun=torch.full((1, 1, 1), 0.5, dtype=torch.float64))
    start = weather(1)
    generator = torch.Generator().manual_seed(5)
    scale = torch.tensor([1.0, 1.0, 1.0, 0.1, 1e-4, 0.1, 0.1, 0.1], dtype=torch.float64)[:, None, None]
    direction = weather(1).values.roll((3, 5), (-2, -1)) * 0.1 * scale
    weights = torch.randn(start.values.shape, generator=generator, dtype=torch.float64) / scale

    def cost(values):
        return (run(model, outside, 3, SlabState(values)).values * weights).sum()

    values = start.values.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cost(values), values)
    epsilon = 1e-5
    change = cost(start.values + epsilon * direction) - cost(start.values - epsilon * direction)
    assert float((slope * direction).sum()) == pytest.approx(float(change) / (2 * epsilon), rel=1e-5)


def test_runs_of_a_batch_do_not_see_each_other():
    terrain = torch.cat([hills(), hills(height=200.0).flip(-1)]).double()
    land = torch.cat([torch.ones_like(terrain[:1]), coast().double()])
    both = run(model_on(terrain, land), forcing(terrain), 10, weather(2))
    for i in (0, 1):
        start = weather(2).select(torch.tensor([i]))
        alone = run(model_on(terrain[i : i + 1], land[i : i + 1]), forcing(terrain[i : i + 1]), 10, start)
        assert torch.allclose(alone.values[0], both.values[i], rtol=1e-9, atol=1e-9)


def test_the_law_of_parameters_names_them_all_and_keeps_them_positive():
    assert tuple(LAW) == tuple(SlabParameters.__dataclass_fields__)
    drawn = [SlabParameters.draw(1.0, generator=torch.Generator().manual_seed(seed)) for seed in range(50)]
    joined = SlabParameters.joined(drawn)
    for name in LAW:
        if name != "sea_temperature":
            assert float(getattr(joined, name).min()) > 0.0
    assert float(joined.drag_land.log().std()) == pytest.approx(LAW["drag_land"][1], rel=0.3)
    same = SlabParameters.draw(0.0, generator=torch.Generator()).of_run(0)
    assert same == pytest.approx(SlabParameters.typical(1).of_run(0))
