"""Boundary grids and points: margins by hand, overlap and frame, other projections, global and scattered sources."""

import numpy as np
import pytest

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.geo.boundary_points import BoundaryPoints, boundary_grid
from rtma_diffda.geo.curvilinear import CurvilinearGrid
from rtma_diffda.geo.grid import LatLonGrid, ProjectedGrid, ReducedGaussianGrid

LAMBERT = "+proj=lcc +lat_1=50 +lat_2=50 +lat_0=50 +lon_0=8 +a=6371229 +b=6371229 +units=m"
STEREOGRAPHIC = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +a=6371229 +b=6371229 +units=m"
REGION = ProjectedGrid(LAMBERT, nx=41, ny=21, dx=5e3, dy=5e3, x0=-100e3, y0=-50e3)  # 200 × 100 km about the origin


def global_grid(spacing=0.5):
    return LatLonGrid(np.arange(-90.0, 90.1, spacing), np.arange(0.0, 360.0, spacing), periodic=True)


def expected_by_definition(source, region, width, overlap):
    """Points by their distance beyond the nearest side of the region, negative inside."""
    x, y = (values.ravel() for values in region.project(source.latitude(), source.longitude()))
    beyond = np.max([region.x[0] - x, x - region.x[-1], region.y[0] - y, y - region.y[-1]], axis=0)
    return [i for i, distance in enumerate(beyond.tolist()) if distance <= width and (overlap or distance > 0.0)]


@pytest.mark.parametrize(
    ("spacing", "width", "count", "first"),
    [
        (50e3, 50e3, (7, 5), (-150e3, -100e3)),  # 300 × 200 km in whole cells
        (40e3, 50e3, (9, 6), (-160e3, -100e3)),  # 300 km need 8 cells of 40 km: 10 km too much on either side
        (500e3, 0.0, (2, 2), (-250e3, -250e3)),
    ],
)
def test_a_boundary_grid_covers_region_and_margin_about_the_same_centre(spacing, width, count, first):
    grid = boundary_grid(REGION, spacing=spacing, width=width)
    assert (grid.nx, grid.ny) == count and (grid.x0, grid.y0) == first
    assert (grid.dx, grid.dy, grid.projection) == (spacing, spacing, LAMBERT)


@pytest.mark.parametrize(("spacing", "width"), [(0.0, 1e3), (-1.0, 1e3), (1e3, -1.0), (float("nan"), 1e3)])
def test_a_boundary_grid_without_extent_is_refused(spacing, width):
    with pytest.raises(UsageError, match="spacing > 0 and width ≥ 0"):
        boundary_grid(REGION, spacing=spacing, width=width)


def test_points_of_a_boundary_grid_are_all_its_points_with_overlap_and_a_ring_without():
    grid = boundary_grid(REGION, spacing=50e3, width=50e3)  # points on the very edges of region and margin
    everywhere = BoundaryPoints.of(grid, REGION, width=50e3, overlap=True)
    assert everywhere.index.tolist() == list(range(35)) and everywhere.index.dtype == np.int64
    np.testing.assert_allclose(everywhere.x.reshape(5, 7), np.broadcast_to(np.arange(-150e3, 151e3, 50e3), (5, 7)))
    np.testing.assert_allclose(everywhere.y.reshape(5, 7)[:, 3], np.arange(-100e3, 101e3, 50e3), atol=1e-3)
    frame = BoundaryPoints.of(grid, REGION, width=50e3, overlap=False)
    ring = np.ones((5, 7), bool)
    ring[1:-1, 1:-1] = False  # points on the edge of the region lie within it
    assert frame.index.tolist() == np.flatnonzero(ring).tolist() and len(frame) == 20


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("width", [80e3, 210e3])
@pytest.mark.parametrize(
    "source",
    [
        global_grid(),
        ProjectedGrid(STEREOGRAPHIC, 60, 60, 40e3, 40e3, -1.2e6, -5.4e6),
        ReducedGaussianGrid(np.linspace(89.5, -89.5, 360), np.full(360, 720)),
        CurvilinearGrid(*np.meshgrid(np.linspace(44, 56, 40), np.linspace(0, 16, 40), indexing="ij")),
    ],
    ids=["global", "stereographic", "reduced", "curvilinear"],
)
def test_points_of_any_grid_are_those_within_the_extended_rectangle(source, width, overlap):
    points = BoundaryPoints.of(source, REGION, width=width, overlap=overlap)
    assert points.index.tolist() == expected_by_definition(source, REGION, width, overlap)
    x, y = REGION.project(source.latitude().ravel()[points.index], source.longitude().ravel()[points.index])
    np.testing.assert_array_equal([points.x, points.y], [x, y])


@pytest.mark.parametrize(
    ("longitudes", "latitudes", "side"),
    [
        ((7.5, 20), (40, 60), "west"),
        ((-5, 8.5), (40, 60), "east"),
        ((-5, 20), (49.7, 60), "south"),
        ((-5, 20), (40, 50.3), "north"),
    ],
)
def test_a_source_that_ends_short_of_one_side_is_refused_by_name(longitudes, latitudes, side):
    source = LatLonGrid(np.arange(latitudes[0], latitudes[1], 0.25), np.arange(longitudes[0], longitudes[1], 0.25))
    with pytest.raises(UsageError, match=f"80000 m wide .* half or more of its {side} side"):
        BoundaryPoints.of(source, REGION, width=80e3, overlap=True)


def test_a_source_along_half_of_a_side_is_refused():
    grid = boundary_grid(REGION, spacing=25e3, width=50e3)
    latitudes, longitudes = grid.latitude(), grid.longitude()
    kept = ~((np.arange(grid.ny)[:, None] >= grid.ny // 2) & (np.arange(grid.nx) < 2))  # no north-western corner
    source = CurvilinearGrid(latitudes[kept][None], longitudes[kept][None])
    with pytest.raises(UsageError, match="west side"):
        BoundaryPoints.of(source, REGION, width=50e3, overlap=True)


def test_a_frame_narrower_than_the_spacing_is_refused_with_both_numbers():
    with pytest.raises(UsageError, match=r"361 × 720 points.*spacing of 5000 m or less"):
        BoundaryPoints.of(global_grid(), REGION, width=5e3, overlap=True)
    with pytest.raises(UsageError, match="width above 0 m; found 0"):
        BoundaryPoints.of(global_grid(), REGION, width=0.0, overlap=True)


def test_points_must_have_one_shape_and_finite_coordinates():
    index, ones = np.arange(3), np.ones(3)
    with pytest.raises(InputError, match="one shape"):
        BoundaryPoints(index, ones, np.ones(2))
    with pytest.raises(InputError, match="one shape"):
        BoundaryPoints(index[:0], ones[:0], ones[:0])
    with pytest.raises(InputError, match="finite"):
        BoundaryPoints(index, ones, ones * np.inf)
