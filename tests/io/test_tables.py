"""Parquet tables: what is written is read, and a failed write leaves what was there."""

import numpy as np
import pandas as pd
import pytest

from rtma_diffda.errors import InputError
from rtma_diffda.io.tables import read_table, write_table
from rtma_diffda.observations.table import as_table

FRAME = as_table(pd.DataFrame({
    "station": ["EDDF", "0-20000-0-10637"], "variable": ["t2m", "sp"], "value": [280.15, 99000.0],
    "latitude": [50.0, 50.1], "longitude": [8.6, 8.5],
    "valid_time": np.array(["2026-01-01T00:00", "2026-01-01T00:15"], "datetime64[ns]"),
}))  # fmt: skip


def test_a_table_comes_back_as_it_was(tmp_path):
    path = write_table(tmp_path / "new" / "observations.parquet", FRAME)
    pd.testing.assert_frame_equal(as_table(read_table(path)), FRAME)


def test_a_failed_write_leaves_the_older_file_and_nothing_else(tmp_path):
    path = write_table(tmp_path / "observations.parquet", FRAME)
    with pytest.raises(Exception, match="object"):
        write_table(path, pd.DataFrame({"odd": [object()]}))
    pd.testing.assert_frame_equal(as_table(read_table(path)), FRAME)
    assert [file.name for file in tmp_path.iterdir()] == ["observations.parquet"]


def test_what_is_no_table_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read as a parquet table"):
        read_table(tmp_path / "text.parquet")
    path = write_table(tmp_path / "cut.parquet", FRAME)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read as a parquet table"):
        read_table(path)
