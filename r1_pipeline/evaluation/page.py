"""The HTML page: from report inputs to tables of finished cells, and through the template to one file.

All arithmetic and all wording of numbers is here; `templates/report.html.j2` only lays out. The page loads nothing:
styles, plots and text are in it. Model text is hostile and goes through the template's autoescape like everything else.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from r1_pipeline.data.templates import TAGS
from r1_pipeline.data.words import LANGUAGES
from r1_pipeline.evaluation import paper
from r1_pipeline.evaluation.bars import Bar, bars
from r1_pipeline.evaluation.cells import Cell, Row, clock, estimate, number, percent
from r1_pipeline.evaluation.inputs import Cast, ReportInputs
from r1_pipeline.evaluation.plots import Dot, Line, curves, dots
from r1_pipeline.evaluation.preference_plots import calibrations, optimization
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.records import DOMAINS, UNSCORED, Outcome

SENSES = {"at least": "≥", "at most": "≤", "above": ">", "below": "<"}
ZERO_CURVES = (
    ("reward/accuracy", "Accuracy of training samples", 2),
    ("reward/format", "Well-formed replies", 2),
    ("mean_tokens", "Tokens a reply", 1),
    ("kl", "KL from the reference, nats a token", 3),
    ("entropy", "Entropy, nats a token", 2),
)
"""Metric, title, decimals of the value at the end of the line."""


def render(inputs: ReportInputs) -> str:
    """The whole page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("r1_pipeline.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clock=clock, number=number, percent=percent, estimate=estimate)
    return environment.get_template("report.html.j2").render(
        inputs=inputs,
        stages=_columns(inputs.cast),
        paper=paper,
        domain_names={name: domain.title for name, domain in DOMAINS.items()},
        languages=LANGUAGES,
        headline=_headline(inputs),
        bars=[_bar(bar) for bar in bars(inputs)],
        ladder=_ladder(inputs),
        stage_groups=_stage_groups(inputs),
        benchmarks=_benchmarks(inputs),
        zero=_zero(inputs),
        language=_language(inputs),
        language_curve=_language_curve(inputs),
        students=_students(inputs),
        outcomes=[outcome.replace("_", " ") for outcome in Outcome],
        verdicts=_verdicts(inputs),
        corpus=_corpus(inputs),
        calibrations=calibrations(inputs),
        optimization=optimization(inputs),
        sizes=_sizes(inputs),
        longest=max((stage.seconds for stage in inputs.stages.values()), default=0.0) or 1.0,
        exchanges=[
            (exchange, {name: (_spans(r.text), r.outcome) for name, r in exchange.replies.items()})
            for exchange in inputs.exchanges
        ],
    )


def _headline(inputs: ReportInputs) -> list[tuple[str, str, str]]:
    """Label, value, note of the figures at the top."""

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


def _bar(bar: Bar) -> tuple[Bar, Cell, Cell]:
    limit = number(bar.limit, min(bar.decimals, 2), 2)
    return bar, number(bar.value, bar.decimals, 3), replace(limit, text=f"{SENSES[bar.sense]} {limit.text}")


def _columns(cast: Cast) -> tuple[str, ...]:
    """Our models of the paper's columns (`paper.COLUMNS`)."""
    return (cast.base, cast.zero, cast.cold, cast.language, cast.broad, cast.final)


def _ordered(inputs: ReportInputs) -> dict[str, EvalScores]:
    """The line of R1 first, then all other models in the order of the graph."""
    line = [name for name in inputs.cast.line if name in inputs.models]
    return {name: inputs.models[name] for name in dict.fromkeys([*line, *inputs.models])}


def _ladder(inputs: ReportInputs) -> Markup:
    """Held-out maths of every model, in the order of the graph."""
    cast = inputs.cast
    plain, ours = {cast.base, cast.student_base}, {*_columns(cast), cast.reinforced_student}

    def ink(name: str) -> str:
        node = inputs.node_of[name]
        return "plain" if node in plain else "a" if node in ours else "b"

    return dots(
        [
            Dot(name, s.pass_at_1, s.pass_at_1_ci.lo, s.pass_at_1_ci.hi, ink(name))
            for name, model in _ordered(inputs).items()
            if (s := model.by_domain.get("math"))
        ],
        "pass@1 on held-out maths with 95% intervals, by model",
    )


def _stage_groups(inputs: ReportInputs) -> list[tuple[str, list[Row]]]:
    """Per domain our row, then the paper's benchmarks; last what has no counterpart in the paper."""
    columns = [inputs.models.get(name) for name in _columns(inputs.cast)]

    def ours(label: str, pick: Any) -> Row:
        return Row(label, tuple(pick(m) if m else number(None, 1) for m in columns), "ours")

    groups = []
    for domain in DOMAINS:
        rows = [ours("ours, pass@1", lambda m, d=domain: estimate(m.by_domain.get(d)))]
        for theirs in paper.STAGE_TABLE:
            if theirs.domain == domain:
                cells = tuple(number(score, theirs.decimals, 1) for score in theirs.scores)
                rows.append(Row(theirs.benchmark, cells, "theirs"))
        groups.append((DOMAINS[domain].title, rows))
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


def _benchmarks(inputs: ReportInputs) -> list[tuple[str, list[Row]]]:
    """Every further benchmark: a row a model, with its interval, majority vote, form, tokens and completions."""
    return [
        (
            name,
            [
                Row(
                    model,
                    (
                        estimate(scores.overall),
                        percent(scores.overall.cons_at_k),
                        percent(scores.overall.format_rate),
                        number(scores.overall.mean_tokens, 1),
                        number(scores.overall.n, 0),
                    ),
                )
                for model, scores in models.items()
            ],
        )
        for name, models in inputs.benchmarks.items()
    ]


def _series(inputs: ReportInputs, model: str, metric: str, style: str) -> Line | None:
    rows = [row for row in inputs.training.get(model, ()) if metric in row]
    return Line(model, [r["step"] for r in rows], [r[metric] for r in rows], style) if len(rows) > 1 else None


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


def _students(inputs: ReportInputs) -> list[Row]:
    """Bases, reinforcement on the student, distillation; the teacher last."""
    models, cast = inputs.models, inputs.cast
    students = (cast.student_base, cast.reinforced_student, cast.distilled)
    order = [name for node in (*students, cast.final) for name in models if inputs.node_of[name] == node]
    rows = []
    for name in order:
        model, stage = models[name], inputs.stages.get(name)
        rows.append(
            Row(
                name,
                (
                    *(estimate(model.by_domain.get(domain)) for domain in DOMAINS),
                    estimate(model.overall),
                    number(stage.tokens / 1e6 if stage and stage.tokens is not None else None, 2),
                ),
                "ours" if inputs.node_of[name] in (cast.distilled, cast.reinforced_student) else "",
            )
        )
    return rows


def _verdicts(inputs: ReportInputs) -> list[Row]:
    """Completions of every model by outcome; last, the share that has no score."""
    rows = []
    for name, model in _ordered(inputs).items():
        counts = model.overall.outcomes
        unscored = sum(counts.get(outcome, 0) for outcome in UNSCORED)
        cells = (number(counts.get(outcome, 0), 0) for outcome in Outcome)
        rows.append(Row(name, (*cells, percent(unscored / sum(counts.values())))))
    return rows


def _corpus(inputs: ReportInputs) -> list[Row]:
    """Per domain: rows, share, mean tokens and rounds, ours then the paper's."""
    ours, theirs = inputs.corpus.by_domain, {row.domain: row for row in paper.CORPUS}
    total = sum(d.rows for d in ours.values())
    rows = []
    for domain in DOMAINS:
        own, other = ours.get(domain), theirs.get(domain)
        mean = own.tokens / own.rows if own and own.rows else None
        cells = _share_cells(own.rows if own else 0, total, mean, own.rounds if own else 1)
        paper_row = (other.mean_tokens, other.rounds) if other else (None, None)
        theirs_cells = _share_cells(other.samples if other else 0, paper.CORPUS_SAMPLES, *paper_row)
        rows.append(Row(DOMAINS[domain].title, cells + theirs_cells))
    mean = sum(d.tokens for d in ours.values()) / total if total else None
    rounds = sum(d.rounds * d.rows for d in ours.values()) / total if total else None
    totals = _share_cells(total, total, mean, rounds)
    whole = paper.CORPUS_SAMPLES
    return [
        *rows,
        Row(
            "Total",
            totals + _share_cells(whole, whole, paper.CORPUS_MEAN_TOKENS, paper.CORPUS_ROUNDS),
            "total",
        ),
    ]


def _share_cells(rows: int, total: int, tokens: float | None, rounds: float | None) -> tuple[Cell, ...]:
    return number(rows, 0), percent(rows / total if total else None), number(tokens, 1), number(rounds, 1)


def _sizes(inputs: ReportInputs) -> list[Row]:
    """Parameters, those of a token and their share; bytes of KV cache a token, of plain attention, and their ratio."""
    return [
        Row(
            name,
            (
                number(sizes.parameters, 0),
                number(sizes.active_parameters, 0),
                percent(sizes.active_parameters / sizes.parameters),
                number(sizes.kv_bytes, 0),
                number(sizes.plain_kv_bytes, 0),
                number(sizes.plain_kv_bytes / sizes.kv_bytes, 1),
            ),
            "ours" if name == inputs.cast.base else "",
        )
        for name, sizes in sorted(inputs.sizes.items())
    ]


_TAGS = re.compile("(" + "|".join(map(re.escape, TAGS)) + ")")


def _spans(text: str) -> Sequence[tuple[str, bool]]:
    """Pieces of a reply, each with whether it is a tag of the template."""
    return [(piece, piece in TAGS) for piece in _TAGS.split(text) if piece]
