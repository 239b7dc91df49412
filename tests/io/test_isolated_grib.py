"""GRIB messages that end ecCodes' process: one field is lost, the others come out as if it had not been there."""

import logging

import numpy as np
import pytest
from grib_samples import LAT_LON, SP, T2M, grib_message

from rtma_diffda.errors import InputError
from rtma_diffda.io.gridded import find_fields, read_fields
from rtma_diffda.io.isolated_grib import decode_grib, field_from

pytest.importorskip("eccodes")
FIELD = 280.0 + np.arange(40.0).reshape(5, 8)


def crashing():
    """Complex packing that states more groups of values than there can be."""
    import eccodes

    handle = eccodes.codes_new_from_message(grib_message(FIELD, LAT_LON, T2M))
    eccodes.codes_set(handle, "packingType", "grid_complex")
    message = bytearray(eccodes.codes_get_message(handle))
    message[eccodes.codes_get(handle, "offsetSection5") + 31] = 255
    eccodes.codes_release(handle)
    return bytes(message)


def test_a_field_that_crashes_eccodes_is_left_out_with_a_sentence(tmp_path, caplog):
    path = tmp_path / "made.grib2"
    good = grib_message(FIELD * 300, LAT_LON, SP)
    path.write_bytes(good + crashing() + good)
    assert [reference.variable for reference in find_fields(path)] == ["sp", "t2m", "sp"]
    with caplog.at_level(logging.WARNING):
        first, second = read_fields(path)
    assert (first.variable, second.variable) == ("sp", "sp")
    np.testing.assert_allclose(second.values[::-1], FIELD * 300, atol=1e-1)
    assert "message 2 (2t) cannot be decoded" in caplog.text


def test_a_file_of_nothing_else_is_one_sentence(tmp_path):
    path = tmp_path / "made.grib2"
    path.write_bytes(crashing())
    with pytest.raises(InputError, match="none of its 1 fields"):
        read_fields(path)


def test_keys_and_values_come_through_exactly():
    values = np.where(FIELD == 285.0, np.nan, FIELD)
    keys, found = field_from(decode_grib(grib_message(values, LAT_LON, T2M), ("Nx", "gridType", "noSuchKey")))
    assert keys == {"Nx": 8, "gridType": "regular_ll"}
    assert np.flatnonzero(np.isnan(found)).tolist() == [5]
    np.testing.assert_allclose(found, values.ravel(), atol=1e-4)
    found[0] = 1.0  # the caller's own


@pytest.mark.parametrize("nonsense", [b"", b"{}", b"{\n", b"{}\n1234567"])
def test_an_answer_that_is_none_is_an_input_error(nonsense):
    with pytest.raises(InputError, match="nonsense"):
        field_from(nonsense)
