"""``forecast model=graphcast``, from the command line to the store."""

import numpy as np
import pytest
import torch
import xarray as xr
from global_world import FIRST, SIX_HOURS, global_dataset, small_network, small_statistics, small_task, write_store

from rtma_diffda.backbones.graphcast.deepmind import model_config_of, task_config_of, to_deepmind
from rtma_diffda.cli.main import main
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments import global_forecast
from rtma_diffda.experiments.forecast import ForecastSettings, run_forecast
from rtma_diffda.experiments.global_forecast import GlobalForecastSettings, chosen_device, run_global_forecast
from rtma_diffda.forecast.graphcast_checkpoint import graphcast_forecast_checkpoint, load_graphcast
from rtma_diffda.forecast.steps import forecast_states
from rtma_diffda.io.checkpoint import write_checkpoint
from rtma_diffda.io.deepmind_checkpoint import DeepMindCheckpoint, write_deepmind_checkpoint
from rtma_diffda.io.global_statistics import write_global_statistics
from rtma_diffda.io.weatherbench import open_archive
from rtma_diffda.io.weatherbench_forecast import GlobalForecastStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    dataset = global_dataset(times=5)
    dataset["geopotential_at_surface"] = dataset["geopotential_at_surface"] / 10.0
    return write_store(tmp_path_factory.mktemp("wb2") / "analyses.zarr", dataset)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    made = graphcast_forecast_checkpoint(small_network(seed=5))
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny", made, created="2026-01-01")


def expected(store, checkpoint, steps):
    archive = open_archive(store)
    model = load_graphcast(checkpoint, static=archive.static)
    archive = archive.selected(model.network.keys)
    return forecast_states(model, [archive.state(FIRST), archive.state(FIRST + SIX_HOURS)], None, steps=steps)


def read(path, name, lead, level=None):
    field = xr.open_zarr(path, decode_timedelta=True)[name].sel(prediction_timedelta=lead).isel(time=0)
    return field.values if level is None else field.sel(level=level).values


def test_the_verb_writes_a_roll_out(store, checkpoint, tmp_path, capsys):
    arguments = [
        f"initial={store}",
        f"checkpoint={checkpoint}",
        "steps=3",
        f"output={tmp_path}",
        "time=2016-03-01T06:00",
    ]
    assert main(["forecast", "model=graphcast", *arguments]) == 0
    path = tmp_path / "rtma_diffda.global.forecast.20160301T0600Z.zarr"
    told = capsys.readouterr().out
    assert "graphcast from 2016-03-01T06:00Z, 3 steps of 6 h on 8 × 16 points" in told and str(path) in told
    for k, state in enumerate(expected(store, checkpoint, 3), 1):
        assert np.array_equal(read(path, "2m_temperature", k * SIX_HOURS), state.channel("t2m")[0])
        assert np.array_equal(read(path, "geopotential", k * SIX_HOURS, 850), state.channel("z850")[0])


def test_scores_are_those_of_forecast_and_persistence(store, checkpoint, tmp_path):
    settings = GlobalForecastSettings(str(store), None, str(checkpoint), steps=2, output=str(tmp_path), progress=False)
    text = run_global_forecast(settings).text
    archive = open_archive(store)
    truth, start = (archive.state(FIRST + k * SIX_HOURS).channel("t2m")[0].double() for k in (3, 1))
    forecast = expected(store, checkpoint, 2)[1].channel("t2m")[0].double()
    area = torch.from_numpy(archive.layout.grid.cell_area())
    rmse = [float(((one - truth).square() * area).sum() / area.sum()) ** 0.5 for one in (forecast, start)]
    line = next(row for row in text.splitlines() if row.split()[:1] == ["12"])
    assert f"{rmse[0]:.3g} / {rmse[1]:.3g}" in line


