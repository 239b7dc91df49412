"""The made-up planet, its forcing and its weather reports, for `global_nature_run.py`.

The dynamics are dry primitive equations (dinosaur). This module adds what makes them weather:

- `land_fraction`, `terrain_height`: smooth continents and mountains, roughly where the Earth has them;
- `Forcing`: relaxation to the temperature of Held and Suarez (1994, BAMS 75, 1825-1830), T_eq, whose profile follows
  the sun, with land-sea contrast, a diurnal cycle over land, Rayleigh friction, and a moisture cycle of a tracer
  (evaporation towards 80 % of saturation, condensation above saturation, no latent heat);
- `Reports`: the state on pressure levels and near the ground, in WeatherBench 2's variables.

Needs the environment of `global_nature_run.py` (dinosaur 1.5.1, JAX). Arrays are (level, longitude, latitude), SI.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from dinosaur import coordinate_systems, primitive_equations, units

GRAVITY = 9.80616
DRY_GAS = 287.0
KAPPA = 2 / 7
REFERENCE_PRESSURE = 1.0e5
LAPSE_RATE = 6.5e-3  # K/m, used below the lowest model level as at ECMWF
DAY = 86400.0
TILT = np.deg2rad(23.44)
PRESSURE_LEVELS = (250, 500, 700, 850, 1000)  # hPa
REFERENCE_TEMPERATURE = 288.0  # warm and isothermal: keeps the semi-implicit scheme stable

# Centre latitude, centre longitude, half-widths in both directions; degrees.
CONTINENTS = (
    (52, 262, 20, 30), (30, 257, 14, 13), (73, 318, 9, 19), (-7, 299, 18, 17), (-34, 292, 19, 8),
    (16, 14, 18, 27), (-13, 25, 22, 14), (54, 55, 19, 48), (56, 108, 18, 36), (29, 100, 14, 21),
    (21, 78, 13, 9), (47, 15, 9, 20), (25, 45, 11, 11), (-25, 134, 11, 19),
)  # fmt: skip
# Height in metres, then centre and e-folding half-widths in degrees.
MOUNTAINS = (
    (1700, 43, 250, 13, 10), (1900, -20, 291, 17, 8), (2200, 34, 88, 9, 16), (1500, 73, 318, 9, 26),
    (900, 2, 36, 13, 8), (600, 46, 11, 7, 11), (900, 51, 104, 8, 14), (700, 63, 14, 7, 11),
)  # fmt: skip


def _longitude_difference(longitude: np.ndarray, centre: float) -> np.ndarray:
    """Degrees from `centre` eastwards, in [-180, 180)."""
    return (np.rad2deg(longitude) - centre + 180) % 360 - 180


def land_fraction(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Share of land in 0..1, smooth across coasts; latitude and longitude in radians, of any one shape."""
    degrees = np.rad2deg(latitude)
    sea = 1 - 1 / (1 + np.exp((degrees + 70) / 2.5))  # Antarctica
    for lat, lon, half_lat, half_lon in CONTINENTS:
        radius = np.hypot((degrees - lat) / half_lat, _longitude_difference(longitude, lon) / half_lon)
        sea = sea * (1 - 1 / (1 + np.exp((radius - 1) / 0.12)))
    return 1 - sea


