"""The account of the observations: how many were offered, used and withheld, and how many have which flag."""

import pandas as pd

from rtma_diffda.observations.flags import Flag


def observation_account(table: pd.DataFrame) -> pd.DataFrame:
    """Counts of data by variable.

    A datum with several flags counts under each, so the reasons may add up to more than the data not used.

    Args:
        table: with columns ``variable`` and ``flags``, such as the observation table.

    Returns:
        One row a variable, in order of appearance: ``variable``, ``offered``, ``used`` (no flag), ``withheld`` (no
        other flag than that), ``rejected`` (any other flag), and one column each reason that occurs, in the order of
        ``Flag``.
    """
    flags = table["flags"]
    counts = {
        "offered": flags >= 0,
        "used": flags == 0,
        "withheld": flags == int(Flag.WITHHELD),
        "rejected": (flags & ~int(Flag.WITHHELD)) != 0,
    }
    reasons = {flag.name.lower(): (flags & int(flag)) != 0 for flag in Flag if flag != Flag.WITHHELD}
    counts |= {name: rows for name, rows in reasons.items() if rows.any()}
    account = pd.DataFrame(counts).astype(int).groupby(table["variable"], sort=False).sum()
    return account.rename_axis("variable").reset_index()
