"""Aerodromes of a region: inside it, of known height."""

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.geo.region import load_region
from rtma_diffda.observations.ingest.aerodromes import aerodromes
from rtma_diffda.observations.ingest.stations import StationTable


def table_of(rows):
    columns = ["station", "latitude", "longitude", "elevation", "source"]
    return StationTable(pd.DataFrame(rows, columns=columns).set_index("station"))


def test_only_places_inside_with_a_height_are_found():
    rows = [
        ("EDDF", 50.03, 8.57, 111.0, "x"),
        ("AAAA", 44.9, -0.3, 50.0, "x"),
        ("BBBB", 44.9, -0.2, np.nan, "x"),
        ("CCCC", 45.3, 0.4, 0.5, "x"),
    ]
    found = aerodromes(load_region("osse_tiny").grid, table_of(rows[::-1]))
    assert list(found.columns) == ["station", "latitude", "longitude", "elevation"]
    assert found["station"].tolist() == ["AAAA", "CCCC"]
    assert found["elevation"].tolist() == [50.0, 0.5]


def test_the_installed_list_knows_portland_and_eugene():
    pytest.importorskip("airportsdata")
    grid = load_region("demo").grid
    found = aerodromes(grid).set_index("station")
    assert "KEUG" in found.index
    assert "KLAX" not in found.index
    assert found.loc["KEUG", "elevation"] == pytest.approx(114, abs=5)
    assert grid.contains(found["latitude"].to_numpy(), found["longitude"].to_numpy()).all()


def test_a_region_without_aerodromes_is_explained():
    with pytest.raises(InputError, match="none of 1 aerodromes"):
        aerodromes(load_region("osse_tiny").grid, table_of([("EDDF", 50.03, 8.57, 111.0, "x")]))