def terrain_height(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Height of the ground in metres: Gaussian mountains wide enough for a T31 model."""
    degrees = np.rad2deg(latitude)
    height = 2000 * np.exp(-(((degrees + 90) / 17) ** 2))
    for top, lat, lon, half_lat, half_lon in MOUNTAINS:
        distance = ((degrees - lat) / half_lat) ** 2 + (_longitude_difference(longitude, lon) / half_lon) ** 2
        height = height + top * np.exp(-distance)
    return height


def saturation_humidity(temperature, pressure):
    """Specific humidity at saturation over water (Bolton 1980); kg/kg from K and Pa."""
    celsius = temperature - 273.15
    vapour = 611.2 * jnp.exp(17.67 * celsius / jnp.maximum(celsius + 243.5, 20.0))
    return 0.622 * vapour / jnp.maximum(pressure - 0.378 * vapour, 0.5 * pressure)


def _mesh(coords: coordinate_systems.CoordinateSystem) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude in radians of every node, each (longitude, latitude)."""
    longitude, sin_latitude = coords.horizontal.nodal_mesh
    return np.arcsin(sin_latitude), longitude


def _pascals(specs: units.SimUnits) -> float:
    """How many pascals one model unit of pressure is."""
    return float(1 / specs.nondimensionalize(units.scales.units.pascal))


def _seconds(specs: units.SimUnits) -> float:
    """How many seconds one model unit of time is."""
    return float(1 / specs.nondimensionalize(units.scales.units.second))


def _noon_sun(latitude, season):
    """Sine of the sun's elevation at local noon, zero in polar night; `season` = 2 pi since the March equinox."""
    declination = TILT * jnp.sin(season)
    return jnp.maximum(jnp.sin(latitude) * jnp.sin(declination) + jnp.cos(latitude) * jnp.cos(declination), 0.0)


def _ramp(sigma: np.ndarray, bottom: float, top: float = 1.0) -> np.ndarray:
    """A vertical profile (level, 1, 1): 0 above sigma = `bottom`, linear to 1 at `top`."""
    return np.clip((sigma - bottom) / (top - bottom), 0, 1)[:, None, None]


@dataclasses.dataclass(frozen=True)
class Forcing:
    """Everything but dry dynamics, applied once per time step (operator splitting, implicit where stiff).

    Attributes:
        coords: The model's grid and sigma levels.
        specs: Units of the model.
        time_step: Seconds.
        diffusion_time: Seconds in which the shortest wave decays by e under the del^6 diffusion.
    """

    coords: coordinate_systems.CoordinateSystem
    specs: units.SimUnits
    time_step: float
    diffusion_time: float = 4 * 3600.0

    def __post_init__(self):
        latitude, longitude = _mesh(self.coords)
        sigma = np.asarray(self.coords.vertical.centers)
        eigenvalues = np.abs(self.coords.horizontal.laplacian_eigenvalues)
        fields = {
            "latitude": latitude,
            "longitude": longitude,
            "land": land_fraction(latitude, longitude),
            "sigma": sigma[:, None, None],
            "friction": (1.3 * _ramp(sigma, 0.7) + 0.5 * (sigma == sigma[0])[:, None, None]) / DAY,  # sponge on top
            "smoothing": np.exp(-self.time_step / self.diffusion_time * (eigenvalues / eigenvalues[-1]) ** 3),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def equilibrium_temperature(self, pressure, season):
        """T_eq of Held and Suarez (their equation for radiative equilibrium) with our seasons and continents.

        The meridional profile sin^2(lat) becomes (sin(lat) - 0.12 s)^2, with s from -1 to 1 through the year, and
        the warmest air is 309 K instead of 315 K, because without clouds the tropics would be too hot and moist; land
        adds up to 10 K in summer and takes as much in winter near the ground; a warm pool and cold tongue of 3 K
        give the tropics a stationary wave.
        """
        sun, sin_lat, cos2 = jnp.sin(season), np.sin(self.latitude), np.cos(self.latitude) ** 2
        ratio = pressure / REFERENCE_PRESSURE
        contrast = 10 * sun * sin_lat * self.land * np.clip((self.sigma - 0.4) / 0.6, 0, 1)
        warm_pool = 3 * np.cos(self.longitude - np.deg2rad(130)) * cos2**2
        profile = 309 - 60 * (sin_lat - 0.12 * sun) ** 2 + contrast + warm_pool - 10 * jnp.log(ratio) * cos2
        return jnp.maximum(200.0, ratio**KAPPA * profile)

    def relaxation_rate(self):
        """Per second: 1/40 days aloft, up to 1/4 days near the ground in the tropics and (weaker) over land."""
        near_ground = np.maximum(np.cos(self.latitude) ** 4, 0.4 * self.land)
        return (1 / 40 + (1 / 4 - 1 / 40) * _ramp(self.sigma[:, 0, 0], 0.7) * near_ground) / DAY

    def diurnal_heating(self, season, day_fraction):
        """K/s over land in the lowest levels; warmest four hours after local noon, amplitude up to 1.2 K."""
        local_time = 2 * np.pi * day_fraction + self.longitude
        amplitude = 1.2 * self.land * _noon_sun(self.latitude, season) * _ramp(self.sigma[:, 0, 0], 0.85, 0.98)
        return amplitude * 2 * np.pi / DAY * jnp.cos(local_time - 2 * np.pi * 10 / 24)

    def humidity_after(self, humidity, temperature, pressure):
        """Humidity (kg/kg) one step later: evaporation below sigma = 0.8, condensation in an hour, no negatives."""
        saturation = saturation_humidity(temperature, pressure)
        uptake = self.time_step / DAY * _ramp(self.sigma[:, 0, 0], 0.8, 0.98) * (1 - 0.7 * self.land)
        moistened = humidity + uptake / (1 + uptake) * jnp.maximum(0.8 * saturation - humidity, 0)
        rain = self.time_step / (self.time_step + 3600) * jnp.maximum(moistened - saturation, 0)
        return jnp.maximum(moistened - rain, 0)

    def apply(self, state: primitive_equations.State, season, day_fraction, haste=1.0) -> primitive_equations.State:
        """State after one step of forcing.

        Args:
            state: The model's spectral state, with the tracer `specific_humidity`.
            season: 2 pi times the year's progress since the March equinox.
            day_fraction: UTC time of day in 0..1.
            haste: Factor on the relaxation, above 1 while spinning up from rest.
        """
        grid = self.coords.horizontal
        temperature = REFERENCE_TEMPERATURE + grid.to_nodal(state.temperature_variation)
        pressure = self.sigma * jnp.exp(grid.to_nodal(state.log_surface_pressure)) * _pascals(self.specs)
        rate = haste * self.time_step * self.relaxation_rate()
        warming = rate / (1 + rate) * (self.equilibrium_temperature(pressure, season) - temperature)
        warming = warming + self.time_step * self.diurnal_heating(season, day_fraction)
        humidity = grid.to_nodal(state.tracers["specific_humidity"])
        moistening = self.humidity_after(humidity, temperature, pressure) - humidity
        spectral_warming, spectral_moistening = grid.to_modal(jnp.stack([warming, moistening]))
        drag = self.smoothing / (1 + self.time_step * self.friction)
        return primitive_equations.State(
            vorticity=state.vorticity * drag,
            divergence=state.divergence * drag,
            temperature_variation=(state.temperature_variation + spectral_warming) * self.smoothing,
            log_surface_pressure=state.log_surface_pressure,  # the imprint of mountains must not diffuse
            tracers={"specific_humidity": (state.tracers["specific_humidity"] + spectral_moistening) * self.smoothing},
        )


@dataclasses.dataclass(frozen=True)
class Reports:
    """WeatherBench 2 variables from a spectral state that is already cut and tapered to the output grid.

    Attributes:
        coords: The output grid with the model's sigma levels.
        specs: Units of the model.
        height: Terrain height in metres on the output grid, as the tapered spectral orography gives it.
    """

    coords: coordinate_systems.CoordinateSystem
    specs: units.SimUnits
    height: np.ndarray

    def __post_init__(self):
        latitude, longitude = _mesh(self.coords)
        land = land_fraction(latitude, longitude)
        fields = {"latitude": latitude, "longitude": longitude, "land": land, "roughness": self._roughness(land)}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _roughness(self, land: np.ndarray) -> np.ndarray:
        """Roughness length in metres: 0.2 mm at sea, 0.1 m on plains, rising to about 1 m in mountains."""
        on_land = np.log(0.1) + np.maximum(self.height, 0) / 900
        return np.exp(land * on_land + (1 - land) * np.log(2e-4))

    def static(self) -> dict[str, np.ndarray]:
        """The fields that do not change, (longitude, latitude)."""
        return {"geopotential_at_surface": GRAVITY * self.height, "land_sea_mask": self.land}

    def at(self, state: primitive_equations.State, season, day_fraction) -> dict:
        """All variables: (level, longitude, latitude) on PRESSURE_LEVELS or (longitude, latitude) near the ground."""
        column = self._columns(state)
        near_ground = self._near_ground(column, season, day_fraction)
        return self._on_pressure_levels(column) | near_ground

    def _columns(self, state: primitive_equations.State) -> dict:
        """Fields on sigma levels in SI units: temperature, winds, humidity, omega, geopotential, surface pressure."""
        diagnosed = primitive_equations.compute_diagnostic_state_sigma(state, self.coords)
        vertical, grid = self.coords.vertical, self.coords.horizontal
        speed = float(1 / self.specs.nondimensionalize(units.scales.units.meter / units.scales.units.second))
        east, north = (component * speed / grid.cos_lat for component in diagnosed.cos_lat_u)
        surface_pressure = jnp.exp(grid.to_nodal(state.log_surface_pressure)[0]) * _pascals(self.specs)
        temperature = REFERENCE_TEMPERATURE + diagnosed.temperature_variation
        column = {"surface_pressure": surface_pressure, "temperature": temperature, "east": east, "north": north}
        column["humidity"] = jnp.maximum(diagnosed.tracers["specific_humidity"], 0)
        column["omega"] = self._omega(diagnosed, surface_pressure)
        column["geopotential"] = self._geopotential(temperature, np.log(vertical.centers))
        return column

    def _omega(self, diagnosed, surface_pressure):
        """omega = ps sigma_dot + p (d ln ps/dt + v . grad ln ps) in Pa/s on sigma levels."""
        vertical = self.coords.vertical
        advection = diagnosed.u_dot_grad_log_sp
        thickness = vertical.layer_thickness[:, None, None]
        tendency = -jnp.sum((diagnosed.divergence + advection) * thickness, axis=0)
        faces = jnp.pad(diagnosed.sigma_dot_full, [(1, 1), (0, 0), (0, 0)])
        sigma_dot = 0.5 * (faces[1:] + faces[:-1])
        rate = sigma_dot + vertical.centers[:, None, None] * (tendency + advection)
        return surface_pressure * rate / _seconds(self.specs)

    def _geopotential(self, temperature, log_sigma: np.ndarray):
        """Hydrostatic geopotential on sigma levels for temperature linear in ln p between them."""
        mean = 0.5 * (temperature[1:] + temperature[:-1])
        thickness = DRY_GAS * mean * np.diff(log_sigma)[:, None, None]
        lowest = GRAVITY * self.height + _depth_below(temperature[-1], -log_sigma[-1])
        above = lowest + jnp.cumsum(thickness[::-1], axis=0)[::-1]
        return jnp.concatenate([above, lowest[None]])

    def _on_pressure_levels(self, column: Mapping) -> dict:
        """Linear in ln p between levels; below the lowest, 6.5 K/km, hydrostatic height, and constant winds."""
        nodes = np.log(self.coords.vertical.centers)
        pressure = 100.0 * np.asarray(PRESSURE_LEVELS, float)[:, None, None]
        target = jnp.log(pressure / column["surface_pressure"])
        lower = jnp.clip(jnp.searchsorted(nodes, target), 1, len(nodes) - 1)
        start, end = jnp.asarray(nodes)[lower - 1], jnp.asarray(nodes)[lower]
        weight = jnp.clip((target - start) / (end - start), 0, 1)

        def sample(values):
            first, last = (jnp.take_along_axis(values, index, axis=0) for index in (lower - 1, lower))
            return first + weight * (last - first)

        below = jnp.maximum(target - nodes[-1], 0)
        inside = jnp.minimum(target, nodes[-1])
        temperature = sample(column["temperature"])
        end_temperature, end_geopotential = (
            jnp.take_along_axis(column[name], lower, axis=0) for name in ("temperature", "geopotential")
        )
        geopotential = end_geopotential + DRY_GAS * (end - inside) * 0.5 * (end_temperature + temperature)
        return {
            "temperature": temperature * jnp.exp(_exponent() * below),
            "geopotential": geopotential - _depth_below(column["temperature"][-1], below),
            "u_component_of_wind": sample(column["east"]),
            "v_component_of_wind": sample(column["north"]),
            "specific_humidity": sample(column["humidity"]),
            "vertical_velocity": sample(column["omega"]),
        }

    def _near_ground(self, column: Mapping, season, day_fraction) -> dict:
        """Screen temperature, 10 m wind and pressure at sea level, by our own surface layer."""
        ground = column["temperature"][-1] * jnp.exp(-_exponent() * np.log(self.coords.vertical.centers[-1]))
        wind = jnp.hypot(column["east"][-1], column["north"][-1])
        screen = self._screen_temperature(ground, wind, season, day_fraction)
        lowest_height = (column["geopotential"][-1] / GRAVITY) - self.height
        east, north = self._wind_at_ten_metres(column, lowest_height, screen - ground)
        return {
            "2m_temperature": screen,
            "mean_sea_level_pressure": self._sea_level_pressure(column["surface_pressure"], ground),
            "10m_u_component_of_wind": east,
            "10m_v_component_of_wind": north,
        }

    def _screen_temperature(self, ground, wind, season, day_fraction):
        """2 m temperature in K.

        Over sea it lies a third of the way to a prescribed sea temperature where that is not frozen. Over land a
        diurnal wave of up to 6 K peaks at 14 local time and an inversion of up to 7 K forms where the noon sun is low;
        wind and roughness mix both away.
        """
        local_time = 2 * np.pi * day_fraction + self.longitude
        sun = _noon_sun(self.latitude, season)
        mixing = 1 / (1 + wind / 8) * (1 - 0.05 * np.log(self.roughness / 0.1))
        wave = 6 * sun * (jnp.cos(local_time - 2 * np.pi * 14 / 24) + 0.2 * jnp.cos(2 * local_time))
        inversion = 7 * jnp.maximum(0.5 - sun, 0) / 0.5
        over_land = mixing * (wave - inversion)
        lagged = jnp.sin(season - np.pi / 4)
        sea = 300.5 - 30 * (jnp.sin(self.latitude) - 0.08 * lagged) ** 2 * 1.45
        sea = sea + 2 * np.cos(self.longitude - np.deg2rad(150)) * np.cos(self.latitude) ** 2
        open_water = 1 / (1 + jnp.exp(-(sea - 273.0)))
        over_sea = 0.35 * open_water * (sea - ground) - 3 * (1 - open_water) * mixing * (1 - sun)
        return ground + self.land * over_land + (1 - self.land) * over_sea

    def _wind_at_ten_metres(self, column: Mapping, lowest_height, excess):
        """Logarithmic profile from the lowest level, more mixed when unstable, turned towards low pressure."""
        neutral = np.log(10 / self.roughness) / jnp.log(lowest_height / self.roughness)
        factor = jnp.clip(neutral * (1 + 0.03 * jnp.clip(excess, -8, 8)), 0.2, 0.98)
        turning = np.deg2rad(6 + 14 * self.land) * np.tanh(np.rad2deg(self.latitude) / 12)
        east, north = column["east"][-1], column["north"][-1]
        return (
            factor * (east * np.cos(turning) - north * np.sin(turning)),
            factor * (east * np.sin(turning) + north * np.cos(turning)),
        )

    def _sea_level_pressure(self, surface_pressure, ground):
        """Standard reduction with a constant lapse rate; very cold and very warm ground is moderated as at ECMWF."""
        start = jnp.where(ground < 255, 0.5 * (ground + 255), ground)
        start = jnp.where(start > 290.5, 0.5 * (start + 290.5), start)
        return surface_pressure * (1 + LAPSE_RATE * self.height / start) ** (GRAVITY / (DRY_GAS * LAPSE_RATE))


def _exponent() -> float:
    """R Gamma / g: the power of pressure that temperature follows at a constant lapse rate."""
    return DRY_GAS * LAPSE_RATE / GRAVITY


def _depth_below(temperature, log_pressure_difference):
    """Geopotential between a level of `temperature` and one `log_pressure_difference` (>= 0) below it, m2/s2."""
    return DRY_GAS * temperature * (jnp.exp(_exponent() * log_pressure_difference) - 1) / _exponent()
