"""Shallow water against known solutions: errors, measured convergence orders and conservation.

    python validation/shallow_water.py

Each line is a case at a resolution: the error (L1 unless said otherwise, relative to the size of the signal), the order
between this resolution and the one before, the limit, and whether it holds. Exits 0 only if every line does.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rtma_diffda.dynamics.plane import Plane
from rtma_diffda.dynamics.reconstruction import koren, weno5
from rtma_diffda.dynamics.shallow_water import STANDARD_GRAVITY, ShallowWater, beta_plane
from rtma_diffda.dynamics.shallow_water_diagnostics import energy, potential_enstrophy, volume
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

G = STANDARD_GRAVITY


@dataclass(frozen=True)
class Figure:
    """One line: ``order`` is NaN for the first resolution; the limit is in words, ``ok`` its verdict."""

    case: str
    resolution: str
    error: float
    order: float
    limit: str
    ok: bool


def convergence(
    case: str, sizes: tuple[int, ...], error_of: Callable[[int], float], *, least_order: float, largest_error: float
) -> Iterator[Figure]:
    """The error at each size; the last order and the last error are judged."""
    previous = math.nan
    for i, n in enumerate(sizes):
        error = error_of(n)
        order, last = math.log2(previous / error), i == len(sizes) - 1
        ok = not last or (order >= least_order and error <= largest_error)
        yield Figure(case, str(n), error, order, f"order ≥ {least_order:g}, ≤ {largest_error:.0e}" if last else "", ok)
        previous = error


def bound(case: str, resolution: str, error: float, limit: float) -> Figure:
    return Figure(case, resolution, error, math.nan, f"≤ {limit:.0e}", error <= limit)


def run(model: ShallowWater, start: Tensor, duration: float, courant: float = 0.6) -> Tensor:
    return model.integrate(start, duration, time_step=model.stable_time_step(start, courant=courant))


def relative_l1(values: Tensor, exact: Tensor, scale: float) -> float:
    return float((values - exact).abs().mean()) / scale


def stoker_error(n: int, *, shallow: float, reconstruct: Callable) -> float:
    """Dam break, 10 m of water, 2 km, 50 s; L1 of the depth."""
    plane = Plane.line(n, 2000.0 / n, edge="open")
    model = ShallowWater(plane, reconstruct=reconstruct)
    x = plane.centres()[0] - 1000.0
    h = torch.where(x < 0, 10.0, shallow).double()
    start = torch.stack([h, torch.zeros_like(x), torch.zeros_like(x)])
    out = model.integrate(start, 50.0, time_step=0.4 * plane.dx / (2.0 * math.sqrt(G * 10.0)))
    exact = cell_averages(x, plane.dx, lambda at: dam_break(at, 50.0, deep=10.0, shallow=shallow, gravity=G))
    return relative_l1(out[0], exact[0], 10.0)


def simple_wave_error(n: int) -> float:
    """A wave of finite amplitude on 100 km of water 100 m deep, at half its breaking time; cell averages."""
    length, still, height = 1.0e5, 100.0, 2.0
    plane = Plane.line(n, length / n)

    def speed(x: Tensor) -> Tensor:
        return height * torch.sin(2.0 * torch.pi * x / length)

    elapsed = 0.5 / (1.5 * height * 2.0 * math.pi / length)

    def averaged(after: float) -> Tensor:
        def conserved(x: Tensor) -> Tensor:
            h, u, v = simple_wave(x, after, speed=speed, still=still, gravity=G)
            return torch.stack([h, h * u, h * v])

        h, hu, hv = cell_averages(plane.centres()[0], plane.dx, conserved)
        return torch.stack([h, hu / h, hv / h])

    model, start = ShallowWater(plane), averaged(0.0)
    return relative_l1(run(model, start, elapsed)[1], averaged(elapsed)[1], height)


def vortex_error(n: int, *, reconstruct: Callable) -> float:
    """A vortex carried obliquely across a periodic plane of 2000 km, 1 day; L1 of the wind over its strongest."""
    size, rotation, radius, depth = 2.0e6, 1.5e-4, 1.5e5, 1000.0
    plane = Plane(n, n, size / n, size / n)
    wind = torch.tensor([0.0, size / 86400.0 / 2, size / 86400.0 / 4], dtype=torch.float64)[:, None, None]
    x, y = plane.centres()

    def at(cx: float, cy: float) -> Tensor:
        east, north = ((d + 0.5 * size) % size - 0.5 * size for d in (x - cx, y - cy))  # of the nearest image
        return wind + travelling_vortex(east, north, depth=depth, rotation=rotation, radius=radius, gravity=G)

    model = ShallowWater(plane, reconstruct=reconstruct)
    out = run(model, at(0.25 * size, 0.4 * size), 86400.0, courant=0.9)
    return relative_l1(out[1:], at(0.75 * size, 0.65 * size)[1:], rotation * radius)


def poincare_error(n: int) -> float:
    """A small inertia–gravity wave, ω² = f² + gHk², one period; L1 of η over the amplitude."""
    length, depth, f, amplitude = 1.0e6, 100.0, 1e-4, 1e-5
    plane = Plane.line(n, length / n)
    k = 2.0 * math.pi / length
    omega = math.sqrt(f * f + G * depth * k * k)
    phase = k * plane.centres()[0]
    eta = amplitude * torch.cos(phase)
    u, v = omega / (k * depth) * eta, f / (k * depth) * amplitude * torch.sin(phase)
    start = torch.stack([depth + eta, u, v])
    out = run(ShallowWater(plane, coriolis=f), start, 2.0 * math.pi / omega)
    return relative_l1(out[0], start[0], amplitude)


def jets_error(n: int) -> float:
    """Steady oblique jets of 20 m/s, 1 day; largest drift of the wind over the strongest wind."""
    size, f = 2.0e6, 1e-4
    plane = Plane(n, n, size / n, size / n)
    k = 2.0 * math.pi / size
    start = oblique_jets(*plane.centres(), wind=20.0, depth=1000.0, waves=(k, k), coriolis=f, gravity=G)
    out = run(ShallowWater(plane, coriolis=f), start, 86400.0, courant=0.9)
    return relative_l1(out[1:], start[1:], 20.0)


def bell_error(n: int) -> float:
    """A cosine bell carried once obliquely around the plane (no gravity); L1 over the bell's own."""
    plane = Plane(n, n, 1.0 / n, 1.0 / n)
    x, y = plane.centres()
    bell = cosine_bell(x - 0.5, y - 0.5, radius=0.25)
    start = torch.stack([1.0 + bell, torch.ones_like(x), torch.ones_like(x)])
    out = run(ShallowWater(plane, gravity=0.0), start, 1.0, courant=0.9)
    return float((out[0] - start[0]).abs().sum() / bell.sum())


