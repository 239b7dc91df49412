"""The methods by name, from files: what each is, what it costs, and that missing files are told in a sentence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from diffda_files import hours_of, write_files

from rtma_diffda.cli.configuration import compose_settings
from rtma_diffda.errors import InputError, UsageError
from rtma_diffda.experiments.diffda import run_diffda, run_named
from rtma_diffda.experiments.diffda_ablations import ablation_recipes, forms
from rtma_diffda.experiments.diffda_autoregressive import Autoregressive, run_autoregressive
from rtma_diffda.experiments.diffda_bench import Bench, ObservingPlan
from rtma_diffda.experiments.diffda_methods import (
    BUILDERS,
    Repaint,
    recipes,
    repaint_recipe,
    residual_spread,
    tuned_to,
)
from rtma_diffda.experiments.diffda_parts import load_parts
from rtma_diffda.experiments.diffda_settings import (
    ABLATIONS,
    AUTOREGRESSIVE,
    EXPERIMENTS,
    LEAD_TIME,
    REAL_LOCATIONS,
    SINGLE_STEP,
    AblationSettings,
    CycleSettings,
    DiffdaSettings,
    GlobalFiles,
    LeadTimeSettings,
    RepaintSettings,
)
from rtma_diffda.experiments.diffda_single_step import hours
from rtma_diffda.experiments.diffda_store import ResultStore

LEAD = hours((48,))[0]
SHORT = RepaintSettings(levels=4, jump=2, passes=2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("globe"))


@pytest.fixture
def parts(files, tmp_path):
    return load_parts(files, tmp_path / "forecasts")


def bench_of(parts, recipes_, tmp_path):
    return Bench(parts.world, recipes_, ObservingPlan(), ResultStore(tmp_path / "results", "x"), 1)


def problem_of(bench, count=12):
    time = bench.world.usable_times(before=bench.world.reach(LEAD), after=hours((0,))[0])[0]
    return bench.problem(bench.world.forecast(time, LEAD), bench.places(count, "x"))


def test_every_method_analyses_with_its_members_and_calls(parts, tmp_path):
    made = recipes(tuple(BUILDERS), parts, members=5, repaint=SHORT, full_columns=12)
    assert [recipe.name for recipe in made] == [*BUILDERS, "diffda_full"]
    bench = bench_of(parts, made, tmp_path)
    problem = problem_of(bench)
    found = {}
    for recipe in made[:-1]:
        analysis, _ = bench.analysed(recipe, problem, LEAD)
        found[recipe.name] = analysis
        assert analysis.state.members == recipe.members and bool(torch.isfinite(analysis.state.values).all())
    for recipe in made:
        if recipe.name in ("default", "diffda"):
            again, _ = bench.analysed(recipe, problem, LEAD)
            assert torch.equal(again.state.values, found[recipe.name].state.values), recipe.name
    for name, calls in (("default", 30), ("prior", 30)):
        assert (
            found[name].diagnostics["network_calls"] == calls
            and f"{calls} calls" in made[list(BUILDERS).index(name)].title
        )
    assert found["diffda"].diagnostics["network_calls"] == made[list(BUILDERS).index("diffda")].calls
    full = made[-1]
    assert full.calls == 2910 and full.serves(0, 12) and not full.serves(0, 13) and not full.serves(1, 12)
    for name in ("linear", "oi", "diffda", "default"):
        assert float(found[name].residuals().abs().mean() / problem.innovations().abs().mean()) < 0.05, name


def test_kriging_is_tuned_to_the_length_of_the_weather(parts):
    """Random weather has none: the shortest length is best; of a wave as long as the globe a long one is."""
    assert tuned_to(parts, times=1).length == 300e3
    longitude = torch.deg2rad(torch.from_numpy(parts.world.layout.grid.longitude())).float()

    class Wave:
        layout, static = parts.world.layout, parts.world.archive.static
        valid_times = parts.world.archive.valid_times

        def state(self, valid_time):
            wave = torch.cos(longitude).expand(1, *self.layout.shape)
            return parts.world.truth(valid_time).with_values(wave.clone())

    smooth = replace(parts, world=replace(parts.world, archive=Wave()))
    assert tuned_to(smooth, times=1).length >= 2000e3


def test_the_prior_does_not_look_at_observations(parts, tmp_path):
    (prior,) = recipes(("prior",), parts, members=3, repaint=SHORT)
    bench = bench_of(parts, (prior,), tmp_path)
    one, two = (bench.analysed(prior, problem_of(bench, count), LEAD, "same")[0].state.values for count in (4, 40))
    assert torch.equal(one, two)


def test_the_published_recipe_costs_what_was_published():
    assert (Repaint().calls, Repaint(levels=100).calls, Repaint(levels=50).calls) == (2910, 910, 410)
    assert Repaint(passes=1).calls == 300 and Repaint().title == "DiffDA, 2,910 calls"


def test_networks_are_those_of_the_lead_time(parts):
    assert parts.diffda_denoiser(hours((6,))[0]).denoiser.scale.hours == (6.0,)
    assert parts.diffda_denoiser(LEAD).denoiser.scale.hours == (48.0,)
    lone = replace(parts, published={48.0: parts.published[48.0]})
    with pytest.raises(UsageError, match=r"denoiser_6h is not given; it is trained on 6-h forecasts"):
        lone.diffda_denoiser(hours((6,))[0])
    assert replace(parts, ours=None).denoiser(LEAD) is parts.published[48.0]


def test_errors_of_methods_grow_with_the_lead_time_that_they_are_told(parts, tmp_path):
    spread = residual_spread(parts)
    ratio = spread(LEAD) / spread(hours((6,))[0])
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2.0))
    made = recipes(("default_adaptive", "oi"), parts, members=2, repaint=SHORT)
    bench = bench_of(parts, made, tmp_path)
    for recipe in made:
        for lead in hours((6, 17, 48)):
            analysis, _ = bench.analysed(recipe, problem_of(bench), lead)
            assert bool(torch.isfinite(analysis.state.values).all())


def test_cycles_run_with_real_parts(parts, tmp_path):
    made = recipes(("kriging", "diffda", "default_adaptive"), parts, members=2, repaint=SHORT)
    bench = bench_of(parts, made, tmp_path)
    start = bench.world.spread_times(1, before=bench.world.reach(LEAD), after=hours((24,))[0])
    rows = run_autoregressive(bench, Autoregressive(start, 4, 20, ("free",), LEAD, residual_spread(parts)))
    told = rows[rows["method"] == "default_adaptive"].groupby("cycle")["told_hours"].first()
    assert told[0] == told[1] == 48.0 and (told[2:] >= 6.0).all() and np.isfinite(rows["mse"]).all()


def test_forms_of_the_ablations_are_distinct_methods(parts):
    settings = AblationSettings(blur=(0.5, 1.5), passes=(1, 2))
    every = forms(settings, SHORT)
    made = ablation_recipes(parts, settings, SHORT)
    assert len({recipe.name for recipe in made}) == len(made) == len({form.name for form in every}) < len(every)
    by_line = {(form.ablation, form.line): form.repaint for form in every if form.ablation == "form"}
    assert by_line["form", "hard mask"].blur == 0.0 and by_line["form", "residual not clipped"].clip is None
    assert {form.repaint.newer for form in every if form.ablation == "blur"} == {True, False}
    assert made[0].calls == Repaint(4, 2, 2).calls


def test_a_hard_mask_without_a_network_changes_observed_points_alone(parts, tmp_path):
    """The untrained network aside: at observed points the data stand exactly, whatever the form."""
    form = repaint_recipe("hard", parts, Repaint(4, 2, 2, blur=0.0, clip=None, innovations=True))
    bench = bench_of(parts, (form,), tmp_path)
    problem = problem_of(bench)
    analysis, _ = bench.analysed(form, problem, LEAD)
    assert float(analysis.residuals().abs().max()) < 1e-3 * float(problem.innovations().abs().max())


def tiny(files, exercise, tmp_path, **more):
    return DiffdaSettings(
        exercise,
        files,
        cases=2,
        columns=(16,),
        members=2,
        methods=("oi", "default"),
        full=False,
        repaint=SHORT,
        lead_time=LeadTimeSettings(2, methods=("oi", "default")),
        cycle=CycleSettings(4, 1, methods=("oi", "default_adaptive"), networks=("free",)),
        ablation=AblationSettings(cases=1, blur=(0.0, 1.5), passes=(1,)),
        output=str(tmp_path),
        progress=False,
        **more,
    )


def test_a_whole_run_from_files_repeats_itself(files, tmp_path):
    settings = tiny(files, SINGLE_STEP, tmp_path)
    first = run_diffda(settings)
    table = pd.read_csv(first.files["table of scores"])
    assert np.isfinite(table["rmse"]).all() and "report" in first.files
    lines = (settings.directory).glob("results_*.jsonl")
    before = {path: path.read_bytes() for path in lines}
    again = run_diffda(settings)
    assert before == {path: path.read_bytes() for path in before}
    pd.testing.assert_frame_equal(pd.read_csv(again.files["table of scores"]), table)
    assert "The truth is that of" in first.files["report"].read_text()


@pytest.mark.slow
@pytest.mark.parametrize("exercise", [LEAD_TIME, AUTOREGRESSIVE, REAL_LOCATIONS, ABLATIONS])
def test_other_whole_runs(files, tmp_path, exercise):
    assert "report" in run_diffda(tiny(files, exercise, tmp_path)).files


def test_unknown_methods_and_settings_are_told(parts, files, tmp_path):
    with pytest.raises(UsageError, match="no method of DiffDA's experiments is called 3dvar; known are linear"):
        recipes(("3dvar",), parts, members=2, repaint=SHORT)
    with pytest.raises(UsageError, match="exercise is 'diffda_x'"):
        DiffdaSettings("diffda_x")
    with pytest.raises(UsageError, match="all different"):
        DiffdaSettings(SINGLE_STEP, columns=(4, 4))
    with pytest.raises(UsageError, match=r"cycle\.networks"):
        CycleSettings(networks=("random",))
    with pytest.raises(UsageError, match="columns are drawn by index"):
        DiffdaSettings(SINGLE_STEP, draw="uniform")


def test_missing_files_are_told_in_one_sentence_with_where_they_come_from(files, tmp_path):
    with pytest.raises(InputError, match=r"forecast_checkpoint, denoiser_48h must be given too .*gs://dm_graphcast"):
        load_parts(GlobalFiles(data=files.data), tmp_path)
    with pytest.raises(InputError, match=r"data=/no/store does not exist: stores in this layout are public"):
        load_parts(replace(files, data="/no/store"), tmp_path)
    with pytest.raises(InputError, match=r"denoiser=/no does not exist: it is trained on both leads by `rtma-diffda"):
        load_parts(replace(files, denoiser="/no"), tmp_path)
    published = tmp_path / "GraphCast.npz"
    published.write_bytes(b"")
    with pytest.raises(InputError, match=r"statistics must be given too .*gs://dm_graphcast/graphcast/stats"):
        load_parts(replace(files, forecast_checkpoint=str(published)), tmp_path)


@pytest.mark.parametrize("exercise", EXPERIMENTS)
def test_configurations_become_settings_and_defaults_agree(exercise):
    values = compose_settings("reproduce", [f"experiment={exercise}"])
    assert DiffdaSettings.from_mapping(values) == DiffdaSettings(exercise)


def test_all_of_them_have_one_configuration(files, tmp_path):
    values = compose_settings("reproduce", ["experiment=diffda_all", "data=/no/store", "cases=7", f"output={tmp_path}"])
    assert DiffdaSettings.from_mapping({**values, "exercise": LEAD_TIME}).cases == 7
    with pytest.raises(InputError, match="must be given too"):
        run_named({**values, "exercise": "diffda_all"})


def test_small_grids_have_the_like_shares_of_columns():
    settings = DiffdaSettings(SINGLE_STEP)
    assert settings.chosen_columns(721 * 1440)[-1] == 40_000
    assert settings.chosen_columns(2048) == (10, 20, 40, 80, 160, 320, 640)
    assert settings.chosen_columns(128) == (2, 5, 10, 20, 40)
    assert settings.forecast_columns(2048) == (10, 40, 160, 640) and settings.single_count(None, 2048) == 80
    assert settings.single_count(None, 721 * 1440) == 10_000 and settings.single_count(7, 2048) == 7
    assert hours_of(LEAD) == 48.0
