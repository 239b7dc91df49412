import pytest
import yaml

from rtma_diffda.errors import UsageError
from rtma_diffda.geo.boundary_design import BoundaryDesign
from rtma_diffda.geo.region import load_region

REGION = {
    "name": "here",
    "title": "Here",
    "projection": {"proj": "lcc", "lat_1": 40, "lat_2": 40, "lat_0": 40, "lon_0": 0, "R": 6371200},
    "grid": {"nx": 8, "ny": 8, "dx": 5000, "dy": 5000, "centre": {"latitude": 40, "longitude": 0}},
    "variables": ["t2m"],
}


def region(tmp_path, **entries):
    path = tmp_path / "here.yaml"
    path.write_text(yaml.safe_dump(REGION | entries))
    return load_region(str(path))


def test_what_is_left_out_has_its_default(tmp_path):
    assert region(tmp_path).boundary == BoundaryDesign(spacing=30e3, width=90e3, overlap=True)
    assert region(tmp_path, boundary=None).boundary == BoundaryDesign()
    stated = region(tmp_path, boundary={"width": 60000, "overlap": False}).boundary
    assert stated == BoundaryDesign(spacing=30e3, width=60e3, overlap=False)


@pytest.mark.parametrize(
    ("boundary", "sentence"),
    [
        ({"width": 0}, "boundary.width must be a length in metres, more than 0; found 0"),
        ({"width": "90 km"}, "boundary.width must be.*found '90 km'"),
        ({"width": True}, "boundary.width must be.*found True"),
        ({"spacing": float("inf")}, "boundary.spacing must be"),
        ({"spacing": -1.0}, "boundary.spacing must be"),
        ({"overlap": "yes"}, "boundary.overlap must be true or false; found 'yes'"),
        ({"width": 20000}, "width of 20000 m holds no node of boundary.spacing 30000 m"),
        ({"rim": 3}, "unknown keys rim; expected some of spacing, width, overlap"),
        ([1, 2], "must be a mapping"),
    ],
)
def test_wrong_entries_are_refused_in_words(tmp_path, boundary, sentence):
    with pytest.raises(UsageError, match=sentence):
        region(tmp_path, boundary=boundary)
