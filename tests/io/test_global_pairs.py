"""Pairs of truths and stored forecasts: to float16 of the error, resumable, and read by valid time and lead time."""

import numpy as np
import pytest
import torch
import xarray as xr
from global_world import FIRST, SIX_HOURS, global_dataset, write_store

from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.io.global_pairs import JoinedPairs, StoredGlobalPairs, open_forecasts, remembered
from rtma_diffda.io.stored_backgrounds import BackgroundsDesign, BackgroundsWriter, read_backgrounds
from rtma_diffda.io.weatherbench import open_archive

DAY = 4 * SIX_HOURS


@pytest.fixture
def archive(tmp_path):
    return open_archive(write_store(tmp_path / "truth.zarr", global_dataset(times=8)))


def design_of(archive, *, lead=DAY, source="a model", count=5):
    unit = torch.linspace(0.5, 2.0, len(archive.layout.channels))
    return BackgroundsDesign(archive.layout, archive.valid_times[-count:], lead, unit, source)


def forecasts_of(archive, times, seed=0):
    generator = torch.Generator().manual_seed(seed)
    truth = archive.values(times)
    return truth + torch.randn(truth.shape, generator=generator), truth


def stored(archive, directory, **changes):
    design = design_of(archive, **changes)
    forecasts, truth = forecasts_of(archive, design.valid_times)
    BackgroundsWriter(directory, design).append(forecasts, truth)
    return forecasts, truth


def test_forecasts_are_kept_to_three_digits_of_their_error(archive, tmp_path):
    forecasts, truth = stored(archive, tmp_path / "b")
    found = read_backgrounds(tmp_path / "b", archive)
    times = archive.valid_times[-5:]
    assert found.lead == DAY and (found.valid_times == times).all()
    error = found.values(times[[3, 0]]) - truth[[3, 0]]
    torch.testing.assert_close(error, (forecasts - truth)[[3, 0]], rtol=1e-3, atol=0.04)  # truths of 5e4 in float32
    t2m = archive.layout.index("t2m")
    torch.testing.assert_close(error[:, t2m], (forecasts - truth)[[3, 0], t2m], rtol=1e-3, atol=1e-4)


def test_an_interrupted_writer_goes_on_to_the_same_bits(archive, tmp_path):
    design = design_of(archive)
    forecasts, truth = forecasts_of(archive, design.valid_times)
    stored(archive, tmp_path / "whole")
    BackgroundsWriter(tmp_path / "parts", design).append(forecasts[:2], truth[:2])
    assert len(read_backgrounds(tmp_path / "parts", archive).valid_times) == 2
    again = BackgroundsWriter(tmp_path / "parts", design)
    assert again.done == 2
    again.append(forecasts[2:], truth[2:])
    whole, parts = (read_backgrounds(tmp_path / name, archive) for name in ("whole", "parts"))
    assert (np.asarray(whole.errors) == np.asarray(parts.errors)).all() and len(parts.valid_times) == 5


def test_other_forecasts_in_the_same_place_are_refused(archive, tmp_path):
    stored(archive, tmp_path / "b")
    with pytest.raises(UsageError, match=r"holds other forecasts: source differ \(source is a model there"):
        BackgroundsWriter(tmp_path / "b", design_of(archive, source="another"))
    with pytest.raises(InputError, match="holds other forecasts: channels"):
        read_backgrounds(tmp_path / "b", archive.selected(archive.keys[:3]))
    with pytest.raises(InputError, match="holds no forecasts; rtma-diffda train target=graphcast_pairs makes them"):
        read_backgrounds(tmp_path / "c", archive)
    design = design_of(archive)
    bad, truth = forecasts_of(archive, design.valid_times)
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="are not finite"):
        BackgroundsWriter(tmp_path / "n", design).append(bad, truth)


def test_pairs_of_two_lead_times_are_members_of_one_set(archive, tmp_path):
    day, _ = stored(archive, tmp_path / "24")
    six, _ = stored(archive, tmp_path / "6", lead=SIX_HOURS, count=3)
    truth = remembered(archive)
    leads = [(lead, read_backgrounds(tmp_path / name, truth)) for lead, name in ((DAY, "24"), (SIX_HOURS, "6"))]
    pairs = StoredGlobalPairs(truth, leads, archive.static)
    assert len(pairs) == 8
    batch = pairs.select(np.array([7, 1]))
    assert batch.lead.tolist() == np.array([6, 24], "timedelta64[h]").astype("m8[m]").tolist()
    assert (batch.valid_time == archive.valid_times[[7, 4]]).all()
    torch.testing.assert_close(batch.truth, archive.values(batch.valid_time))
    expected = torch.stack([six[2], day[1]])
    torch.testing.assert_close(batch.background, expected, rtol=1e-5, atol=0.05)
    np.testing.assert_allclose(batch.orography.numpy(), archive.static.orography, rtol=1e-6)
    late = StoredGlobalPairs(truth, leads, archive.static, period=(archive.valid_times[6], archive.valid_times[7]))
    joined = JoinedPairs([pairs, late])
    assert len(late) == 4 and len(joined) == 12
    across = joined.select(np.array([9, 0]))
    assert sorted(across.valid_time) == [archive.valid_times[3], archive.valid_times[7]]
    with pytest.raises(InputError, match="there are no forecasts whose valid time the archive has"):
        StoredGlobalPairs(truth, leads, archive.static, period=(FIRST, FIRST))


def test_states_are_remembered_as_far_as_memory_is_allowed(archive):
    times = archive.valid_times[2:6]
    kept = remembered(archive, (times[0], times[-1]))
    assert (kept.valid_times == times).all()
    torch.testing.assert_close(kept.values(times[[2, 0]]), archive.values(times[[2, 0]]), rtol=0, atol=0)
    assert remembered(archive, memory_limit=1000) is archive


def test_forecast_stores_of_weatherbench_are_read_by_valid_time(archive, tmp_path):
    leads = np.array([6, 24], "timedelta64[h]").astype("timedelta64[ns]")
    parts = [global_dataset(times=4, seed=i + 1) for i in range(2)]
    whole = xr.concat(parts, xr.DataArray(leads, dims="prediction_timedelta", name="prediction_timedelta"))
    for name in ("geopotential_at_surface", "land_sea_mask"):
        whole[name] = whole[name].isel(prediction_timedelta=0, drop=True)
    path = write_store(tmp_path / "forecasts.zarr", whole, as_published="as it is")
    found = open_forecasts(path, np.timedelta64(24, "h"), archive.keys)
    assert (found.valid_times == FIRST + DAY + np.arange(4) * SIX_HOURS).all()
    expected = parts[1]["geopotential"].sel(level=850)[2].values
    z850 = found.values(found.valid_times[[2]])[0, archive.layout.index("z850")]
    np.testing.assert_array_equal(z850.numpy(), expected)
    pairs = StoredGlobalPairs(archive, [(DAY, found)], archive.static)
    assert len(pairs) == 4 and (pairs.select([0]).valid_time == FIRST + DAY).all()
    with pytest.raises(InputError, match="has no forecasts of 12 hours"):
        open_forecasts(path, np.timedelta64(12, "h"), archive.keys)