def inertial_error(steps: int) -> float:
    """A uniform wind turns once with f in so many steps; its vector error."""
    f = 1e-4
    plane = Plane(3, 3, 1e5, 1e5)
    start = torch.tensor([1000.0, 10.0, 0.0], dtype=torch.float64)[:, None, None].expand(3, 3, 3)
    period = 2.0 * math.pi / f
    out = ShallowWater(plane, coriolis=f).integrate(start, period, time_step=period / steps)
    return float((out - start).abs().max()) / 10.0


def adjustment_error(n: int) -> float:
    """Rossby adjustment of a 1 cm step in 100 m; h and v averaged over two inertial periods, within four radii."""
    depth, f, height = 100.0, 1e-4, 0.01
    radius = math.sqrt(G * depth) / f
    plane = Plane.line(n, 60.0 * radius / n, edge="open")
    x = plane.centres()[0] - 30.0 * radius
    start = torch.stack([depth + height * torch.sign(x), torch.zeros_like(x), torch.zeros_like(x)])
    model = ShallowWater(plane, coriolis=f)
    dt = model.stable_time_step(start, courant=0.8)
    state, total, count, interval = model.integrate(start, 20.0 / f, time_step=dt), 0.0, 64, 4.0 * math.pi / f
    for _ in range(count):
        state = model.integrate(state, interval / count, time_step=dt)
        total = total + state / count
    exact = adjusted_step(x, height=height, depth=depth, coriolis=f, gravity=G)
    near = x.abs() < 4.0 * radius
    error_h = relative_l1(total[0][near], exact[0][near], height)
    return max(error_h, relative_l1(total[2][near], exact[2][near], float(exact[2].max())))


