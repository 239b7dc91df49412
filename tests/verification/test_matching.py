"""Matched pairs: every datum beside its equivalents, channels named, members averaged, wrong shapes refused."""

import numpy as np
import pytest
import torch

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.geo.grid import ProjectedGrid
from rtma_diffda.observations.table import Observations
from rtma_diffda.verification.matching import DATUM_COLUMNS, matched_pairs, sources_of

LAYOUT = Layout.of(
    ProjectedGrid("+proj=lcc +lat_1=45 +lon_0=10 +R=6371200 +units=m", 4, 4, 1e4, 1e4, 0, 0), ["t2m", "d2m"]
)


@pytest.fixture
def observations() -> Observations:
    return Observations(
        value=torch.tensor([280.0, 275.0, 281.0], dtype=torch.float64),
        error_std=torch.tensor([1.0, 1.5, 1.0], dtype=torch.float64),
        latitude=torch.tensor([45.0, 45.0, 46.0], dtype=torch.float64),
        longitude=torch.tensor([10.0, 10.0, 11.0], dtype=torch.float64),
        elevation=torch.tensor([100.0, 100.0, float("nan")], dtype=torch.float64),
        channel=torch.tensor([0, 1, 0]),
        valid_time=np.full(3, np.datetime64("2026-01-01T00:15", "ns")),
        station=np.array(["LOWI", "LOWI", "LOWS"], dtype=object),
        network=np.full(3, "metar", dtype=object),
        flags=np.zeros(3, np.int32),
        bound=np.zeros(3, np.int8),
    )


def test_rows_name_the_datum_and_hold_every_source(observations):
    pairs = matched_pairs(
        observations,
        {"background": torch.tensor([279.0, 274.0, 283.0]), "ensemble": torch.tensor([[280.0, 1, 2], [282.0, 3, 4]])},
        layout=LAYOUT,
        error_stds={"ensemble": np.array([0.5, 0.6, 0.7])},
    )
    assert list(pairs) == [*DATUM_COLUMNS, "background", "ensemble", "ensemble_error_std"]
    assert sources_of(pairs.assign(fold=1)) == ["background", "ensemble"]
    assert pairs["variable"].tolist() == ["t2m", "d2m", "t2m"]
    assert pairs["observed"].tolist() == [280.0, 275.0, 281.0]
    assert pairs["ensemble"].tolist() == [281.0, 2.0, 3.0]
    assert pairs["ensemble_error_std"].tolist() == [0.5, 0.6, 0.7]
    assert pairs["station"].tolist() == ["LOWI", "LOWI", "LOWS"]
    assert np.isnan(pairs["elevation"].iloc[2])


def test_no_data_give_no_rows(observations):
    pairs = matched_pairs(observations.select(np.zeros(3, bool)), {"background": torch.zeros(1, 0)}, layout=LAYOUT)
    assert len(pairs) == 0
    assert sources_of(pairs) == ["background"]


def test_refusals(observations):
    with pytest.raises(InputError, match=r"'background' has values of shape \(2,\) for 3 observations"):
        matched_pairs(observations, {"background": np.zeros(2)}, layout=LAYOUT)
    with pytest.raises(UsageError, match="may not be called"):
        matched_pairs(observations, {"observed": np.zeros(3)}, layout=LAYOUT)
