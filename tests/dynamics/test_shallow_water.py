"""The shallow-water model against known solutions, and what it must keep exactly."""

import math

import pytest
import torch

from rtma_diffda.dynamics.plane import Plane, turn
from rtma_diffda.dynamics.reconstruction import koren, weno5
from rtma_diffda.dynamics.shallow_water import STANDARD_GRAVITY as G
from rtma_diffda.dynamics.shallow_water import ShallowWater, beta_plane
from rtma_diffda.dynamics.shallow_water_diagnostics import energy, potential_enstrophy, relative_vorticity, volume
from rtma_diffda.dynamics.shallow_water_solutions import (
    adjusted_step,
    balanced_depth,
    cell_averages,
    cosine_bell,
    dam_break,
    oblique_jets,
    simple_wave,
    travelling_vortex,
    unstable_mode,
)
from rtma_diffda.errors import InputError, UsageError

F = 1e-4


def order_of(error_of, coarse: int, fine: int) -> float:
    return math.log(error_of(coarse) / error_of(fine)) / math.log(fine / coarse)


def run(model, start, duration, courant=0.7):
    return model.integrate(start, duration, time_step=model.stable_time_step(start, courant=courant))


def random_state(plane, *, runs=(), seed=1, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((*runs, 3, plane.ny, plane.nx), generator=generator, dtype=torch.float64)
    scale = torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64)[:, None, None]
    offset = torch.tensor([100.0, 0.0, 0.0], dtype=torch.float64)[:, None, None]
    return (offset + scale * noise).to(dtype)


@pytest.mark.parametrize(("shallow", "reconstruct"), [(5.0, weno5), (5.0, koren), (0.0, koren)])
def test_dam_break_converges_with_order_one(shallow, reconstruct):
    """Stoker's onto still water and Ritter's onto dry ground: first order, because of kinks and jumps."""

    def error_of(n):
        plane = Plane.line(n, 2000.0 / n, edge="open")
        x = plane.centres()[0] - 1000.0
        start = torch.stack([torch.where(x < 0, 10.0, shallow).double(), 0 * x, 0 * x])
        model = ShallowWater(plane, reconstruct=reconstruct)
        out = model.integrate(start, 50.0, time_step=0.4 * plane.dx / (2 * math.sqrt(G * 10.0)))
        assert float(out[0].min()) >= 0.0
        exact = cell_averages(x, plane.dx, lambda at: dam_break(at, 50.0, deep=10.0, shallow=shallow, gravity=G))
        return float((out[0] - exact[0]).abs().mean())

    assert error_of(200) < 0.02
    assert 0.75 < order_of(error_of, 50, 200) < 1.4


def test_stokers_middle_state_satisfies_the_jump_conditions():
    x = torch.linspace(-500.0, 500.0, 2001, dtype=torch.float64)[None]
    h, u, _ = dam_break(x, 40.0, deep=10.0, shallow=5.0, gravity=G)
    i = int(torch.nonzero(h[0] > 5.0).max())
    shock = float(x[0, i]) / 40.0
    assert shock * (h[0, i] - 5.0) == pytest.approx(float(h[0, i] * u[0, i]), rel=2e-3)  # mass across the shock
    assert float(u[0, i] + 2 * torch.sqrt(G * h[0, i])) == pytest.approx(2 * math.sqrt(G * 10.0))  # through the fan


@pytest.mark.parametrize(("reconstruct", "least"), [(weno5, 2.0), (koren, 1.9)])
def test_simple_wave_converges_with_order_two(reconstruct, least):
    length, still = 1.0e5, 100.0

    def speed(x):
        return 2.0 * torch.sin(2 * torch.pi * x / length)

    elapsed = 0.4 / (1.5 * 2.0 * 2 * math.pi / length)

    def error_of(n):
        plane = Plane.line(n, length / n)

        def averaged(after):
            def at(x):
                return simple_wave(x, after, speed=speed, still=still, gravity=G)

            return cell_averages(plane.centres()[0], plane.dx, at)

        out = run(ShallowWater(plane, reconstruct=reconstruct), averaged(0.0), elapsed)
        return float((out - averaged(elapsed))[1].abs().mean())

    assert order_of(error_of, 32, 96) > least


