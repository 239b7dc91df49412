"""Meshes: designs, sizes of any kind, positions by hand, growth over boundary points."""

import numpy as np
import pytest

from rtma_diffda.backbones.limited_area.mesh import Mesh, MeshAxis
from rtma_diffda.backbones.limited_area.mesh_design import MeshDesign
from rtma_diffda.errors import UsageError
from rtma_diffda.geo.boundary_points import BoundaryPoints
from rtma_diffda.geo.grid import ProjectedGrid

PROJECTION = "+proj=lcc +lat_1=25 +lat_2=25 +lat_0=25 +lon_0=265 +a=6371200 +b=6371200 +units=m"


def grid(nx, ny, dx=1e3, dy=1e3, x0=0.0, y0=0.0):
    return ProjectedGrid(PROJECTION, nx, ny, dx, dy, x0, y0)


def shapes(nx, ny, boundary=None, **settings):
    return Mesh.of(grid(nx, ny), MeshDesign(**settings), boundary).shapes


def points(x, y):
    return BoundaryPoints(np.arange(len(x)), np.array(x, float), np.array(y, float))


def test_levels_have_any_size():
    assert shapes(2345, 1597) == ((533, 782), (178, 261), (59, 87), (20, 29), (7, 10), (2, 3))
    assert shapes(128, 128) == ((43, 43), (14, 14), (5, 5), (2, 2))
    assert shapes(30, 15, spacing=3, refinement=2) == ((5, 10), (3, 5), (2, 3))  # halves go up
    assert shapes(128, 128, levels=2) == ((43, 43), (14, 14))
    assert shapes(128, 128, kind="flat") == ((43, 43),)
    assert shapes(128, 96, kind="multiscale", spacing=4, refinement=4) == ((24, 32), (6, 8), (2, 2))


def test_spacing_of_whole_cells_is_exact_and_any_other_nearly_the_same_in_both_directions():
    whole = Mesh.of(grid(100, 37, dx=2e3, dy=2e3), MeshDesign(spacing=3), None)
    assert whole.shapes[0] == (13, 34)
    assert whole.x.spacing == whole.y.spacing == 6e3
    assert (whole.x.lead, whole.y.lead) == (1, 1)  # of the 2 cells by which 34 · 3 and 13 · 3 reach beyond 100 and 37
    mesh = Mesh.of(grid(100, 37, dx=2e3, dy=2e3), MeshDesign(spacing=2.9), None)
    assert mesh.shapes[0] == (13, 34)
    assert mesh.x.spacing == pytest.approx(200e3 / 34) and mesh.y.spacing == pytest.approx(74e3 / 13)
    oblong = Mesh.of(grid(60, 60, dx=1e3, dy=3e3), MeshDesign(spacing=3, kind="flat"), None)  # 60 × 180 km, 6 km
    assert oblong.shapes[0] == (30, 10)


def test_nodes_lie_in_the_middle_of_equal_cells():
    mesh = Mesh.of(grid(12, 9, x0=500.0, y0=-4000.0), MeshDesign(refinement=2), None)  # region 0 … 12 by −4.5 … 4.5 km
    assert mesh.shapes == ((3, 4), (2, 2)) and (mesh.x.middle, mesh.y.middle) == (6e3, 0.0)
    x, y = mesh.positions(0)
    np.testing.assert_allclose(x, [-4500, -1500, 1500, 4500])
    np.testing.assert_allclose(y, [-3000, 0, 3000])
    x, y = mesh.positions(1)
    np.testing.assert_allclose(x, [-3000, 3000])
    np.testing.assert_allclose(y, [-2250, 2250])


def test_a_mesh_goes_on_by_whole_cells_until_it_covers_the_boundary():
    boundary = points([-1.0, 5000.0, 18001.0], [-4500.0, 7500.0, 0.0])  # region 0 … 12 by −4.5 … 4.5 km, cells of 3 km
    mesh = Mesh.of(grid(12, 9, x0=500.0, y0=-4000.0), MeshDesign(kind="flat"), boundary)
    assert (mesh.x.before, mesh.x.after) == (1, 3)
    assert (mesh.y.before, mesh.y.after) == (0, 1)  # the last point lies on the edge of the first cell beyond
    x, y = mesh.positions(0)
    np.testing.assert_allclose(x, np.arange(-7500, 14000, 3000))
    np.testing.assert_allclose(y, [-3000, 0, 3000, 6000])


