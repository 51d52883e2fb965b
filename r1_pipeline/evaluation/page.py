"""This module renders the HTML page: it turns report inputs into tables of formatted cells and fills the template.

All arithmetic and number formatting is here; `templates/report.html.j2` only lays out. The page loads nothing: styles,
plots and text are inline. Model text is untrusted and goes through the template's autoescape like everything else.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from r1_pipeline.data.language_id import LANGUAGES
from r1_pipeline.data.templates import TAGS
from r1_pipeline.evaluation import paper, rows
from r1_pipeline.evaluation.bars import Bar, bars
from r1_pipeline.evaluation.cells import Cell, Row, estimate, number, percent
from r1_pipeline.evaluation.findings import findings
from r1_pipeline.evaluation.general import general_rows
from r1_pipeline.evaluation.inputs import Cast, ReportInputs
from r1_pipeline.evaluation.plots import Dot, Line, curves, dots
from r1_pipeline.evaluation.preference_plots import calibrations, optimization
from r1_pipeline.evaluation.rollout_view import EXAMPLE_TITLES, ShownRollouts, series
from r1_pipeline.evaluation.template import environment
from r1_pipeline.records import DOMAINS, Outcome
from r1_pipeline.training.experts import LOAD

SENSES = {"at least": "≥", "at most": "≤", "above": ">", "below": "<"}
ZERO_CURVES = (
    ("reward/accuracy", "Accuracy of training samples", 2),
    ("reward/format", "Well-formed replies", 2),
    ("mean_tokens", "Tokens a reply", 1),
    ("reward/reflection", "Replies with a reflective word", 2),
    ("kl", "KL from the reference, nats a token", 3),
    ("entropy", "Entropy, nats a token", 2),
)
"""The metric, title, and decimals of the last value of each curve of R1-Zero."""


def render(inputs: ReportInputs) -> str:
    """Returns the whole page as HTML."""
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            inputs=inputs,
            stages=_columns(inputs.cast),
            paper=paper,
            domain_names={name: domain.title for name, domain in DOMAINS.items()},
            languages=LANGUAGES,
            headline=_headline(inputs),
            findings=findings(inputs),
            missed=[bar.claim for bar in bars(inputs) if bar.passed is False],
            bars=[_bar(bar) for bar in bars(inputs)],
            ladder=_ladder(inputs, 680.0, 190.0),
            narrow_ladder=_ladder(inputs, 354.0, 18.0 + 7.2 * max(map(len, inputs.models), default=0)),
            differences=rows.differences(inputs),
            controls=rows.controls(inputs),
            stage_groups=_stage_groups(inputs),
            benchmarks=rows.benchmarks(inputs),
            agreements=rows.agreements(inputs),
            zero=_zero(inputs),
            depths=rows.depths(inputs),
            language=_language(inputs),
            language_curve=_language_curve(inputs),
            students=rows.students(inputs),
            outcomes=[outcome.replace("_", " ") for outcome in Outcome],
            verdicts=rows.verdicts(inputs),
            forms=rows.forms(inputs),
            general=general_rows(
                {name: inputs.general[name] for name in rows.ordered(inputs) if name in inputs.general}
            ),
            corpus=rows.corpus(inputs),
            calibrations=calibrations(inputs),
            optimization=optimization(inputs),
            sizes=rows.sizes(inputs),
            loads=_loads(inputs),
            rollouts={name: (shown, _measures(name, shown)) for name, shown in inputs.rollouts.items()},
            example_titles=EXAMPLE_TITLES,
            longest=max((stage.seconds for stage in inputs.stages.values()), default=0.0) or 1.0,
            exchanges=[
                (exchange, {name: (_spans(r.text), r.outcome) for name, r in exchange.replies.items()})
                for exchange in inputs.exchanges
            ],
        )
    )


def _headline(inputs: ReportInputs) -> list[tuple[str, str, str]]:
    """Returns label, value and note of each figure at the top."""

    def maths(name: str) -> str:
        model = inputs.models.get(name)
        return f"{100 * model.by_domain['math'].pass_at_1:.0f}" if model and "math" in model.by_domain else "–"

    def language(name: str) -> str:
        model = inputs.models.get(name)
        value = model.overall.language_consistency if model else None
        return "–" if value is None else f"{100 * value:.1f}"

    cast = inputs.cast
    judged = [bar.passed for bar in bars(inputs) if bar.passed is not None]
    return [
        (
            "held-out maths, %",
            f"{maths(cast.base)} → {maths(cast.zero)}",
            "base to R1-Zero: reinforcement learning alone",
        ),
        ("held-out maths, %", maths(cast.final), "R1, after both rounds of tuning and of reinforcement"),
        (
            "right language, %",
            f"{language(cast.zero)} → {language(cast.language)}",
            "words of R1-Zero and of Dev2, which is rewarded for it",
        ),
        ("minutes", f"{inputs.total_seconds / 60:.1f}", f"for {len(inputs.stages)} assets"),
        *([("bars met", f"{sum(judged)} of {len(judged)}", "limits are set for this profile")] if judged else []),
    ]


def _bar(bar: Bar) -> tuple[Bar, Cell, str, Cell]:
    limit = number(bar.limit, min(bar.decimals, 2), 2)
    ends = [number(end, bar.decimals).text for end in bar.interval or ()]
    return (
        bar,
        number(bar.value, bar.decimals, 3),
        " to ".join(ends),
        replace(limit, text=f"{SENSES[bar.sense]} {limit.text}"),
    )


def _columns(cast: Cast) -> tuple[str, ...]:
    """Returns our models of the paper's columns (`paper.COLUMNS`)."""
    return (cast.base, cast.zero, cast.cold, cast.language, cast.broad, cast.final)


