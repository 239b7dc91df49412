from dataclasses import replace

import numpy as np
import pytest
import torch
from regression_world import GRID, LAYOUT, NAMES, STATIC, pairs_of

from rtma_diffda.assimilation.simulated_observing import Observing, Reports, Stations, draw_stations, observe
from rtma_diffda.errors import UsageError
from rtma_diffda.observations.operators import BilinearOperator
from rtma_diffda.observations.simulated_errors import ERROR_STD
from rtma_diffda.observations.table import Observations

EXACT = dict.fromkeys(NAMES, 0.0)
STEADY = Observing(30, 30, none_share=0.0, usual_share=1.0)


def drawn(observing: Observing, *, members: int = 1, seed: int = 0) -> list[Reports]:
    return observe(pairs_of(members), observing, generator=torch.Generator().manual_seed(seed))


def as_observations(stations: Stations) -> Observations:
    """A datum of every variable at every station, variables outermost."""
    x, y = GRID.x0 + stations.position[:, 0].double(), GRID.y0 + stations.position[:, 1].double()
    longitude, latitude = positions(x.numpy(), y.numpy())
    n, count = len(stations), len(NAMES) * len(stations)
    tiled = {"latitude": latitude, "longitude": longitude, "elevation": stations.height.double().numpy()}
    return Observations(
        value=torch.zeros(count, dtype=torch.float64),
        error_std=torch.ones(count, dtype=torch.float64),
        **{name: torch.from_numpy(np.tile(column, len(NAMES))) for name, column in tiled.items()},
        channel=torch.arange(len(NAMES)).repeat_interleave(n),
        valid_time=np.full(count, np.datetime64("2026-03-01", "ns")),
        station=np.full(count, "X", dtype=object),
        network=np.full(count, "simulated", dtype=object),
        flags=np.zeros(count, np.int32),
        bound=np.zeros(count, np.int8),
    )


def positions(x, y):
    from rtma_diffda.geo.grid import transformer

    return transformer(GRID.projection).transform(x, y, direction="INVERSE")


def test_stations_see_what_the_operator_sees():
    """H of the background, heights and pressure included, as ``BilinearOperator`` has it."""
    batch, report = pairs_of(1), drawn(STEADY)[0]
    observations = as_observations(report.stations)
    expected = BilinearOperator(LAYOUT, STATIC)(batch.background.double(), observations)[0].view(len(NAMES), -1)
    # the nearest digits of float32: 0.01 Pa in 1e5, 3e-5 K in 300; positions carry a centimetre
    np.testing.assert_allclose(report.background[:4], expected[:4], atol=2e-3)
    np.testing.assert_allclose(report.background[4], expected[4], atol=0.5)


def test_exact_reports_are_the_truth_less_the_background():
    batch, report = pairs_of(1), drawn(replace(STEADY, error_std=EXACT))[0]
    difference = report.stations.at((batch.truth - batch.background)[0])
    torch.testing.assert_close(report.innovation[:4], difference[:4], rtol=0, atol=1e-3)
    # pressure differences grow and shrink with the ratio of pressures, within a few percent
    torch.testing.assert_close(report.innovation[4], difference[4], rtol=0.1, atol=0.5)


def test_errors_have_the_standard_deviations_asked_for():
    exact, noisy = (
        drawn(replace(STEADY, most=60, fewest=60, error_std=std), members=12, seed=4) for std in (EXACT, ERROR_STD)
    )
    errors = torch.cat([b.innovation - a.innovation for a, b in zip(exact, noisy, strict=True)], dim=1)
    asked = torch.tensor([ERROR_STD[name] for name in NAMES])
    torch.testing.assert_close(errors[[0, 2, 3, 4]].std(dim=1), asked[[0, 2, 3, 4]], rtol=0.1, atol=0.0)
    assert torch.equal(noisy[0].error_std, asked[:, None].expand(-1, 60))


def test_numbers_and_error_factors_cover_their_ranges():
    observing = Observing(5, 80, none_share=0.2, usual_share=0.5)
    reports = drawn(observing, members=60, seed=2)
    counts = np.array([len(report.stations) for report in reports])
    factors = np.array([float(report.error_std[0, 0]) / ERROR_STD["t2m"] for report in reports if len(report.stations)])
    assert 3 <= (counts == 0).sum() <= 22
    assert counts[counts > 0].min() >= 5 and counts.max() <= 80
    assert np.median(counts[counts > 0]) == pytest.approx(20, rel=0.5)  # log-uniform: the geometric mean
    assert 0.3 <= np.isclose(factors, 1.0).mean() <= 0.7
    assert factors.min() >= 0.05 and factors.max() <= 2.0 and factors.min() < 0.2


def test_stations_keep_to_low_land_and_off_the_edge():
    terrain, land = (
        torch.from_numpy(np.asarray(part, np.float32)) for part in (STATIC.orography, STATIC.land_fraction)
    )
    generator = torch.Generator().manual_seed(0)
    networks = [draw_stations(terrain, land, (1e4, 1e4), count=20, generator=generator) for _ in range(20)]
    at = torch.cat([network.position for network in networks]) / 1e4
    assert float(at.min()) >= 2.5 and float(at.max()) <= 12.5
    on_land = torch.cat([network.nearest(land) for network in networks]) >= 0.5
    share_of_land = float((land[3:-3, 3:-3] >= 0.5).float().mean())
    assert float(on_land.float().mean()) > share_of_land
    heights = torch.cat([network.height - network.at(terrain) for network in networks])
    assert 5.0 < float(heights.std()) < 200.0


def test_gross_errors_are_gross_and_rare():
    plain, spoilt = (drawn(replace(STEADY, gross_error_rate=rate), members=20, seed=1) for rate in (0.0, 0.1))
    sizes = torch.cat([(r.innovation / r.error_std).flatten() for r in spoilt]).abs()
    usual = torch.cat([(r.innovation / r.error_std).flatten() for r in plain]).abs()
    assert 0.03 < float((sizes > 7.0).float().mean()) - float((usual > 7.0).float().mean()) < 0.15


def test_same_generator_gives_the_same_reports():
    first, second = drawn(STEADY, seed=9)[0], drawn(STEADY, seed=9)[0]
    assert torch.equal(first.innovation, second.innovation)
    assert torch.equal(first.stations.height, second.stations.height)


def test_more_stations_than_room_are_as_many_as_fit():
    report = drawn(Observing(5000, 5000, none_share=0.0))[0]
    assert len(report.stations) == 10 * 10


@pytest.mark.parametrize(
    ("change", "message"),
    [({"fewest": 0}, "positive"), ({"fewest": 500}, "order"), ({"none_share": 2.0}, "0 … 1")],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Observing(**change)


def test_variables_without_an_error_are_refused():
    with pytest.raises(UsageError, match="no observation error for d2m"):
        drawn(Observing(error_std={"t2m": 1.0, "u10m": 1.0, "v10m": 1.0, "sp": 1.0}, none_share=0.0))
