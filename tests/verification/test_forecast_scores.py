import numpy as np
import pandas as pd
import pytest
import torch
from builders import NOON, small_grid

from rtma_diffda.errors import InputError
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.verification.comparison import comparison_table
from rtma_diffda.verification.forecast_scores import (
    ForecastLabel,
    distance_to_rim,
    forecast_rows,
    response_by_distance,
    rim_mask,
    seam_table,
)
from rtma_diffda.verification.run_moments import RunBootstrap

LAYOUT = Layout.of(small_grid(6, 5), ("t2m", "sp"))
CALM = State(torch.zeros(1, *LAYOUT.shape), LAYOUT, NOON)
RIM = rim_mask((5, 6), 1)


def forecast(inner: float, outer: float, *, members: int = 1) -> State:
    """Errors of one size in the interior and of another in the rim; pressure's are ten times as large."""
    error = torch.from_numpy(np.where(RIM, outer, inner)) * torch.tensor([1.0, 10.0])[:, None, None]
    return State(error.expand(members, -1, -1, -1), LAYOUT, NOON)


def rows(**methods: tuple[float, float]) -> pd.DataFrame:
    """Two runs, of which the second has errors twice as large."""
    found = []
    for name, sizes in methods.items():
        for run, factor in (("a", 1.0), ("b", 2.0)):
            state = forecast(*(factor * size for size in sizes))
            found += forecast_rows(state, CALM, ForecastLabel("3 h", name, run), rim=1)
    return pd.DataFrame(found)


def test_the_rim_is_the_outermost_points():
    assert RIM.sum() == 30 - 12 and not RIM[1:-1, 1:-1].any()
    assert rim_mask((5, 6), 2).sum() == 30 - 2
    with pytest.raises(InputError, match="no interior"):
        rim_mask((5, 6), 3)


def test_errors_are_scored_where_they_are():
    table = comparison_table(rows(a=(1.0, 3.0)), reference="a").set_index(["place", "variable"])
    size = np.sqrt((1.0 + 4.0) / 2.0)
    assert table.loc[("interior", "t2m"), "rmse"] == pytest.approx(size)
    assert table.loc[("rim", "sp"), "rmse"] == pytest.approx(30.0 * size)
    assert table.loc[("grid", "t2m"), "rmse"] == pytest.approx(size * np.sqrt((12 * 1.0 + 18 * 9.0) / 30))
    assert table.loc[("rim", "t2m"), "n"] == 2 * 18


def test_members_are_scored_by_their_mean():
    pair = forecast(1.0, 1.0, members=2)
    pair = pair.with_values(pair.values * torch.tensor([0.5, 1.5])[:, None, None, None])
    found = list(forecast_rows(pair, CALM, ForecastLabel("1 h", "a", "r"), rim=1))
    assert found[0]["mse"] == pytest.approx(1.0) and found[0]["bias"] == pytest.approx(1.0)


def test_a_seam_is_what_the_weather_does_not_explain():
    """Weather changes twice as much at the rim: a forecast whose errors do too has no seam."""
    seams = seam_table(
        rows(persistence=(2.0, 4.0), even=(1.0, 2.0), seamed=(1.0, 5.0)),
        reference="persistence",
        bootstrap=RunBootstrap(iterations=50),
    ).set_index("method")
    assert seams.loc["persistence", "rim_over_interior"] == pytest.approx(2.0)
    assert seams["seam"].to_dict() == pytest.approx({"persistence": 1.0, "even": 1.0, "seamed": 2.5})
    assert seams.loc["seamed", "seam_low"] == pytest.approx(2.5) == pytest.approx(seams.loc["seamed", "seam_high"])


def test_responses_are_put_in_bands_by_distance_from_the_rim():
    distance = distance_to_rim((8, 9))
    assert distance[0].max() == 0 and distance[3, 4] == 3 and distance[2, 7] == 1
    change = np.where(distance < 2, 4.0, 3.0) * np.array([1.0, -1.0])[:, None, None]
    found = response_by_distance(change, width=2)
    assert found["first"].tolist() == [0, 2] and found["rms"].tolist() == [4.0, 3.0]


def test_other_times_are_not_compared():
    later = State(CALM.values, LAYOUT, NOON + np.timedelta64(1, "h"))
    with pytest.raises(InputError, match="cannot be scored"):
        list(forecast_rows(later, CALM, ForecastLabel("1 h", "a", "r"), rim=1))
