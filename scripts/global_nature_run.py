"""A global nature run: made-up but chaotic weather of an Earth-like planet, in WeatherBench 2's layout.

The solver is Google's spectral primitive-equation model `dinosaur`; planet, forcing and diagnostics are in
`global_nature_physics.py`. The project itself never imports JAX, so run this in an environment of its own:

    python -m venv nature && nature/bin/pip install dinosaur==1.5.1 jax xarray zarr
    nature/bin/python scripts/global_nature_run.py --output nature_1.zarr --days 900 --seed 1 --start 2001-01-01

The store grows by `--block-days` at a time and may be read meanwhile. A restart file beside it lets the same command
continue an interrupted run. Runs with different seeds are independent weather.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import logging
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
import zarr
from dinosaur import (
    coordinate_systems,
    primitive_equations,
    primitive_equations_states,
    sigma_coordinates,
    spherical_harmonic,
    time_integration,
    units,
)
from global_nature_physics import PRESSURE_LEVELS, REFERENCE_TEMPERATURE, Forcing, Reports, terrain_height

logger = logging.getLogger("global_nature_run")

OUTPUT_HOURS = 6
TIME_CHUNK = 40  # ten days
SIGMA_FACES = (0, 0.06, 0.14, 0.22, 0.30, 0.39, 0.48, 0.57, 0.66, 0.75, 0.83, 0.90, 0.96, 1)
MARCH_EQUINOX = np.datetime64("2000-03-20T07:35", "s")
TROPICAL_YEAR = 365.24219
TAPER_WAVENUMBER = 22  # output keeps half of this total wavenumber's amplitude, 3 % of wavenumber 26's
MEAN_PRESSURE = 1.012e5  # Pa at sea level
HASTE_DAYS = 30  # relaxation is five times faster while the run leaves its state of rest
GRIDS = {
    "T21": spherical_harmonic.Grid.T21,
    "T31": spherical_harmonic.Grid.T31,
    "T42": spherical_harmonic.Grid.T42,
}


@dataclasses.dataclass(frozen=True)
class Model:
    """Dynamics and forcing on one grid, with the reports of its weather on the output grid.

    Attributes:
        coords: Model grid and sigma levels.
        specs: Units.
        orography: Spectral terrain height in model units.
        forcing: What acts once per step.
        reports: Diagnostics on the output grid.
        steps: Time steps between outputs.
    """

    coords: coordinate_systems.CoordinateSystem
    specs: units.SimUnits
    orography: jax.Array
    forcing: Forcing
    reports: Reports
    steps: int

    @functools.cached_property
    def dynamics(self):
        """One time step of the dry primitive equations (third-order explicit, semi-implicit)."""
        equation = primitive_equations.PrimitiveEquationsSigma(
            np.full(self.coords.vertical.layers, REFERENCE_TEMPERATURE), self.orography, self.coords, self.specs
        )
        second = self.specs.nondimensionalize(units.scales.units.second)
        return time_integration.imex_rk_sil3(equation, self.forcing.time_step * second)

    def advance(self, state, season, day_fraction, haste):
        """State one output interval later."""
        step_days = self.forcing.time_step / 86400

        def step(current, count):
            now = day_fraction + step_days * count
            return self.forcing.apply(self.dynamics(current), season, now, haste), None

        return jax.lax.scan(step, state, jnp.arange(self.steps))[0]

    def report(self, state, season, day_fraction):
        """WeatherBench 2 variables of `state`, each (..., longitude, latitude)."""
        return self.reports.at(tapered(self.coords, self.reports.coords, state), season, day_fraction)

    @functools.partial(jax.jit, static_argnums=0)
    def block(self, state, seasons, day_fractions, mass):
        """Reports at the given instants, the first being that of `state`, and the state after the last interval."""

        def interval(current, instant):
            fields = self.report(current, *instant)
            return conserve_mass(self.coords, self.advance(current, *instant, 1.0), mass), fields

        return jax.lax.scan(interval, state, (seasons, day_fractions))

    @functools.partial(jax.jit, static_argnums=0)
    def spin_up(self, state, seasons, day_fractions, hastes, mass):
        """State after the given intervals, without reports."""

        def interval(current, instant):
            return conserve_mass(self.coords, self.advance(current, *instant), mass), None

        return jax.lax.scan(interval, state, (seasons, day_fractions, hastes))[0]

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return self is other


def tapered(coords, output_coords, state):
    """Spectral arrays of the model, cut to the output grid's wavenumbers and smoothly tapered."""
    cut = coordinate_systems.get_spectral_interpolate_fn(coords, output_coords)(state)
    total = output_coords.horizontal.modal_axes[1]
    scale = TAPER_WAVENUMBER * (TAPER_WAVENUMBER + 1)
    taper = np.exp(-np.log(2) * (total * (total + 1) / scale) ** 4)
    return jax.tree.map(lambda values: values * taper, cut)


