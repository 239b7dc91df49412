"""A method of several members in a comparison: its members are judged, whatever error it states beside them."""

from dataclasses import dataclass

import pandas as pd
import pytest
import torch

from rtma_diffda.experiments.compare import CompareSettings, SensitivitySettings, run_comparison
from rtma_diffda.experiments.compared_methods import COMPARED, ComparedMethod
from rtma_diffda.experiments.data_set import DataSetDesign, RunCounts
from rtma_diffda.experiments.osse_cases import ObservingSettings
from rtma_diffda.experiments.reporting import RunSummary
from rtma_diffda.geo.static_fields import StaticFields
from rtma_diffda.interfaces import Analysis, AssimilationProblem

SCALE = torch.tensor([1.5, 1.5, 1.0, 1.0, 50.0])[:, None, None]


@dataclass(frozen=True)
class ShiftedBackgrounds:
    """Eight backgrounds, each off by a constant for every variable, and a stated spread that is nonsense."""

    static: StaticFields

    def analyse(self, problem: AssimilationProblem, *, generator: torch.Generator) -> Analysis:
        background = problem.background
        draws = torch.randn(8, len(background.layout.names), 1, 1, generator=generator)
        state = background.with_values(background.values + SCALE * draws)
        return Analysis(state, problem, torch.full(background.layout.shape, 1e6))


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> RunSummary:
    directory = tmp_path_factory.mktemp("ensembles")
    design = DataSetDesign(
        name="tiny", region="osse_tiny", runs=RunCounts(1, 1, 2), hours=4, lags=(1,), directory=str(directory / "data")
    )
    settings = CompareSettings(
        data=design,
        methods=("background", "optimal_interpolation"),
        observing=ObservingSettings(stations=25, withheld=12),
        hours_of_day=(1, 3),
        sensitivity=SensitivitySettings(stations=(10,), error_factor=(), gross_error_rate=(), runs=1),
        seed=0,
        workers=1,
        output=str(directory / "output"),
        progress=False,
    )
    with pytest.MonkeyPatch.context() as patch:
        shifted = ComparedMethod("shifted", ShiftedBackgrounds(None), "constants")
        patch.setitem(COMPARED, "shifted", lambda name, workshop: shifted)
        return run_comparison(CompareSettings(**vars(settings) | {"methods": (*settings.methods, "shifted")}))


def test_members_are_judged_and_not_the_error_beside_them(found):
    cases = pd.read_parquet(found.files["case scores"]).set_index(["method", "place"])
    assert (cases.loc["shifted", "members"] == 8).all()
    assert (cases.loc["shifted", "spread_variance"] < 1e5).all()
    assert (cases.loc["shifted", "ranks"].map(len) == 9).all()


def test_joint_scores_are_of_the_grid_and_of_withheld_stations(found):
    cases = pd.read_parquet(found.files["case scores"]).groupby("place")
    assert cases["energy"].count().to_dict() == {"grid": 90, "reports": 0, "withheld": 90}
    assert cases["variogram"].count().to_dict() == {"grid": 0, "reports": 0, "withheld": 90}


def test_members_that_shift_as_a_whole_keep_the_differences_of_the_background(found):
    """The background's Gaussian, which knows nothing of its neighbours, does not."""
    ratios = pd.read_parquet(found.files["ratios"]).query("setting == 'default' and place == 'withheld'")
    variogram = ratios.set_index("method")["variogram_ratio"]
    assert variogram["shifted"] < variogram["background"]


def test_every_table_is_written_and_told(found):
    against = pd.read_parquet(found.files["against ensembles"])
    assert set(against["reference"]) == {"shifted"}
    assert set(against["score"]) == {"rmse", "crps", "energy", "variogram"}
    assert set(pd.read_parquet(found.files["joint significance"])["score"]) == {"crps", "energy", "variogram"}
    assert set(pd.read_parquet(found.files["reliability"])["method"]) == {
        "background",
        "optimal_interpolation",
        "shifted",
    }
    octaves = pd.read_parquet(found.files["octaves"])
    assert (octaves.loc[octaves["octave"] == 0, "shortest"] == 10e3).all()
    for words in ("stated uncertainty, of many places", "the best other method", "spread/skill", "worse than"):
        assert words in found.text
    page = found.files["report"].read_text(encoding="utf-8")
    for title in ("Many places together", "Is any variable worse?", "Roughness"):
        assert f"<h2>{title}</h2>" in page