def test_a_boundary_within_the_region_adds_nothing():
    assert shapes(12, 9, points([3000.0], [3000.0]), kind="flat") == ((3, 4),)


def test_coarser_meshes_cover_the_grown_area():
    boundary = points([-9e3, 20e3], [0.0, 0.0])
    mesh = Mesh.of(grid(12, 9, x0=500.0, y0=500.0), MeshDesign(refinement=2), boundary)
    assert mesh.shapes == ((3, 10), (2, 5))  # −9 … 21 by 0 … 9 km about the middle of the region, 6 and 4.5
    np.testing.assert_allclose(mesh.positions(1)[0], [-12e3, -6e3, 0.0, 6e3, 12e3])


def test_a_lead_moves_points_against_nodes():
    axis = MeshAxis(start=-9.0, grid_count=7, grid_spacing=2.0, region_cells=3, before=1, lead=1, span=9)
    assert axis.count == 4 and axis.spacing == 6.0 and axis.middle == 0.0
    np.testing.assert_allclose(axis.grid_units(np.arange(7)) * axis.unit, 3.0 + 2.0 * np.arange(7))
    np.testing.assert_allclose(axis.node_units(np.arange(4)) * axis.unit, [-3.0, 3.0, 9.0, 15.0])


def test_units_are_whole_and_exact():
    axis = MeshAxis(start=-7.0, grid_count=7, grid_spacing=2.0, region_cells=3, before=2, after=1)
    assert axis.count == 6 and axis.spacing == pytest.approx(14 / 3)
    np.testing.assert_allclose(axis.grid_units(np.arange(7)) * axis.unit, 1.0 + 2.0 * np.arange(7))
    np.testing.assert_allclose(axis.node_units(np.arange(6)) * axis.unit, (np.arange(6) - 1.5) * 14 / 3)


@pytest.mark.parametrize(
    ("size", "settings", "sentence"),
    [
        ((3, 40), {}, r"3 × 40 points .* spacing 3: 1 × 14 nodes; expected at least 2"),
        ((6, 6), {"kind": "flat", "mesh_to_grid_neighbours": 5}, r"2 × 2 nodes; .* 5 in all"),
        ((12, 12), {}, r"4 × 4 nodes leaves room for 1 level.* of refinement 3 .* hierarchical mesh of 2"),
        ((40, 12), {"kind": "multiscale"}, r"14 × 4 nodes leaves room for 1 level"),
        ((128, 128), {"levels": 5}, r"43 × 43 nodes leaves room for 4 level.* of 5 or more was asked for"),
    ],
)
def test_a_region_too_small_for_its_mesh_is_refused_with_numbers(size, settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        shapes(*size, **settings)


def test_a_design_comes_back_from_its_settings():
    design = MeshDesign(kind="multiscale", spacing=2.5, refinement=2, levels=3, neighbours=4, grid_to_mesh_radius=0.7)
    assert MeshDesign.from_settings(design.settings()) == design
    assert MeshDesign.from_settings({}) == MeshDesign()
    assert all(type(value) in (str, int, float) for value in design.settings().values())
    with pytest.raises(UsageError, match=r"unknown settings \['spacings'\]"):
        MeshDesign.from_settings({"spacings": 3})
    for wrong in ({"spacing": "wide"}, {"refinement": "three"}, {"levels": "all"}):
        with pytest.raises(UsageError, match="must be numbers"):
            MeshDesign.from_settings(wrong)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "round"}, "flat, multiscale, hierarchical; found 'round'"),
        ({"spacing": 0.0}, "must be above 0; found 0.0"),
        ({"grid_to_mesh_radius": -0.1}, "must be above 0"),
        ({"refinement": 1}, "2 or more; found 1"),
        ({"refinement": 2.5}, "whole number"),
        ({"neighbours": 6}, "4 or 8"),
        ({"mesh_to_grid_neighbours": 0}, "mesh_to_grid_neighbours ≥ 1"),
        ({"kind": "flat", "levels": 2}, "a flat mesh has 1 level; found levels = 2"),
        ({"levels": 1}, "a hierarchical mesh has 2 levels or more; found levels = 1"),
    ],
)
def test_values_outside_their_range_are_refused(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        MeshDesign(**settings)
