"""``analyse`` from the command line: what it leaves behind, and what bad input does."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from rtma_diffda.cli.main import main
from rtma_diffda.fields.layout import Layout
from rtma_diffda.fields.state import State
from rtma_diffda.geo.boundary_points import boundary_grid
from rtma_diffda.geo.region import load_region
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.io.archive import Archive
from rtma_diffda.io.forecast_file import ForecastProduct, write_forecast
from rtma_diffda.observations.flags import Flag
from rtma_diffda.resources import resource_directory

TIME = np.datetime64("2026-06-15T20:00", "ns")


def replaced(arguments: list[str], **changes: object) -> list[str]:
    kept = [word for word in arguments if word.split("=")[0] not in changes]
    return kept + [f"{key}={value}" for key, value in changes.items()]


def test_one_analysis_leaves_everything_a_user_needs(arguments, tmp_path, capsys, world):
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "withheld stations" in printed and "optimal interpolation" in printed
    out = tmp_path / "out"
    archive = Archive.open(out / "archive", create=False)
    assert list(archive.times()) == [TIME]
    stored = archive.read(TIME)
    assert {"t2m", "t2m_background", "t2m_error", "sp"} <= set(stored.data_vars)
    with xr.open_dataset(next((out / "netcdf").glob("*.nc")), engine="netcdf4") as file:
        assert np.array_equal(file["t2m"].squeeze().values, stored["t2m"].values)
    feedback = pd.read_parquet(next((out / "feedback").glob("*.parquet")))
    used = feedback[feedback["flags"] == 0]
    assert used["oman"].abs().mean() < used["ombg"].abs().mean()
    withheld = feedback[feedback["flags"] == int(Flag.WITHHELD)]
    assert 0 < withheld["station"].nunique() < 20 and not set(withheld["station"]) & set(used["station"])
    assert (out / "report.html").stat().st_size > 50_000
    assert len(list((out / "maps").glob("*.png"))) == 2
    truth = world.truth[0].channel("t2m")[0].numpy()
    errors = {name: np.sqrt(np.mean((stored[name].values - truth) ** 2)) for name in ("t2m", "t2m_background")}
    assert errors["t2m"] < errors["t2m_background"]


def test_a_rerun_gives_the_same_bits_and_keeps_what_is_stored(arguments, tmp_path):
    assert main(arguments) == 0
    first = Archive.open(tmp_path / "out" / "archive", create=False).read(TIME)
    report = (tmp_path / "out" / "report.html").read_bytes()
    assert main(replaced(arguments, method="observation_interpolation")) == 0  # nothing is done
    assert (tmp_path / "out" / "report.html").read_bytes() == report
    again = replaced(arguments, output=tmp_path / "again")
    assert main(again) == 0
    for other in ("out", "again"):
        second = Archive.open(tmp_path / other / "archive", create=False).read(TIME)
        assert np.array_equal(first["t2m"].values, second["t2m"].values)


def test_withheld_values_do_not_change_the_analysis(arguments, tmp_path, world):
    assert main(arguments) == 0
    feedback = pd.read_parquet(next((tmp_path / "out" / "feedback").glob("*.parquet")))
    table = feedback.drop(columns=["ombg", "oman"]).assign(flags=0)
    hidden = table["station"].isin(set(feedback.loc[(feedback["flags"] & int(Flag.WITHHELD)) != 0, "station"]))
    spoilt = tmp_path / "spoilt.parquet"
    table.assign(value=table["value"] + 2.0 * hidden).to_parquet(spoilt)
    plain = tmp_path / "plain.parquet"
    table.to_parquet(plain)
    fields = []
    for name, file in (("a", plain), ("b", spoilt)):
        assert main(replaced(arguments, observations=file, output=tmp_path / name)) == 0
        fields.append(Archive.open(tmp_path / name / "archive", create=False).read(TIME)["t2m"].values)
    assert np.array_equal(*fields)


def test_a_variable_without_data_is_a_degraded_analysis(arguments, tmp_path, capsys, world):
    table = tmp_path / "only_pressure.parquet"
    assert main(["ingest", str(world.bulletins[0]), "time=2026-06-15T20:00", f"stations={world.station_table}",
                 f"output={tmp_path / 'ingested'}"]) == 0  # fmt: skip
    ingested = pd.read_parquet(tmp_path / "ingested" / "observations.parquet")
    ingested[ingested["variable"] == "sp"].to_parquet(table)
    assert main(replaced(arguments, observations=table)) == 4
    assert "t2m: no observation" in capsys.readouterr().err
    assert "t2m: no observation" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    stored = Archive.open(tmp_path / "out" / "archive", create=False)
    assert stored.status(TIME) == "degraded"
    assert np.array_equal(stored.read(TIME)["t2m"].values, stored.read(TIME)["t2m_background"].values)
    capsys.readouterr()
    assert main(replaced(arguments, observations=table)) == 4  # a rerun is as harmless, and as degraded
    assert "keeps it; nothing was written" in capsys.readouterr().out
    assert main(arguments) == 0  # a complete analysis takes its place without being asked to
    assert stored.status(TIME) == "complete"


def spoil(path, target, **changes):
    with xr.open_dataset(path, engine="netcdf4", decode_cf=False) as dataset:
        loaded = dataset.load()
    for name, change in changes.items():
        loaded[name] = change(loaded[name])
    loaded.to_netcdf(target, engine="netcdf4")
    return target


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"background": "nothing.nc"}, 3, "nothing.nc does not exist"),
        ({"observations": "nothing.txt"}, 3, "nothing.txt"),
        ({"time": "2026-06-15T21:00"}, 3, "no fields valid at 2026-06-15T21:00Z"),
        ({"time": "2026-06-15T20:07"}, 2, "15-minute slot"),
        ({"time": "noon"}, 2, "not ISO 8601"),
        ({"region": "atlantis"}, 2, "unknown region 'atlantis'"),
        ({"region": "hawaii"}, 3, "covers"),
        ({"variables": "[t2m,warmth]"}, 2, "unknown variable 'warmth'"),
        ({"variables": "[swh]"}, 3, "swh"),
        ({"window_minutes": "-1"}, 2, "window_minutes"),
        ({"method": "divination"}, 2, "divination"),
        ({"method.name": "divination"}, 2, "divination"),
        ({"quality_control.limit": "5"}, 2, "limit"),
        ({"quality_control": "5"}, 2, "group of settings"),
        ({"quality_control.background_limit": "wide"}, 2, "background_limit is 'wide'"),
        ({"verification.seeds": "3"}, 2, "verification.seeds is 3"),
        ({"method.criterion": "luck"}, 2, "unknown criterion"),
        ({"stations": "nowhere.csv"}, 3, "nowhere.csv"),
    ],
)
def test_bad_input_gets_a_sentence_and_stores_nothing(arguments, change, status, sentence, capsys, tmp_path):
    assert main(replaced(arguments, **change)) == status
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error
    assert not (tmp_path / "out" / "archive").exists()


def test_bad_files_get_a_sentence_and_leave_the_archive_unharmed(arguments, tmp_path, capsys, world):
    assert main(arguments) == 0
    before = Archive.open(tmp_path / "out" / "archive", create=False).read(TIME).load()
    background = world.backgrounds[0]
    nan = spoil(background, tmp_path / "nan.nc", t2m=lambda field: field * np.nan)
    truncated = tmp_path / "truncated.nc"
    truncated.write_bytes(background.read_bytes()[:3000])
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    noise = tmp_path / "noise.bufr"
    noise.write_bytes(b"BUFR\x00\x00\xff\x04" + bytes(range(256)) * 4)
    garbage = tmp_path / "garbage.txt"
    garbage.write_bytes(bytes(range(256)) * 20)
    far = tmp_path / "far.csv"
    far.write_text("station,valid_time,latitude,longitude,elevation,t2m\nXFAR,2026-06-15T20:00,-10,20,5,290\n")
    random = tmp_path / "random.bin"
    random.write_bytes(np.random.default_rng(1).bytes(4000))
    wrong = [{"background": nan}, {"background": truncated}, {"background": garbage}]
    wrong += [{"observations": file} for file in (empty, noise, garbage, random, far)]
    for change in wrong:
        capsys.readouterr()
        assert main([*replaced(arguments, **change), "overwrite=true"]) == 3, change
        error = capsys.readouterr().err
        assert error.strip() and "Traceback" not in error, change
    after = Archive.open(tmp_path / "out" / "archive", create=False).read(TIME).load()
    assert before.identical(after)


def test_another_grid_in_the_archive_is_refused(arguments, tmp_path, capsys):
    assert main(arguments) == 0
    assert main(replaced(arguments, variables="[t2m]")) == 3
    assert "archive" in capsys.readouterr().err


def test_corrupt_reports_among_good_ones_stop_nothing(arguments, tmp_path, world):
    good = world.bulletins[0].read_bytes()
    mixed = tmp_path / "mixed.txt"
    mixed.write_bytes(b"\xff\xfe\x00 METAR \x07 KXYZ 99//9Z =\n" + good + b"\nMETAR XAAA 152000Z AUTO 0\xff")
    assert main(replaced(arguments, observations=mixed)) == 0


ALL_VARIABLES = "variables=[t2m,d2m,u10m,v10m,sp]"


def test_diffusion_publishes_its_ensembles_mean(arguments, tmp_path, world):
    assert main([*replaced(arguments, method="diffusion"), ALL_VARIABLES]) == 0
    stored = Archive.open(tmp_path / "out" / "archive", create=False).read(TIME)
    assert np.isfinite(stored["t2m"].values).all() and (stored["t2m_error"].values > 0).all()
    truth = world.truth[0].channel("t2m")[0].numpy()
    errors = {name: np.sqrt(np.mean((stored[name].values - truth) ** 2)) for name in ("t2m", "t2m_background")}
    assert errors["t2m"] < errors["t2m_background"]


def test_diffusion_says_that_it_has_learned_another_spacing(arguments, tmp_path, capsys):
    """The packaged denoiser has seen grids of 5 km; asked for by name, it is used on others too, and marked."""
    packaged = (resource_directory("regions") / "demo.yaml").read_text(encoding="utf-8")
    finer = tmp_path / "finer.yaml"
    finer.write_text(packaged.replace("5079.406", "2539.703"), encoding="utf-8")
    assert main([*replaced(arguments, method="diffusion", region=str(finer)), ALL_VARIABLES]) == 4
    assert "the network has learned from grids of 5000 m" in capsys.readouterr().err


def test_diffusion_of_variables_that_it_has_not_learned_is_refused(arguments, capsys):
    assert main([*replaced(arguments, method="diffusion"), "variables=[t2m,sp]"]) == 2
    assert "this encoding is of t2m, d2m, u10m, v10m, sp" in capsys.readouterr().err


@pytest.fixture
def global_file(tmp_path):
    """States of a coarse model around the region, from six hours before the analysis on."""
    region = load_region("demo")
    grid = boundary_grid(region.grid, spacing=region.boundary.spacing, width=1.5 * region.boundary.width)
    layout, start = Layout.of(grid, ("t2m", "sp")), TIME - np.timedelta64(6, "h")
    values = torch.tensor([290.0, 95000.0])[:, None, None].expand(1, *layout.shape)
    times = start + np.arange(8) * np.timedelta64(1, "h")
    static = StaticFields(grid, np.zeros(grid.shape), np.ones(grid.shape), source="flat")
    states = tuple(State(values.clone(), layout, time) for time in times)
    return write_forecast(ForecastProduct("global", states, start, static, start, {"source": "made up"}), tmp_path)


def test_an_analysis_says_which_global_run_it_was_given(arguments, global_file, tmp_path):
    given = [*arguments, f"global_runs={global_file}", "global_model=coarse", "latency_hours=3"]
    assert main(given) == 0
    stored = Archive.open(tmp_path / "out" / "archive", create=False).read(TIME)
    assert "coarse" in stored.attrs["provenance"] and "2026-06-15T14:00" in stored.attrs["provenance"]
    assert '"global_run_used": "no"' in stored.attrs["provenance"]  # optimal interpolation looks at none
    assert main(replaced(arguments, output=tmp_path / "without")) == 0
    alone = Archive.open(tmp_path / "without" / "archive", create=False).read(TIME)
    assert "global_run: none" in alone.attrs["provenance"] or '"global_run": "none"' in alone.attrs["provenance"]


def test_a_global_run_that_does_not_serve_stops_the_analysis_with_a_sentence(arguments, global_file, tmp_path, capsys):
    assert main([*arguments, f"global_runs={global_file}", "latency_hours=12"]) == 3
    assert "arrive" in capsys.readouterr().err
    assert not (tmp_path / "out" / "archive").exists()
