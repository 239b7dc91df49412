"""The account of observations: every datum offered is used, withheld or rejected, and reasons are named."""

import pandas as pd

from rtma_diffda.observations.flags import Flag
from rtma_diffda.verification.account import observation_account


def test_counts_by_variable_and_reason():
    flags = [0, 0, Flag.WITHHELD, Flag.WITHHELD | Flag.RANGE, Flag.RANGE | Flag.BACKGROUND, Flag.BACKGROUND]
    table = pd.DataFrame({"variable": ["t2m"] * 5 + ["d2m"], "flags": [int(flag) for flag in flags]})
    account = observation_account(table)
    assert account.columns.tolist() == ["variable", "offered", "used", "withheld", "rejected", "range", "background"]
    assert account.iloc[0].tolist() == ["t2m", 5, 2, 1, 2, 2, 1]
    assert account.iloc[1].tolist() == ["d2m", 1, 0, 0, 1, 0, 1]
    assert (account["used"] + account["withheld"] + account["rejected"] == account["offered"]).all()


def test_no_observations():
    assert observation_account(pd.DataFrame({"variable": [], "flags": pd.Series([], dtype=int)})).empty
