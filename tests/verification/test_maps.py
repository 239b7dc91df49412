"""Maps: the right numbers in the right colours at the right places, on an axis given or a new one."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.region import Region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.reports.analysis_figure import AnalysisMaps, analysis_figure, wind_figure
from rtma_diffda.verification.reports.canvas import png_bytes, save_png, source_colours
from rtma_diffda.verification.reports.maps import (
    MapField,
    StationMarks,
    field_limits,
    field_map,
    increment_label,
    increment_map,
    symmetric_limit,
    wind_map,
)
from rtma_diffda.verification.reports.region_figure import draw_region

TIME = np.datetime64("2026-01-01T00:15", "ns")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def plain() -> StaticFields:
    """A small grid without terrain and coast, off the central meridian, so that true north is not up."""
    projection = "+proj=lcc +lat_0=50 +lat_1=50 +lat_2=50 +lon_0=10 +R=6371200 +units=m"
    return StaticFields(ProjectedGrid(projection, 20, 16, 1e4, 1e4, 2.4e6, 0.0))


def test_field_is_drawn_in_display_units_where_it_is(plain):
    values = np.arange(320.0).reshape(16, 20) + 200.0
    axis = field_map(MapField(values, "t2m", "background", TIME), plain)
    (mesh,) = [artist for artist in axis.collections if type(artist).__name__ == "QuadMesh"]
    assert np.allclose(np.asarray(mesh.get_array()).reshape(16, 20), values - 273.15)
    assert axis.get_title(loc="left") == "background: 2 m temperature (°C)\n2026-01-01 00:15 UTC"
    assert axis.get_xlim() == pytest.approx((2400.0, 2590.0))
    assert axis.get_aspect() == 1.0


def test_increment_colours_are_symmetric_and_shared_with_the_stations(plain):
    latitude, longitude = plain.grid.latitude()[[3, 5, 8], [4, 6, 9]], plain.grid.longitude()[[3, 5, 8], [4, 6, 9]]
    stations = StationMarks(latitude, longitude, np.array([1.0, -3.0, 9.0]), np.array([False, False, True]))
    axis = increment_map(MapField(np.full((16, 20), 2.0), "t2m", "increment"), plain, stations=stations)
    (mesh,) = [artist for artist in axis.collections if type(artist).__name__ == "QuadMesh"]
    low, high = mesh.get_clim()
    assert low == -high < 0
    used = next(a for a in axis.collections if type(a).__name__ == "PathCollection" and len(a.get_offsets()) == 2)
    assert used.get_array().tolist() == [1.0, -3.0]
    assert list(used.get_offsets()[0]) == pytest.approx([2440.0, 30.0])
    assert (used.norm.vmin, used.norm.vmax) == (low, high)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["used, O − B (2)", "withheld (1)"]


def test_colour_bar_states_the_extremes_of_an_increment_beyond_the_colours(plain):
    values = np.zeros((16, 20))
    values[4, 5], values[9, 9] = 9.06, -7.2
    axis = increment_map(MapField(values, "t2m", "increment"), plain)
    assert axis.figure.axes[1].get_ylabel() == "increment (K), −7.2 … +9.1"
    assert increment_label(np.array([-0.5, 1.0, np.nan]), 1.0, unit="K") == "K"
    assert increment_label(np.array([-0.1234, 0.02]), 0.05, unit="") == "increment, −0.123 … +0.020"
    assert increment_label(np.full(2, np.nan), 1.0, unit="hPa") == "hPa"


def test_arrows_of_a_westerly_follow_the_parallel_not_the_grid(plain):
    """East of the central meridian of a northern cone meridians lean west, so eastward points above the x axis."""
    axis = wind_map(MapField(np.full((16, 20), 5.0), "u10m", "wind"), np.zeros((16, 20)), plain)
    (arrows,) = [artist for artist in axis.collections if type(artist).__name__ == "Quiver"]
    turn = np.rad2deg(np.arctan2(np.mean(arrows.V), np.mean(arrows.U)))
    longitude = plain.grid.longitude().mean()
    assert turn == pytest.approx(np.sin(np.deg2rad(50.0)) * (longitude - 10.0), abs=0.3)
    assert np.hypot(arrows.U, arrows.V) == pytest.approx(5.0)


def test_limits():
    assert field_limits(np.arange(1001.0)) == pytest.approx((5.0, 995.0))
    low, high = field_limits(np.full((3, 3), 7.0))
    assert low < 7.0 < high
    assert field_limits(np.full(3, np.nan)) == (0.0, 1.0)
    assert symmetric_limit(np.array([-4.0, 1.0]), np.empty(0)) == pytest.approx(4.0, rel=0.02)
    assert symmetric_limit(np.zeros(4), np.zeros(0)) > 0


def test_analysis_maps_of_an_analysis(case):
    maps = AnalysisMaps.of(case.analysis, "t2m", withheld=case.withheld)
    assert np.allclose(maps.analysis - maps.background, case.analysis.increment()[0, 0].numpy(), atol=1e-5)
    channel_used = case.analysis.problem.observations.of_channel(0)
    assert (~maps.stations.withheld).sum() == len(channel_used)
    assert maps.stations.withheld.sum() == len(case.withheld.of_channel(0))
    innovations = case.analysis.problem.innovations()[0].numpy()[
        case.analysis.problem.observations.channel.numpy() == 0
    ]
    assert np.allclose(maps.stations.innovation[~maps.stations.withheld], innovations)


def test_whole_figures(case, tmp_path):
    maps = {name: AnalysisMaps.of(case.analysis, name, withheld=case.withheld) for name in case.layout.names}
    figure = analysis_figure(maps["t2m"], case.static, place="made-up region")
    assert figure.get_suptitle() == "2 m temperature (°C)  ·  2026-01-01 00:15 UTC  ·  made-up region"
    titles = [axis.get_title(loc="left") for axis in figure.axes[:4]]
    assert titles == ["background (°C)", "increment (K)", "analysis (°C)", "analysis error, one standard deviation (K)"]
    path = save_png(figure, tmp_path / "analysis.png")
    assert path.read_bytes().startswith(PNG)
    assert path.stat().st_size > 50_000
    assert png_bytes(wind_figure(maps["u10m"], maps["v10m"], case.static)).startswith(PNG)


def test_a_method_without_error_is_said_to_have_none(plain):
    field = np.zeros((16, 20))
    figure = analysis_figure(AnalysisMaps("t2m", TIME, field, field + 1.0), plain)
    assert [text.get_text() for text in figure.axes[3].texts] == ["the method states no analysis error"]
    assert png_bytes(figure).startswith(PNG)


def test_region_with_and_without_static_fields(case, plain):
    known = draw_region(Region("demo", "Made-up region", case.static.grid, ("t2m",)), case.static)
    assert known.axes[0].get_title(loc="left") == "Made-up region (demo)"
    assert "64 × 64 points, 2.5 km apart; variables t2m" in known.axes[0].get_xlabel()
    assert png_bytes(known).startswith(PNG)
    unknown = draw_region(Region("plain", "Plain", plain.grid, ("t2m",)), plain)
    assert "terrain and coast are not known" in [text.get_text() for text in unknown.axes[0].texts]


def test_same_data_same_bytes_and_axis_given_is_used(plain):
    field = MapField(np.arange(320.0).reshape(16, 20) + 270.0, "t2m", "background")
    first, second = (png_bytes(field_map(field, plain).figure) for _ in range(2))
    assert first == second
    axis = Figure().add_subplot()
    assert field_map(field, plain, axis=axis) is axis


def test_the_background_is_grey_and_sources_differ():
    colours = source_colours(["a", "background", "b"])
    assert colours["background"] == "#7a7a7a"
    assert len(set(colours.values())) == 3