def test_small_wave_has_the_period_of_the_dispersion_relation():
    """ω² = f² + gHk²; a phase error of 1 % would leave 0.063."""
    plane = Plane.line(64, 1.0e6 / 64)
    k, depth, amplitude = 2 * math.pi / 1.0e6, 100.0, 1e-5
    omega = math.sqrt(F * F + G * depth * k * k)
    phase = k * plane.centres()[0]
    eta = amplitude * torch.cos(phase)
    wind = torch.stack([omega / (k * depth) * eta, F / (k * depth) * amplitude * torch.sin(phase)])
    start = torch.cat([depth + eta[None], wind])
    out = run(ShallowWater(plane, coriolis=F), start, 2 * math.pi / omega)
    assert float((out - start)[0].abs().max()) < 2e-3 * amplitude


def test_travelling_vortex_converges_with_order_two():
    """An exact solution in two dimensions that moves obliquely across periodic edges."""
    size, wind = 2.0e6, torch.tensor([0.0, 10.0, 5.0], dtype=torch.float64)[:, None, None]

    def error_of(n):
        plane = Plane(n, n, size / n, size / n)
        x, y = plane.centres()

        def at(elapsed):
            east, north = (
                (d + 0.5 * size) % size - 0.5 * size for d in (x - 1e6 - 10 * elapsed, y - 5e5 - 5 * elapsed)
            )
            return wind + travelling_vortex(east, north, depth=100.0, rotation=1e-4, radius=2.2e5, gravity=G)

        out = run(ShallowWater(plane), at(0.0), 40000.0, courant=0.9)
        return float((out - at(40000.0))[1:].abs().mean())

    assert order_of(error_of, 16, 40) > 2.0