def _ladder(inputs: ReportInputs, width: float, gutter: float) -> Markup:
    """Plots pass@1 on held-out maths of every model, in the order of the graph."""
    cast = inputs.cast
    plain, ours = {cast.base, cast.student_base}, {*_columns(cast), cast.reinforced_student}

    def ink(name: str) -> str:
        node = inputs.node_of[name]
        return "plain" if node in plain else "a" if node in ours else "b"

    return dots(
        [
            Dot(name, s.pass_at_1, s.pass_at_1_ci.lo, s.pass_at_1_ci.hi, ink(name))
            for name, model in rows.ordered(inputs).items()
            if (s := model.by_domain.get("math"))
        ],
        "pass@1 on held-out maths with 95% intervals, by model",
        width,
        gutter,
    )


def _stage_groups(inputs: ReportInputs) -> list[tuple[str, list[Row]]]:
    """Returns, for each domain, our row and the paper's benchmarks; the last group has no counterpart in the paper."""
    columns = [inputs.models.get(name) for name in _columns(inputs.cast)]

    def ours(label: str, pick: Any) -> Row:
        return Row(label, tuple(pick(m) if m else number(None, 1) for m in columns), "ours")

    groups = []
    for domain in DOMAINS:
        lines = [ours("ours, pass@1", lambda m, d=domain: estimate(m.by_domain.get(d)))]
        for theirs in paper.STAGE_TABLE:
            if theirs.domain == domain:
                cells = tuple(number(score, theirs.decimals, 1) for score in theirs.scores)
                lines.append(Row(theirs.benchmark, cells, "theirs"))
        groups.append((DOMAINS[domain].title, lines))
    groups.append(
        (
            "All domains",
            [
                ours("mean pass@1", lambda m: estimate(m.overall)),
                ours("majority vote", lambda m: percent(m.overall.cons_at_k)),
                ours("well-formed", lambda m: percent(m.overall.format_rate)),
                ours("language consistency", lambda m: percent(m.overall.language_consistency)),
                ours("tokens a reply", lambda m: number(m.overall.mean_tokens, 1)),
            ],
        )
    )
    return groups


def _series(inputs: ReportInputs, model: str, metric: str, style: str) -> Line | None:
    steps = [step for step in inputs.training.get(model, ()) if metric in step]
    return Line(model, [s["step"] for s in steps], [s[metric] for s in steps], style) if len(steps) > 1 else None


def _zero(inputs: ReportInputs) -> list[tuple[str, Markup]]:
    found = []
    for metric, title, decimals in ZERO_CURVES:
        line = _series(inputs, inputs.cast.zero, metric, "a")
        if line:
            found.append((title, curves([line], f"R1-Zero: {title}", decimals)))
    return found


def _language(inputs: ReportInputs) -> list[Row]:
    return [
        Row(
            name,
            (
                percent(model.overall.language_consistency),
                percent(model.by_domain["math"].pass_at_1 if "math" in model.by_domain else None),
                percent(model.overall.pass_at_1),
            ),
            "ours" if name in (inputs.cast.language, inputs.cast.unrewarded) else "",
        )
        for name in inputs.cast.line
        if (model := inputs.models.get(name))
    ]


def _language_curve(inputs: ReportInputs) -> Markup | None:
    pairs = ((inputs.cast.language, "a"), (inputs.cast.unrewarded, "b"))
    lines = [line for name, style in pairs if (line := _series(inputs, name, "reward/language", style))]
    return curves(lines, "Language consistency of training samples", 2) if lines else None


def _loads(inputs: ReportInputs) -> list[tuple[str, Markup]]:
    """Returns the plot of the busiest expert's load over the mean load, for every model with experts."""
    lines = [line for name in inputs.training if (line := _series(inputs, name, LOAD, "a"))]
    return [(line.label, curves([line], f"Load of the busiest expert: {line.label}", 2)) for line in lines]


def _measures(model: str, shown: ShownRollouts) -> list[tuple[str, Markup]]:
    """Returns the plot of every measure of a model's rollouts that is known at two steps at least."""
    found = []
    for each in series(shown.health):
        if len(each.points) > 1:
            steps, values = zip(*each.points, strict=True)
            plot = curves([Line(each.title, steps, values, "a")], f"{model}: {each.title}", each.decimals)
            found.append((each.title, plot))
    return found


_TAGS = re.compile("(" + "|".join(map(re.escape, TAGS)) + ")")


def _spans(text: str) -> Sequence[tuple[str, bool]]:
    """Splits a reply into pieces, each with a flag that is True for a tag of the template."""
    return [(piece, piece in TAGS) for piece in _TAGS.split(text) if piece]
