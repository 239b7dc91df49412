"""What each quantity is: the one table of names, units, levels, valid ranges, and CF, GRIB and MET identities.

Readers, writers, quality control, verification and plots all look things up here. Short names are ecCodes' names made
Python identifiers. Units are SI; a fraction is 1, never percent. Valid ranges bound what weather has done on Earth
(with margin): values outside are gross errors, not extremes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rtma_diffda.errors import UsageError


@dataclass(frozen=True)
class Variable:
    """One quantity.

    Attributes:
        name: our short name; also the name in our Zarr and NetCDF files.
        long_name: words for titles and legends.
        unit: SI unit, UDUNITS spelling.
        standard_name: CF standard name (table v93); None where the table has none.
        height: metres above ground of a near-surface quantity; None elsewhere.
        valid_range: (lowest, highest) physically possible value, SI.
        grib: GRIB2 (discipline, category, number, type of level, level value).
        short_names: names in GRIB (ecCodes) and in other vocabularies, all read as this variable.
        met_name, met_level: name and level in MET files.
        display: (unit, scale, offset) for maps and tables; displayed = value × scale + offset.
    """

    name: str
    long_name: str
    unit: str
    standard_name: str | None
    valid_range: tuple[float, float]
    grib: tuple[int, int, int, int, int] | None = None
    short_names: tuple[str, ...] = ()
    met_name: str | None = None
    met_level: str | None = None
    height: float | None = None
    display: tuple[str, float, float] | None = None

    @property
    def is_temperature(self) -> bool:
        """True for quantities in kelvin, whose CF ``units_metadata`` must say whether they are on the scale."""
        return self.unit == "K"


_CELSIUS = ("°C", 1.0, -273.15)
_HECTOPASCAL = ("hPa", 0.01, 0.0)
_PERCENT = ("%", 100.0, 0.0)
_KILOMETRES = ("km", 0.001, 0.0)

_TABLE = (
    Variable("t2m", "2 m temperature", "K", "air_temperature", (183.15, 333.15), (0, 0, 0, 103, 2),
             ("2t", "t2m", "2m_temperature", "temperature_2m", "TMP_2m"), "TMP", "Z2", 2.0, _CELSIUS),
    Variable("d2m", "2 m dew point temperature", "K", "dew_point_temperature", (163.15, 310.15), (0, 0, 6, 103, 2),
             ("2d", "d2m", "2m_dewpoint_temperature", "dew_point_temperature_2m"), "DPT", "Z2", 2.0, _CELSIUS),
    Variable("q2m", "2 m specific humidity", "1", "specific_humidity", (0.0, 0.05), (0, 1, 0, 103, 2),
             ("2sh", "q2m", "sh2"), "SPFH", "Z2", 2.0, ("g/kg", 1000.0, 0.0)),
    Variable("r2m", "2 m relative humidity", "1", "relative_humidity", (0.0, 1.1), (0, 1, 1, 103, 2),
             ("2r", "r2m"), "RH", "Z2", 2.0, _PERCENT),
    Variable("u10m", "10 m eastward wind", "m s-1", "eastward_wind", (-80.0, 80.0), (0, 2, 2, 103, 10),
             ("10u", "u10", "u10m", "10m_u_component_of_wind", "wind_u_10m"), "UGRD", "Z10", 10.0),
    Variable("v10m", "10 m northward wind", "m s-1", "northward_wind", (-80.0, 80.0), (0, 2, 3, 103, 10),
             ("10v", "v10", "v10m", "10m_v_component_of_wind", "wind_v_10m"), "VGRD", "Z10", 10.0),
    Variable("ws10m", "10 m wind speed", "m s-1", "wind_speed", (0.0, 80.0), (0, 2, 1, 103, 10),
             ("10si", "ws10m", "si10"), "WIND", "Z10", 10.0),
    Variable("wd10m", "10 m wind direction", "degree", "wind_from_direction", (0.0, 360.0), (0, 2, 0, 103, 10),
             ("10wdir", "wd10m", "wdir10"), "WDIR", "Z10", 10.0),
    Variable("gust", "10 m wind gust", "m s-1", "wind_speed_of_gust", (0.0, 115.0), (0, 2, 22, 103, 10),
             ("i10fg", "gust", "fg10m", "wind_gust_10m"), "GUST", "Z10", 10.0),
    Variable("sp", "surface pressure", "Pa", "surface_air_pressure", (45000.0, 110000.0), (0, 3, 0, 1, 0),
             ("sp", "pressure_surface", "surface_pressure"), "PRES", "Z0", None, _HECTOPASCAL),
    Variable("msl", "mean sea level pressure", "Pa", "air_pressure_at_mean_sea_level", (86000.0, 109500.0),
             (0, 3, 1, 101, 0), ("prmsl", "msl", "mean_sea_level_pressure"), "PRMSL", "Z0", None, _HECTOPASCAL),
    Variable("vis", "visibility", "m", "visibility_in_air", (0.0, 160000.0), (0, 19, 0, 1, 0), ("vis",), "VIS", "Z0",
             None, _KILOMETRES),
    Variable("ceil", "ceiling height above ground", "m", None, (0.0, 30000.0), (0, 6, 13, 215, 0), ("ceil",),
             "CEILING", "Z0"),
    Variable("tcc", "total cloud cover", "1", "cloud_area_fraction", (0.0, 1.0), (0, 6, 1, 10, 0), ("tcc",), "TCDC",
             "Z0", None, _PERCENT),
    Variable("orog", "terrain height", "m", "surface_altitude", (-450.0, 9000.0), (0, 3, 5, 1, 0), ("orog",), "HGT",
             "Z0"),
    Variable("lsm", "land fraction", "1", "land_area_fraction", (0.0, 1.0), (2, 0, 0, 1, 0),
             ("lsm", "land_sea_mask", "land"), "LAND", "Z0"),
    Variable("tp", "precipitation", "kg m-2", "precipitation_amount", (0.0, 1000.0), (0, 1, 8, 1, 0),
             ("tp", "total_precipitation"), "APCP", "A01"),
    Variable("swh", "significant wave height", "m", "sea_surface_wave_significant_height", (0.0, 30.0),
             (10, 0, 3, 1, 0), ("swh",), "HTSGW", "Z0"),
)  # fmt: skip

_UPPER_AIR = (
    Variable("z", "geopotential", "m2 s-2", "geopotential", (-1.0e4, 6.0e5), (0, 3, 4, 100, 0)),
    Variable("t", "temperature", "K", "air_temperature", (150.0, 340.0), (0, 0, 0, 100, 0), (), None, None, None,
             _CELSIUS),
    Variable("u", "eastward wind", "m s-1", "eastward_wind", (-200.0, 200.0), (0, 2, 2, 100, 0)),
    Variable("v", "northward wind", "m s-1", "northward_wind", (-200.0, 200.0), (0, 2, 3, 100, 0)),
    Variable("w", "vertical velocity", "Pa s-1", "lagrangian_tendency_of_air_pressure", (-50.0, 50.0),
             (0, 2, 8, 100, 0)),
    Variable("q", "specific humidity", "1", "specific_humidity", (-0.01, 0.05), (0, 1, 0, 100, 0), (), None, None, None,
             ("g/kg", 1000.0, 0.0)),
    Variable("tp6h", "precipitation of 6 hours", "m", "lwe_thickness_of_precipitation_amount", (-0.01, 2.0)),
)  # fmt: skip
"""Of global states. Not found by foreign names: in files of regional models these are other quantities' letters."""