def test_lake_at_rest_stays_at_rest_over_rough_ground():
    for edges in (("periodic", "wall"), ("open", "periodic")):
        plane = Plane(8, 10, 1000.0, 500.0, *edges)
        terrain = 60.0 * torch.rand(8, 10, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        start = torch.stack([100.0 - terrain, 0 * terrain, 0 * terrain])
        for reconstruct in (weno5, koren):
            out = run(ShallowWater(plane, terrain=terrain, coriolis=F, reconstruct=reconstruct), start, 1000.0)
            assert float((out - start).abs().max()) < 1e-11


def test_geostrophic_jets_stay_and_converge():
    """Williamson's case 2 on the plane: steady jets oblique to the grid."""
    size, waves = 2.0e6, (2 * math.pi / 2.0e6, 2 * math.pi / 2.0e6)

    def drift(n):
        plane = Plane(n, n, size / n, size / n)
        start = oblique_jets(*plane.centres(), wind=20.0, depth=1000.0, waves=waves, coriolis=F, gravity=G)
        return float((run(ShallowWater(plane, coriolis=F), start, 43200.0, courant=0.9) - start)[1:].abs().max())

    assert drift(32) < 0.01
    assert order_of(drift, 12, 32) > 2.5


def test_surface_step_adjusts_to_geostrophic_balance():
    depth, height = 100.0, 0.01
    radius = math.sqrt(G * depth) / F
    plane = Plane.line(300, 0.2 * radius, edge="open")
    x = plane.centres()[0] - 30 * radius
    state = torch.stack([depth + height * torch.sign(x), 0 * x, 0 * x])
    model = ShallowWater(plane, coriolis=F)
    time_step = model.stable_time_step(state, courant=0.8)
    state, mean = model.integrate(state, 20 / F, time_step=time_step), 0.0
    for _ in range(24):  # over one inertial period, to remove the waves that linger
        state = model.integrate(state, 2 * math.pi / F / 24, time_step=time_step)
        mean = mean + state / 24
    exact = adjusted_step(x, height=height, depth=depth, coriolis=F, gravity=G)
    near = x.abs() < 4 * radius
    assert float((mean - exact)[2][near].abs().mean() / exact[2].max()) < 0.02
    assert float((mean - exact)[0][near].abs().mean() / height) < 0.02


def test_uniform_wind_turns_in_inertial_circles():
    start = torch.tensor([500.0, 10.0, 0.0], dtype=torch.float64)[:, None, None].expand(3, 4, 4)
    model = ShallowWater(Plane(4, 4, 1e5, 1e5), coriolis=F)
    quarter = model.integrate(start, math.pi / 2 / F, time_step=200.0)
    torch.testing.assert_close(quarter[:, 0, 0], torch.tensor([500.0, 0.0, -10.0]).double(), atol=1e-4, rtol=0)


def test_cosine_bell_goes_once_around():
    """Williamson's case 1 on the plane: without gravity the wind stays and carries h."""
    plane = Plane(32, 32, 1 / 32, 1 / 32)
    x, y = plane.centres()
    bell = cosine_bell(x - 0.5, y - 0.5, radius=0.25)
    start = torch.stack([1.0 + bell, torch.ones_like(x), 0.5 * torch.ones_like(x)])
    out = run(ShallowWater(plane, gravity=0.0), start, 2.0, courant=0.9)
    assert float((out[0] - start[0]).abs().sum() / bell.sum()) < 0.06
    torch.testing.assert_close(out[1:], start[1:], rtol=0, atol=1e-12)


def test_unstable_jet_grows_as_the_linear_eigenproblem_says():
    n, size = 32, 4.0e6
    plane = Plane(n, n, size / n, size / n)
    wind = torch.exp(4.0 * (torch.cos(2 * torch.pi * plane.y() / size) - 1.0))
    wind = 60.0 * (wind - wind.mean())
    h = balanced_depth(wind, plane.dy, mean=1000.0, coriolis=F, gravity=G)
    k = 2 * math.pi / size
    rate, mode = unstable_mode(wind, h, dy=plane.dy, wave=k, coriolis=F, gravity=G)
    carrier = torch.exp(1j * k * plane.x())
    start = torch.stack([h, wind, 0 * h])[..., None] + 0.01 * (mode[..., None] * carrier).real
    out = run(ShallowWater(plane, coriolis=F), start, 172800.0, courant=0.9)
    before, after = (float((values[2] * carrier.conj()).mean(-1).abs().norm()) for values in (start, out))
    assert rate * 86400 > 1.0
    assert math.log(after / before) / 172800.0 == pytest.approx(rate, rel=0.08)


def test_flow_over_a_mountain_keeps_its_integrals():
    """Williamson's case 5 on a β-plane channel: volume exactly, energy and potential enstrophy nearly."""
    plane = Plane(16, 32, 5.0e6 / 16, 1.0e7 / 32, "wall", "periodic")
    x, y = plane.centres()
    terrain = 2000.0 * (1.0 - (torch.hypot(x - 3e6, y - 2.5e6) / 1.5e6).clamp(max=1.0))
    u = 20.0 * torch.sin(torch.pi * y / 5.0e6) ** 2
    f = beta_plane(plane, F, 1.6e-11)
    slope = (-f * u / G)[:, :1]
    h = 5500.0 + plane.dy * (torch.cumsum(slope, 0) - 0.5 * slope) - terrain
    model = ShallowWater(plane, coriolis=f, terrain=terrain)
    start = torch.stack([h, u, 0 * u])
    out = run(model, start, 2 * 86400.0, courant=0.9)
    assert float((out - start)[2].abs().max()) > 1.0  # the mountain did disturb the flow
    for measure, limit in ((volume, 1e-13), (energy, 5e-4), (potential_enstrophy, 1e-2)):
        assert float(measure(model, out) / measure(model, start)) == pytest.approx(1.0, abs=limit)


@pytest.mark.parametrize("edges", [("periodic", "periodic"), ("wall", "wall"), ("wall", "periodic")])
def test_volume_is_kept_to_rounding(edges):
    plane = Plane(9, 11, 1e4, 2e4, *edges)
    model = ShallowWater(plane, coriolis=F)
    start = random_state(plane)
    out = run(model, start, 20000.0)
    assert float(volume(model, out) / volume(model, start)) == pytest.approx(1.0, abs=1e-13)


def test_waves_leave_through_open_edges():
    plane = Plane.line(100, 1000.0, edge="open")
    x = plane.centres()[0]
    start = torch.stack([100.0 + torch.exp(-(((x - 5e4) / 5e3) ** 2)), 0 * x, 0 * x])
    out = run(ShallowWater(plane), start, 1.0e5 / math.sqrt(G * 100.0) * 1.5)
    assert float((out[0] - 100.0).abs().max()) < 0.01


def test_axes_are_treated_alike():
    plane = Plane(8, 13, 1e4, 1.5e4, "wall", "periodic")
    start = random_state(plane)
    out = ShallowWater(plane, coriolis=F).integrate(start, 3000.0, time_step=100.0)
    turned = ShallowWater(plane.turned(), coriolis=-F).integrate(turn(start), 3000.0, time_step=100.0)
    torch.testing.assert_close(turn(turned), out)


def test_a_line_equals_a_plane_in_which_nothing_varies_across():
    line, plane = Plane.line(24, 1e4), Plane(5, 24, 1e4, 1e4)
    start = random_state(line)
    one = ShallowWater(line, coriolis=F).integrate(start, 3000.0, time_step=100.0)
    two = ShallowWater(plane, coriolis=F).integrate(start.expand(3, 5, 24), 3000.0, time_step=100.0)
    torch.testing.assert_close(two, one.expand(3, 5, 24))


def test_runs_of_a_batch_do_not_influence_each_other():
    plane = Plane(6, 8, 1e4, 1e4)
    terrain = torch.rand(2, 6, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    start = random_state(plane, runs=(2,))
    both = ShallowWater(plane, terrain=terrain).integrate(start, 1000.0, time_step=100.0)
    for i in range(2):
        alone = ShallowWater(plane, terrain=terrain[i]).integrate(start[i], 1000.0, time_step=100.0)
        torch.testing.assert_close(both[i], alone, rtol=1e-14, atol=0)


def test_float32_follows_float64():
    plane = Plane(12, 12, 1e4, 1e4)
    start = random_state(plane)
    model = ShallowWater(plane, coriolis=beta_plane(plane, F, 1e-11), terrain=torch.zeros(12, 12))
    exact, single = (
        model.integrate(start.to(kind), 5000.0, time_step=100.0) for kind in (torch.float64, torch.float32)
    )
    assert single.dtype == torch.float32
    assert float((single - exact).abs().max()) < 5e-3


def test_gradients_agree_with_differences():
    """Of the state after 5 steps in the state at the start and in the terrain, along a random direction."""
    plane = Plane(6, 7, 1e4, 1e4)
    start = random_state(plane).requires_grad_()
    terrain = torch.rand(6, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    along = random_state(plane, seed=4) - random_state(plane, seed=5)
    weights = random_state(plane, seed=6)

    def measured(state, ground):
        model = ShallowWater(plane, coriolis=F, terrain=ground)
        return (weights * model.integrate(state, 500.0, time_step=100.0)).sum()

    gradients = torch.autograd.grad(measured(start, terrain), (start, terrain))
    epsilon = 1e-5
    with torch.no_grad():
        by_state = measured(start + epsilon * along, terrain) - measured(start - epsilon * along, terrain)
        by_ground = measured(start, terrain + epsilon * along[0]) - measured(start, terrain - epsilon * along[0])
    assert float((gradients[0] * along).sum()) == pytest.approx(float(by_state) / (2 * epsilon), rel=1e-5)
    assert float((gradients[1] * along[0]).sum()) == pytest.approx(float(by_ground) / (2 * epsilon), rel=1e-5)


def test_vorticity_of_solid_rotation_is_twice_its_rate():
    plane = Plane(6, 6, 1.0, 1.0, "open", "open")
    x, y = plane.centres()
    values = torch.stack([torch.ones_like(x), -0.5 * y, 0.5 * x])
    vorticity = relative_vorticity(ShallowWater(plane), values)
    torch.testing.assert_close(vorticity[1:-1, 1:-1], torch.ones(4, 4, dtype=torch.float64))


def test_too_long_a_step_and_wrong_input_are_said_in_words():
    plane = Plane(6, 6, 1e4, 1e4)
    model = ShallowWater(plane)
    with pytest.raises(InputError, match="not finite after"):
        model.integrate(random_state(plane), 1e6, time_step=5000.0)
    with pytest.raises(InputError, match=r"\(3, 6, 6\)"):
        model.integrate(random_state(Plane(5, 6, 1e4, 1e4)), 100.0, time_step=10.0)
    with pytest.raises(UsageError, match="Courant number of 2"):
        model.stable_time_step(random_state(plane), courant=2.0)
    with pytest.raises(UsageError, match="an edge is one of"):
        Plane(3, 3, 1.0, 1.0, "mirror")
    with pytest.raises(UsageError, match="one cell, or at least 3"):
        ShallowWater(Plane(2, 6, 1e4, 1e4))
    with pytest.raises(UsageError, match="at least one cell"):
        Plane(0, 3, 1.0, 1.0)
