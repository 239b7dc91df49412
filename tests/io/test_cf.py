"""CF metadata: what each array says about itself."""

from dataclasses import replace

import numpy as np
import pytest
from archive_products import make_product, slot_time
from builders import small_grid, small_static
from pyproj import CRS

from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io import cf
from rtma_diffda.variables import VARIABLES

NEAR_SURFACE = [name for name in VARIABLES if name not in ("orog", "lsm", "tp")]


def arrays_by_name(names=("t2m", "u10m", "sp", "ceil"), members: int = 3) -> dict[str, cf.CfArray]:
    layout = Layout.of(small_grid(), names)
    arrays = [
        *cf.fixed_arrays(layout, small_static(), members),
        *cf.field_arrays(layout, cf.field_kinds(members)),
        *cf.slot_arrays(),
    ]
    return {array.name: array for array in arrays}


def test_an_analysis_names_its_error_height_and_projection():
    attributes = arrays_by_name()["t2m"].attributes
    assert attributes["standard_name"] == "air_temperature"
    assert attributes["units"] == "K"
    assert attributes["units_metadata"] == "temperature: on_scale"
    assert attributes["ancillary_variables"] == "t2m_error status"
    assert attributes["coordinates"] == "latitude longitude height_2m"
    assert attributes["grid_mapping"] == "spatial_ref"
    assert attributes["cell_methods"] == "time: point"


def test_an_error_is_a_difference_with_a_modifier():
    attributes = arrays_by_name()["t2m_error"].attributes
    assert attributes["standard_name"] == "air_temperature standard_error"
    assert attributes["units_metadata"] == "temperature: difference"
    assert arrays_by_name()["t2m_spread"].attributes["units_metadata"] == "temperature: difference"
    assert arrays_by_name()["t2m_background"].attributes["units_metadata"] == "temperature: on_scale"
    assert "units_metadata" not in arrays_by_name()["u10m_error"].attributes


def test_a_quantity_without_standard_name_has_a_long_name_alone():
    for name in ("ceil", "ceil_error", "ceil_background"):
        attributes = arrays_by_name()[name].attributes
        assert "standard_name" not in attributes
        assert attributes["long_name"].startswith("ceiling height above ground")


def test_pressure_has_no_height_coordinate():
    arrays = arrays_by_name()
    assert arrays["sp"].attributes["coordinates"] == "latitude longitude"
    assert arrays["height_10m"].values == 10.0
    assert arrays["height_10m"].attributes["positive"] == "up"
    assert "height_2m" not in arrays_by_name(("sp", "u10m"))


@pytest.mark.parametrize("name", NEAR_SURFACE)
def test_every_variable_of_the_table_can_be_described(name):
    arrays = arrays_by_name((name,))
    assert arrays[name].attributes["units"] == VARIABLES[name].unit
    assert arrays[name].attributes.get("standard_name") == VARIABLES[name].standard_name


def test_without_an_error_field_none_is_referred_to():
    layout = Layout.of(small_grid(), ("t2m",))
    (array,) = cf.field_arrays(layout, (cf.ANALYSIS,))
    assert array.attributes["ancillary_variables"] == "status"


def test_the_grid_mapping_gives_the_projection_back():
    grid = small_grid()
    mapping = arrays_by_name()["spatial_ref"].attributes
    assert CRS.from_cf(dict(mapping)) == grid.crs
    assert mapping["semi_major_axis"] == mapping["semi_minor_axis"] == 6371200.0
    assert mapping["grid_mapping_name"] == "lambert_conformal_conic"


def test_a_mercator_grid_has_what_cf_requires():
    """Here, since the checker (6.1.0) takes the name of the one attribute it requires apart into letters."""
    grid = replace(small_grid(), projection="+proj=merc +lat_ts=20 +lon_0=-160 +a=6371200 +b=6371200 +units=m")
    layout = Layout.of(grid, ("t2m",))
    arrays = {array.name: array for array in cf.fixed_arrays(layout, StaticFields(grid), 0)}
    mapping = arrays["spatial_ref"].attributes
    assert mapping["grid_mapping_name"] == "mercator"
    assert (mapping["longitude_of_projection_origin"], mapping["standard_parallel"]) == (-160.0, 20.0)


def test_times_are_whole_seconds_since_1970():
    array = cf.time_array(np.array(["1970-01-02T00:15", "2026-01-01T00:15"], "datetime64[ns]"))
    assert array.values.tolist() == [87300, 1767226500]
    assert array.values.dtype == np.int64
    assert array.attributes["units"] == "seconds since 1970-01-01T00:00:00Z"
    assert cf.to_seconds(np.datetime64("NaT", "ns")) == cf.MISSING_TIME


def test_flags_are_explained_word_by_word():
    status = arrays_by_name()["status"]
    words = status.attributes["flag_meanings"].split()
    assert dict(zip(words, status.attributes["flag_values"].tolist(), strict=True)) == {
        "missing": cf.MISSING,
        "writing": cf.WRITING,
        "complete": cf.COMPLETE,
        "degraded": cf.DEGRADED,
    }
    assert status.attributes["flag_values"].dtype == np.dtype(status.dtype)


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [((96, 64, 64), (1, 64, 64)), ((96, 1597, 2345), (1, 400, 391)), ((96, 401, 400), (1, 201, 400))],
)
def test_chunks_are_one_slot_of_about_400_points_squared(shape, chunks):
    assert cf.chunk_lengths(("time", "y", "x"), shape) == chunks


def test_a_product_carries_the_checklist_of_global_attributes():
    product = make_product(3)
    attributes = cf.global_attributes("test", "A title", product.analysis.layout.grid, source="by hand")
    wanted = {"Conventions", "title", "institution", "source", "references", "comment", "dataset_id", "dataset_version"}
    wanted |= {"spatial_domain", "spatial_resolution", "time_domain", "time_resolution", "attribution", "license"}
    assert wanted <= set(attributes)
    assert attributes["Conventions"] == "CF-1.11"
    assert (attributes["title"], attributes["source"]) == ("A title", "by hand")
    assert product.valid_time == slot_time(3)