def mean_surface_pressure(coords, state):
    """Global mean surface pressure in model units."""
    pressure = jnp.exp(coords.horizontal.to_nodal(state.log_surface_pressure))[0]
    sphere = 4 * np.pi * coords.horizontal.radius**2
    return coords.horizontal.integrate(pressure) / sphere


def conserve_mass(coords, state, mass):
    """The state with its mean surface pressure restored to `mass`, which ln ps as a variable conserves only nearly."""
    correction = jnp.log(mass / mean_surface_pressure(coords, state))
    pressure = spherical_harmonic.add_constant(state.log_surface_pressure, correction)
    return state.replace(log_surface_pressure=pressure)


def build_model(resolution: str, step_minutes: float) -> Model:
    """The model for a spectral truncation and time step.

    Raises:
        SystemExit: If the time step does not divide the output interval.
    """
    steps = round(OUTPUT_HOURS * 60 / step_minutes)
    if not np.isclose(steps * step_minutes, OUTPUT_HOURS * 60):
        sys.exit(f"--step-minutes: {step_minutes:g} does not divide the {OUTPUT_HOURS * 60} minutes between outputs.")
    specs = units.SimUnits.from_si()
    vertical = sigma_coordinates.SigmaCoordinates(np.array(SIGMA_FACES))
    coords = coordinate_systems.CoordinateSystem(GRIDS[resolution](radius=specs.radius), vertical)
    output_grid = spherical_harmonic.Grid(
        longitude_wavenumbers=32,
        total_wavenumbers=33,
        longitude_nodes=64,
        latitude_nodes=32,
        latitude_spacing="equiangular",
        radius=specs.radius,
    )
    output_coords = coordinate_systems.CoordinateSystem(output_grid, vertical)
    longitude, sin_latitude = coords.horizontal.nodal_mesh
    metre = specs.nondimensionalize(units.scales.units.meter)
    height = terrain_height(np.arcsin(sin_latitude), longitude)
    orography = primitive_equations.truncated_modal_orography(height * metre, coords)
    output_height = output_grid.to_nodal(tapered(coords, output_coords, orography)) / metre
    return Model(
        coords=coords,
        specs=specs,
        orography=orography,
        forcing=Forcing(coords, specs, step_minutes * 60),
        reports=Reports(output_coords, specs, np.asarray(output_height)),
        steps=steps,
    )


def initial_state(model: Model, seed: int) -> primitive_equations.State:
    """Air at rest over the mountains at one temperature, with random vorticity of 3e-6 per second that `seed` fixes."""
    grid = model.coords.horizontal
    height = np.asarray(grid.to_nodal(model.orography)) * model.specs.dimensionalize(1, units.scales.units.meter)
    kelvin, pascal = units.scales.units.degK, units.scales.units.pascal
    at_rest, _ = primitive_equations_states.isothermal_rest_atmosphere(
        model.coords, model.specs, tref=REFERENCE_TEMPERATURE * kelvin, p0=MEAN_PRESSURE * pascal, surface_height=height
    )
    state = at_rest(jax.random.PRNGKey(seed))
    total = grid.modal_axes[1]
    noise = np.random.default_rng(seed).standard_normal(model.coords.modal_shape)
    noise = noise * grid.mask * ((total >= 3) & (total <= 12))
    rms = np.sqrt(np.mean(np.square(grid.to_nodal(noise))))
    amplitude = model.specs.nondimensionalize(3e-6 / units.scales.units.second)
    humidity = {"specific_humidity": jnp.zeros(model.coords.modal_shape)}
    return state.replace(vorticity=jnp.asarray(noise * amplitude / rms, jnp.float32), tracers=humidity)


