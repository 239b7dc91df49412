"""The demo, short: the files of a world, every cycle in the archive, and analyses better than their background."""

import numpy as np
import pandas as pd

from rtma_diffda.experiments import demo
from rtma_diffda.experiments.demo import DemoSettings, run_demo
from rtma_diffda.experiments.methods import BuiltMethod, MethodSettings
from rtma_diffda.experiments.settings import settings_from
from rtma_diffda.io.archive import Archive
from rtma_diffda.observations.withholding import withheld_list_id


def test_a_short_demo(tmp_path):
    values = {"hours": 0.25, "stations": 90, "tuning_hours": 4, "output": str(tmp_path / "demo"), "progress": False}
    values["verification"] = {"withheld_fraction": 0.3, "block_degrees": 0.4}
    settings = settings_from(DemoSettings, values)
    summary = run_demo(settings)
    archive = Archive.open(summary.files["archive"], create=False)
    assert list(archive.times()) == list(settings.cycle_times)
    pairs = pd.read_parquet(summary.files["pairs"])
    assert {"background", "observation_interpolation", "optimal_interpolation", "diffusion"} <= set(pairs)
    squared = (pairs[pairs["variable"] == "t2m"][["background", "diffusion"]].sub(
        pairs.loc[pairs["variable"] == "t2m", "observed"], axis=0) ** 2).mean()  # fmt: skip
    assert np.sqrt(squared["diffusion"]) < 0.85 * np.sqrt(squared["background"])
    used = pd.concat(map(pd.read_parquet, (tmp_path / "demo" / "feedback").glob("*.parquet")))
    assert not set(used.loc[used["flags"] == 0, "station"]) & set(pairs["station"])
    text = summary.files["report"].read_text(encoding="utf-8")
    assert withheld_list_id(set(pd.read_csv(tmp_path / "demo" / "stations.csv")["station"])) not in text
    assert "Simulated weather" in text and text.count("<img") >= 8
    assert len(list((tmp_path / "demo" / "spool").glob("metar_*.txt"))) == 6
    assert "RMSE" in summary.text and not summary.degraded


def test_where_diffusion_does_not_fit_the_product_is_the_optimal_interpolation(monkeypatch):
    def build(settings: MethodSettings, *_: object) -> BuiltMethod:
        name = "optimal_interpolation" if settings.name == "regional" else settings.name
        return BuiltMethod(name, None, f"asked for {settings.name}")

    monkeypatch.setattr(demo, "build_method", build)
    built = demo._built([], None)
    assert [method.name for method in built] == ["observation_interpolation", "optimal_interpolation"]
    assert built[-1].description == "asked for regional"
