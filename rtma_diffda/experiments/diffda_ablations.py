"""Ablations of DiffDA's recipe: one thing changed at a time, in the same cases and with the same columns.

Changed are the blur of the soft mask, in both generations of mask and interpolation; the passes over each stretch of
noise levels; and mask, clip and what is interpolated. Every form is a method by itself, so that the experiment is that
of single-step assimilation. Reference: Huang et al. (2024), arXiv 2401.05932, ablation of σ; ``diffda.md`` §4, 7.3.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from rtma_diffda.experiments.diffda_bench import BACKGROUND, Recipe
from rtma_diffda.experiments.diffda_methods import Repaint, repaint_recipe
from rtma_diffda.experiments.diffda_parts import DiffdaParts
from rtma_diffda.experiments.diffda_report import Report
from rtma_diffda.experiments.diffda_settings import AblationSettings, RepaintSettings
from rtma_diffda.experiments.diffda_tables import BOOTSTRAP, analysis_scores, by_channels, significant
from rtma_diffda.verification.diffda_expected import ANALYSIS, expected_rmse
from rtma_diffda.verification.global_errors import ALL, PLAIN
from rtma_diffda.verification.reports.diffda_figures import Styles, ablation_figure
from rtma_diffda.verification.reports.tables import Table

NEWER, OLDER, HARD = "newer", "older", "hard"
_BLUR, _PASSES, _OTHER = "blur", "passes", "form"


@dataclass(frozen=True)
class Form:
    """One form of the recipe in one ablation.

    Attributes:
        ablation: ``_BLUR``, ``_PASSES`` or ``_OTHER``.
        line: of the graph that it belongs to, or what is changed, in words.
        value: on the axis of the graph.
        repaint: the form.
    """

    ablation: str
    line: str
    value: float
    repaint: Repaint

    @property
    def name(self) -> str:
        """The same for forms that are the same, whatever the ablation."""
        form = self.repaint
        parts = (form.levels, form.jump, form.passes, form.blur, form.newer, form.clip, form.innovations)
        return "repaint_" + "_".join(str(part) for part in parts)


def forms(settings: AblationSettings, repaint: RepaintSettings) -> tuple[Form, ...]:
    """All forms; one occurs in several ablations."""
    standard = Repaint(repaint.levels, repaint.jump, repaint.passes)
    return (*_blurs(settings, standard), *_passes(settings, standard), *_others(standard))


def _blurs(settings: AblationSettings, standard: Repaint) -> Iterator[Form]:
    for line, newer in (("newer release", True), ("older release", False)):
        for blur in settings.blur:
            yield Form(_BLUR, line, blur, replace(standard, blur=blur, newer=newer))


def _passes(settings: AblationSettings, standard: Repaint) -> Iterator[Form]:
    for line, blur in (("soft mask", standard.blur), ("hard mask", 0.0)):
        for passes in settings.passes:
            yield Form(_PASSES, line, float(passes), replace(standard, passes=passes, blur=blur))


def _others(standard: Repaint) -> Iterator[Form]:
    changed = {
        "as shortened": standard,
        "hard mask": replace(standard, blur=0.0),
        "residual not clipped": replace(standard, clip=None),
        "innovations interpolated": replace(standard, innovations=True),
        "innovations, not clipped": replace(standard, innovations=True, clip=None),
        "innovations, not clipped, hard mask": replace(standard, innovations=True, clip=None, blur=0.0),
        "older mask and interpolation": replace(standard, newer=False),
    }
    for line, form in changed.items():
        yield Form(_OTHER, line, 0.0, form)


def ablation_recipes(parts: DiffdaParts, settings: AblationSettings, repaint: RepaintSettings) -> tuple[Recipe, ...]:
    """A method for every form, each once."""
    distinct = {form.name: form for form in forms(settings, repaint)}
    return tuple(repaint_recipe(name, parts, form.repaint, title=form.line) for name, form in distinct.items())


def ablations_page(report: Report, rows: pd.DataFrame) -> None:
    """Curves of blur and passes, and a table of the other changes."""
    settings = report.settings
    every = forms(settings.ablation, settings.repaint)
    scores = analysis_scores(rows)
    report.table("scores", _named(scores, every))
    channels = [*report.channels[:-1], ALL]
    for ablation, label, heading in (
        (_BLUR, "σ of the soft mask (cells)", "Blur of the soft mask"),
        (_PASSES, "passes over each stretch of noise levels", "Passes"),
    ):
        own = _named(scores, [form for form in every if form.ablation == ablation])
        styles = Styles({line: line for line in own["method"].unique()})
        figure = ablation_figure(own, styles, channels=channels, along="value", label=label)
        picture = report.picture(f"ablation_{ablation}", figure, f"RMSE by area: {heading.lower()}.")
        tables = {f"RMSE over the background's: {heading.lower()}": _grid(own)}
        report.section(heading, tables=tables, pictures=[picture], told=True)
    _forms_section(report, scores, every)
    if not settings.miniature:
        plain = _named(analysis_scores(rows, weighting=PLAIN), [form for form in every if form.ablation == _BLUR])
        tables = {"Z 500 hPa and T 2 m, unweighted": _published(plain)}
        report.section("Without weights, as published", tables=tables, told=True)


def _named(scores: pd.DataFrame, chosen: list[Form] | tuple[Form, ...]) -> pd.DataFrame:
    """Scores by ablation: ``ablation``, ``method`` (the line), ``value``, and the rest."""
    parts = [
        scores[scores["method"] == form.name].assign(ablation=form.ablation, method=form.line, value=form.value)
        for form in chosen
    ]
    return pd.concat(parts, ignore_index=True)


def _grid(own: pd.DataFrame) -> Table:
    overall = own[own["channel"] == ALL].set_index(["method", "value"])
    values = sorted(own["value"].unique())
    lines = [
        (line, *(f"{overall.loc[(line, value), 'rmse']:.3f}" if (line, value) in overall.index else "–"
                 for value in values))
        for line in own["method"].unique()
    ]  # fmt: skip
    return Table(("", *(f"{value:g}" for value in values)), lines)


def _forms_section(report: Report, scores: pd.DataFrame, every: tuple[Form, ...]) -> None:
    own = _named(scores, [form for form in every if form.ablation == _OTHER])
    background = scores[scores["method"] == BACKGROUND]
    titles: Mapping[str, str] = {BACKGROUND: "background", **{line: line for line in own["method"].unique()}}
    table = by_channels(pd.concat([background, own]), titles, report.channels)
    report.section(
        "Mask, clip, values or innovations",
        tables={"RMSE by area": table},
        remark=f"{BOOTSTRAP.confidence * 100:g} % intervals are in the file of scores.",
        told=True,
    )


def _published(plain: pd.DataFrame) -> Table:
    lines = []
    for row in plain[plain["channel"].isin(["z500", "t2m"])].itertuples():
        published = expected_rmse(ANALYSIS, row.channel, columns=row.columns, blur=row.value)
        if published == published:  # not NaN
            numbers = (significant(row.rmse), significant(published), f"{row.rmse / published:.2f}")
            lines.append((row.method, row.channel, f"{row.value:g}", *numbers))
    return Table(("release", "channel", "σ", "measured", "published", "ratio"), lines, text_columns=2)
