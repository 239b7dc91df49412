"""Tables as parquet files, written whole or not at all."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from rtma_diffda.errors import InputError
from rtma_diffda.io.atomic import explain_failures, write_file


def write_table(path: str | Path, frame: pd.DataFrame) -> Path:
    """Write a table to ``path`` (its directory is made when absent); replaces an older file.

    Raises:
        InputError: the file system refused; an older file is untouched.
    """
    path = Path(path)
    with explain_failures(f"directory {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    return write_file(path, lambda temporary: frame.to_parquet(temporary, engine="pyarrow", index=False))


def read_table(path: str | Path) -> pd.DataFrame:
    """Read what ``write_table`` wrote.

    Raises:
        InputError: no such file, or it is no parquet file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"table {path} does not exist")
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read as a parquet table: {error}") from error