def test_an_interrupted_forecast_goes_on_to_the_same_states(store, checkpoint, tmp_path, monkeypatch):
    whole = GlobalForecastSettings(
        str(store), None, str(checkpoint), steps=4, output=str(tmp_path / "a"), progress=False
    )
    run_global_forecast(whole)
    append = GlobalForecastStore.append

    def failing(self, values):
        if self.done == 2:
            raise KeyboardInterrupt
        append(self, values)

    monkeypatch.setattr(GlobalForecastStore, "append", failing)
    broken = GlobalForecastSettings(
        str(store), None, str(checkpoint), steps=4, output=str(tmp_path / "b"), progress=False
    )
    with pytest.raises(KeyboardInterrupt):
        run_global_forecast(broken)
    monkeypatch.undo()
    summary = run_global_forecast(broken)
    assert "steps 1 … 2 were there" in summary.text
    one, other = (xr.open_zarr(tmp_path / d / summary.files["forecast"].name).load() for d in "ab")
    assert one.drop_attrs().identical(other.drop_attrs())
    assert "steps 1 … 4 were there" in run_global_forecast(broken).text


def test_a_published_file_with_statistics_and_precipitation(store, tmp_path):
    """The operational model's: precipitation is written, and not fed back."""
    network = small_network(seed=5, task=small_task(diagnostic_precipitation=True))
    settings, task = network.backbone.settings, network.backbone.task
    params = to_deepmind(network.network.state_dict(), settings)
    stored = DeepMindCheckpoint(params, model_config_of(settings, resolution=22.5), task_config_of(task))
    file = write_deepmind_checkpoint(tmp_path / "GraphCast.npz", stored)
    write_global_statistics(tmp_path / "stats", small_statistics())
    told = run_forecast(
        ForecastSettings(
            model="graphcast", initial=str(store), checkpoint=str(file), statistics=str(tmp_path / "stats"), steps=2,
            output=str(tmp_path / "out"), progress=False,
        )
    )  # fmt: skip
    rain = read(told.files["forecast"], "total_precipitation_6hr", 2 * SIX_HOURS)
    assert np.isfinite(rain).all() and rain.std() > 0


def test_without_later_analyses_there_are_no_scores(tmp_path, checkpoint):
    short = write_store(tmp_path / "short.zarr", global_dataset(times=2))
    settings = GlobalForecastSettings(str(short), None, str(checkpoint), steps=1, output=str(tmp_path), progress=False)
    assert "no later states to compare with" in run_global_forecast(settings).text


def test_packaged_sample_and_model_are_the_defaults(store, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(global_forecast, "packaged_sample", lambda: store)
    monkeypatch.setattr(global_forecast, "packaged_graphcast", lambda: checkpoint)
    assert main(["forecast", "model=graphcast", "steps=1", f"output={tmp_path}", "progress=false"]) == 0
    assert (tmp_path / "rtma_diffda.global.forecast.20160301T0600Z.zarr").is_dir()


def test_what_is_wrong_is_said(store, checkpoint, tmp_path, capsys):
    arguments = [f"checkpoint={checkpoint}", f"output={tmp_path}", "model=graphcast", "device=cpu"]
    assert main(["forecast", *arguments, f"initial={tmp_path}/none.zarr"]) == 3
    assert "none.zarr does not exist" in capsys.readouterr().err
    assert main(["forecast", *arguments, f"initial={store}", "time=2016-03-01T00:00"]) == 3
    assert "has no state at 2016-02-29T18:00Z" in capsys.readouterr().err
    assert main(["forecast", *arguments, f"initial={store}", "region=demo"]) == 2
    assert "takes no region" in capsys.readouterr().err
    assert main(["forecast", "model=limited_area"]) == 2
    with pytest.raises(UsageError, match="steps"):
        GlobalForecastSettings(steps=0)
    bare = write_store(tmp_path / "bare.zarr", global_dataset(times=2).drop_vars(["temperature", "land_sea_mask"]))
    with pytest.raises(InputError, match="needs terrain and land"):
        run_global_forecast(GlobalForecastSettings(str(bare), None, str(checkpoint), output=str(tmp_path)))
    fewer = write_store(tmp_path / "fewer.zarr", global_dataset(times=2).drop_vars("temperature"))
    with pytest.raises(InputError, match="lacks temperature at 500 hPa, temperature at 850 hPa"):
        run_global_forecast(GlobalForecastSettings(str(fewer), None, str(checkpoint), output=str(tmp_path)))


def test_devices():
    assert chosen_device("cpu") == torch.device("cpu")
    assert chosen_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(UsageError, match="device 'abacus'"):
        chosen_device("abacus")
