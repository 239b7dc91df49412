"""Locations of stations from a file in the form of DiffDA's ``obs_coords.csv``."""

import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.observations.ingest.column_locations import read_column_places


def write(tmp_path, text: str):
    path = tmp_path / "obs_coords.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_places_are_read_in_order_and_repeats_are_kept(tmp_path):
    places = read_column_places(write(tmp_path, "FID,X,Y\n0,-0.5,51.5\n1,179.9,-90\n2,-0.5,51.5\n"))
    assert places.latitude.tolist() == [51.5, -90.0, 51.5]
    assert places.longitude.tolist() == [-0.5, 179.9, -0.5]
    assert len(places) == 3 and len(places.distinct()) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lon,lat\n0,0\n", r"lacks the columns \['X', 'Y'\]; expected X \(longitude\)"),
        ("X,Y\n1,2\n3,north\n", "column Y of row 2 is 'north'"),
        ("X,Y\n1,2\n3\n", "1 lines are no rows; the first, '3'"),
        ("X,Y\n1,2\n3,95\n", "obs_coords.csv: 1 of 2 places"),
        ("X,Y\n1,nan\n", "column Y of row 1 is 'nan'"),
        ("", "is empty"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_column_places(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_column_places(tmp_path / "none.csv")