VARIABLES: Mapping[str, Variable] = MappingProxyType({variable.name: variable for variable in _TABLE})
GLOBAL_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "10m_u_component_of_wind": "u10m",
        "10m_v_component_of_wind": "v10m",
        "2m_temperature": "t2m",
        "geopotential": "z",
        "mean_sea_level_pressure": "msl",
        "specific_humidity": "q",
        "temperature": "t",
        "total_precipitation_6hr": "tp6h",
        "u_component_of_wind": "u",
        "v_component_of_wind": "v",
        "vertical_velocity": "w",
    }
)
"""Our short names by those of GraphCast and WeatherBench 2."""
_BY_NAME = MappingProxyType(dict(VARIABLES) | {variable.name: variable for variable in _UPPER_AIR})
_BY_ALIAS = MappingProxyType({alias: v for v in _TABLE for alias in (v.name, *v.short_names)})


def variable(name: str) -> Variable:
    """Look a variable up by our short name.

    Raises:
        UsageError: no such variable; the message lists those there are.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UsageError(f"unknown variable '{name}'; known are {', '.join(_BY_NAME)}") from None


def find_variable(foreign_name: str) -> Variable | None:
    """The variable that some other vocabulary (ecCodes, GraphCast, earth2studio) calls ``foreign_name``, if any."""
    return _BY_ALIAS.get(foreign_name)


def to_display(name: str, values: float) -> tuple[float, str]:
    """Convert an SI value (or array) to what maps and tables show, and name that unit."""
    unit, scale, offset = variable(name).display or (variable(name).unit, 1.0, 0.0)
    return values * scale + offset, unit