def instants(start: np.datetime64, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` output times from `start`, their seasons (radians since the March equinox) and fractions of the day."""
    times = start.astype("datetime64[s]") + np.arange(count) * np.timedelta64(OUTPUT_HOURS, "h")
    days = (times - MARCH_EQUINOX) / np.timedelta64(1, "D")
    seasons = 2 * np.pi * (days / TROPICAL_YEAR % 1)
    day_fractions = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "D")
    return times, seasons.astype(np.float32), day_fractions.astype(np.float32)


def as_dataset(model: Model, times: np.ndarray, fields: dict) -> xr.Dataset:
    """A block of reports, labelled; dimensions (time, level, latitude, longitude) as in WeatherBench 2."""
    grid = model.reports.coords.horizontal
    data = {}
    for name, values in (fields | model.reports.static()).items():
        dims = {4: ("time", "level"), 3: ("time",), 2: ()}[np.ndim(values)]
        turned = np.swapaxes(np.asarray(values, np.float32), -1, -2)
        data[name] = (*dims, "latitude", "longitude"), turned
    latitude = np.rad2deg(np.arcsin(grid.nodal_axes[1]))
    coords = {
        "time": times.astype("datetime64[ns]"),
        "level": np.asarray(PRESSURE_LEVELS, np.int32),
        "latitude": np.round(latitude, 6),
        "longitude": np.round(np.rad2deg(grid.nodal_axes[0]), 6),
    }
    return xr.Dataset({name: data[name] for name in sorted(data)}, coords)


def write_block(store: Path, block: xr.Dataset) -> None:
    """Create the store with `block`, or append to its time axis."""
    if store.exists():
        moving = block[[name for name in block if "time" in block[name].dims]]
        moving.to_zarr(store, append_dim="time", consolidated=True, zarr_format=2)
        return
    encoding: dict = {"time": {"units": "hours since 1970-01-01", "dtype": "int64", "chunks": (TIME_CHUNK * 200,)}}
    for name, values in block.data_vars.items():
        sizes = dict(values.sizes)
        if "time" in sizes:
            encoding[name] = {"chunks": tuple((sizes | {"time": TIME_CHUNK}).values())}
    block.to_zarr(store, encoding=encoding, consolidated=True, zarr_format=2)


def truncate_store(store: Path, count: int) -> None:
    """Cut the time axis back to `count`, so that a block whose writing was interrupted disappears."""
    group = zarr.open_group(store, mode="r+", use_consolidated=False)
    for _, array in group.arrays():
        if "time" in array.attrs["_ARRAY_DIMENSIONS"]:
            array.resize((count, *array.shape[1:]))
    zarr.consolidate_metadata(store)


def save_restart(path: Path, state, *, done: int, identity: str) -> None:
    """Write state and progress so that the file is either the old one or complete."""
    leaves = jax.tree.leaves(state)
    temporary = path.with_suffix(".partial.npz")
    arrays = {f"leaf_{index}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
    np.savez(temporary, done=done, identity=identity, **arrays)
    temporary.replace(path)


def load_restart(path: Path, template, identity: str):
    """State and number of outputs done.

    Raises:
        SystemExit: If the file belongs to a run with other settings.
    """
    with np.load(path) as stored:
        if str(stored["identity"]) != identity:
            sys.exit(f"{path} belongs to another run: found '{stored['identity']}', expected '{identity}'.")
        treedef = jax.tree.structure(template)
        leaves = [jnp.asarray(stored[f"leaf_{index}"]) for index in range(treedef.num_leaves)]
        return jax.tree.unflatten(treedef, leaves), int(stored["done"])


def spun_up_state(model: Model, start: np.datetime64, days: int, seed: int):
    """The state at `start` after `days` of spin-up from rest in the right season."""
    state = initial_state(model, seed)
    mass = mean_surface_pressure(model.coords, state)
    per_day = 24 // OUTPUT_HOURS
    _, seasons, day_fractions = instants(start - np.timedelta64(days, "D"), days * per_day)
    hastes = np.where(np.arange(days * per_day) < HASTE_DAYS * per_day, 5.0, 1.0).astype(np.float32)
    return model.spin_up(state, seasons, day_fractions, hastes, mass)


def check_finite(block: xr.Dataset) -> None:
    """Stop with a clear message when the model has blown up."""
    for name, values in block.data_vars.items():
        if not np.isfinite(values.values).all():
            span = f"{block.time.values[0]} to {block.time.values[-1]}" if block.sizes["time"] else "an empty block"
            sys.exit(f"{name} is not finite in {span}: the model blew up. Shorten --step-minutes.")


def log_progress(block: xr.Dataset, seconds: float) -> None:
    """One line with the cost and a few figures that show whether the weather is sane."""
    pressure, jet = block["mean_sea_level_pressure"] / 100, block["u_component_of_wind"].sel(level=250)
    weights = np.cos(np.deg2rad(block.latitude))
    logger.info(
        "to %s, %.2f s per day; sea-level pressure %.0f to %.0f hPa, zonal-mean jet %.0f m/s, mean 850 hPa temperature "
        "%.2f K, wettest air %.1f g/kg",
        str(block.time.values[-1])[:13],
        seconds / (block.sizes["time"] * OUTPUT_HOURS / 24),
        float(pressure.min()),
        float(pressure.max()),
        float(jet.mean(["time", "longitude"]).max()),
        float(block["temperature"].sel(level=850).weighted(weights).mean()),
        1000 * float(block["specific_humidity"].max()),
    )


def run(arguments: argparse.Namespace) -> None:
    """Spin up or resume, then write the run block by block."""
    model = build_model(arguments.resolution, arguments.step_minutes)
    start = np.datetime64(arguments.start)
    store, restart = arguments.output, arguments.output.with_suffix(".restart.npz")
    names = ("seed", "start", "resolution", "step_minutes", "spin_up_days")
    identity = ", ".join(f"{name} {getattr(arguments, name)}" for name in names)
    if store.exists() and not restart.exists():
        sys.exit(f"{store} exists without its restart file {restart}. Move it away or choose another --output.")
    rest = initial_state(model, arguments.seed)
    if restart.exists():
        state, done = load_restart(restart, rest, identity)
        if store.exists():
            truncate_store(store, done)
        logger.info("resuming after %d outputs", done)
    else:
        began = time.perf_counter()
        state, done = jax.block_until_ready(spun_up_state(model, start, arguments.spin_up_days, arguments.seed)), 0
        logger.info("spin-up of %d days took %.0f s", arguments.spin_up_days, time.perf_counter() - began)
    total = arguments.days * 24 // OUTPUT_HOURS
    size = arguments.block_days * 24 // OUTPUT_HOURS
    mass = mean_surface_pressure(model.coords, rest)
    while done < total:
        began = time.perf_counter()
        count = min(size, total - done)
        times, seasons, day_fractions = instants(start + np.timedelta64(done * OUTPUT_HOURS, "h"), count)
        state, fields = jax.block_until_ready(model.block(state, seasons, day_fractions, mass))
        block = as_dataset(model, times, fields)
        check_finite(block)
        write_block(store, block)
        done += count
        save_restart(restart, state, done=done, identity=identity)
        log_progress(block, time.perf_counter() - began)
    logger.info("complete: %d days in %s", arguments.days, store)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="Zarr store to write or continue")
    parser.add_argument("--days", type=int, required=True, help="days to keep, after the spin-up")
    parser.add_argument("--seed", type=int, required=True, help="fixes the initial perturbation")
    parser.add_argument("--start", required=True, help="first output, for example 2001-01-01")
    parser.add_argument("--resolution", choices=sorted(GRIDS), default="T31")
    parser.add_argument("--step-minutes", type=float, default=40)
    parser.add_argument("--spin-up-days", type=int, default=120)
    parser.add_argument("--block-days", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(parse_arguments())