def lake_figures() -> Iterator[Figure]:
    """Lake at rest over rough ground, 300 steps in both precisions; wind over the gravity-wave speed."""
    plane = Plane(24, 24, 1000.0, 1000.0, "wall", "periodic")
    ground = 60.0 * torch.rand(24, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for dtype, limit in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        terrain = ground.to(dtype)
        model = ShallowWater(plane, terrain=terrain)
        start = torch.stack([100.0 - terrain, torch.zeros_like(terrain), torch.zeros_like(terrain)])
        out = model.integrate(start, 300 * 5.0, time_step=5.0)
        speed = float(out[1:].abs().max()) / math.sqrt(G * 100.0)
        yield bound(f"lake at rest over rough ground, {str(dtype)[6:]}", "24²", speed, limit)


def mountain_figures(n: int, days: float) -> Iterator[Figure]:
    """A jet in a β-plane channel over a cone of 2 km (Williamson's case 5): drift of what is conserved."""
    width, length = 5.0e6, 1.0e7
    plane = Plane(n, 2 * n, width / n, length / (2 * n), "wall", "periodic")
    f = beta_plane(plane, 1e-4, 1.6e-11)
    x, y = plane.centres()
    u = 20.0 * torch.sin(torch.pi * y / width) ** 2
    # Geostrophy, g dη/dy = −f u, summed from the southern wall by the trapezoidal rule.
    slope = (-f * u / G)[:, :1]
    surface = 5500.0 + plane.dy * (torch.cumsum(slope, 0) - 0.5 * slope)
    r = torch.sqrt((x - 0.3 * length) ** 2 + (y - 0.5 * width) ** 2)
    terrain = 2000.0 * (1.0 - (r / 1.0e6).clamp(max=1.0))
    model = ShallowWater(plane, coriolis=f, terrain=terrain)
    start = torch.stack([surface - terrain, u, torch.zeros_like(u)])
    out = run(model, start, days * 86400.0, courant=0.9)
    limits = {"volume": 1e-12, "energy": 2e-4, "potential enstrophy": 1e-2}
    for measure in (volume, energy, potential_enstrophy):
        name = measure.__name__.replace("_", " ")
        drift = abs(float(measure(model, out) / measure(model, start)) - 1.0)
        yield bound(f"mountain, {days:g} days: drift of {name}", f"{n} × {2 * n}", drift, limits[name])


def jet_growth_error(n: int) -> float:
    """A barotropically unstable jet: growth of its fastest mode over two days against the linear eigenproblem."""
    size, f, depth = 4.0e6, 1e-4, 1000.0
    plane = Plane(n, n, size / n, size / n)
    wind = torch.exp(4.0 * (torch.cos(2.0 * torch.pi * plane.y() / size) - 1.0))
    wind = 60.0 * (wind - wind.mean())
    h = balanced_depth(wind, plane.dy, mean=depth, coriolis=f, gravity=G)
    k = 2.0 * math.pi / size
    rate, mode = unstable_mode(wind, h, dy=plane.dy, wave=k, coriolis=f, gravity=G)
    carrier = torch.exp(1j * k * plane.x())
    start = torch.stack([h, wind, torch.zeros_like(h)])[..., None] + 0.01 * (mode[..., None] * carrier).real
    model = ShallowWater(plane, coriolis=f)
    out = run(model, start, 2 * 86400.0, courant=0.9)
    amplitude = [float((values[2] * carrier.conj()).mean(-1).abs().norm()) for values in (start, out)]
    return abs(math.log(amplitude[1] / amplitude[0]) / (2 * 86400.0 * rate) - 1.0)


def figures() -> Iterator[Figure]:
    """All lines."""

    def wet(n: int) -> float:
        return stoker_error(n, shallow=5.0, reconstruct=weno5)

    def dry(n: int) -> float:
        return stoker_error(n, shallow=0.0, reconstruct=koren)

    yield from convergence("dam break (Stoker)", (100, 200, 400), wet, least_order=0.8, largest_error=2e-3)
    yield from convergence("dam break, dry (Ritter)", (100, 200, 400), dry, least_order=0.7, largest_error=4e-3)
    yield from convergence("simple wave", (32, 64, 128), simple_wave_error, least_order=2.0, largest_error=1e-4)
    yield from convergence("Poincaré wave", (16, 32, 64), poincare_error, least_order=2.8, largest_error=1e-3)
    for rec in (weno5, koren):

        def vortex(n: int, rec: Callable = rec) -> float:
            return vortex_error(n, reconstruct=rec)

        title = f"travelling vortex, {rec.__name__}"
        largest = {weno5: 2e-4, koren: 2e-3}[rec]
        yield from convergence(title, (18, 36, 72), vortex, least_order=1.9, largest_error=largest)
    yield from convergence("steady oblique jets", (16, 32, 64), jets_error, least_order=2.0, largest_error=1e-4)
    yield from convergence("cosine bell, once around", (24, 48, 96), bell_error, least_order=1.8, largest_error=1e-2)
    yield from convergence(
        "inertial circle (steps)", (50, 100, 200), inertial_error, least_order=2.8, largest_error=1e-4
    )
    yield from lake_figures()
    yield bound("Rossby adjustment", "600", adjustment_error(600), 0.05)
    yield from mountain_figures(32, 5.0)
    yield from convergence(
        "unstable jet: growth rate", (16, 32, 64), jet_growth_error, least_order=2.0, largest_error=2e-2
    )


def main() -> int:
    """Print the table and a summary line; 0 when every line holds."""
    torch.set_num_threads(1)
    started, lines = time.perf_counter(), []
    print(f"{'case':44s} {'resolution':>10s} {'error':>9s} {'order':>6s}  {'limit':24s} ok")
    for figure in figures():
        order = f"{figure.order:6.2f}" if math.isfinite(figure.order) else "     -"
        print(
            f"{figure.case:44s} {figure.resolution:>10s} {figure.error:9.2e} {order}  {figure.limit:24s} "
            f"{'yes' if figure.ok else 'NO'}",
            flush=True,
        )
        lines.append(figure)
    good = sum(figure.ok for figure in lines)
    verdict = "passed" if good == len(lines) else "FAILED"
    print(f"shallow water: {good} of {len(lines)} lines hold, {time.perf_counter() - started:.0f} s: {verdict}")
    return 0 if good == len(lines) else 1


if __name__ == "__main__":
    sys.exit(main())
