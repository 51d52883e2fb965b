"""This module builds the rows of the page's tables from report inputs.

Not covered: plots, and the layout of the tables (`page`).
"""

from r1_pipeline.evaluation import paper
from r1_pipeline.evaluation.agreement import SecondOpinion
from r1_pipeline.evaluation.cells import Cell, Row, difference, estimate, number, percent
from r1_pipeline.evaluation.comparisons import comparisons
from r1_pipeline.evaluation.controls import Controlled
from r1_pipeline.evaluation.estimators import Difference
from r1_pipeline.evaluation.inputs import ReportInputs
from r1_pipeline.evaluation.judged_scores import JudgedScores
from r1_pipeline.evaluation.paired import OVERALL
from r1_pipeline.evaluation.scores import EvalScores
from r1_pipeline.records import DOMAINS, UNSCORED, Outcome


def differences(inputs: ReportInputs) -> list[Row]:
    """Returns, for each pair of models, the paired difference in pass@1 in every domain and over all domains."""
    return [
        Row(each.name, tuple(difference(each.by_domain.get(column)) for column in (*DOMAINS, OVERALL)))
        for each in comparisons(inputs)
    ]


def controls(inputs: ReportInputs) -> list[tuple[Controlled, Cell, Cell]]:
    """Returns every effect with its difference, without and under its control, in percentage points or tokens."""
    return [(each, _gap(each, each.difference), _gap(each, each.controlled)) for each in inputs.controls]


def _gap(of: Controlled, found: Difference) -> Cell:
    if of.measure != "tokens":
        return difference(found)
    return number(found.value, 1, margin=f"{(found.hi - found.lo) / 2:.1f}")


def benchmarks(inputs: ReportInputs) -> list[tuple[str, list[Row]]]:
    """Returns every further benchmark with a row for each model: pass@1, majority vote, format, tokens, completions."""
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
            ]
            + [row for model, scores in models.items() for row in _by_judges(model, scores.judged)]
            + _published(inputs.published.get(name)),
        )
        for name, models in inputs.benchmarks.items()
    ]


def agreements(inputs: ReportInputs) -> list[tuple[SecondOpinion, list[Row]]]:
    """Returns every stored agreement with a row for each outside grader: counts, share and kappa."""
    return [
        (
            each,
            [
                Row(
                    f"{other.grader} ({other.package})",
                    (
                        number(other.judged, 0),
                        percent(other.agreement),
                        number(other.kappa, 3),
                        number(other.ours_only, 0),
                        number(other.theirs_only, 0),
                        number(other.without_verdict, 0),
                    ),
                )
                for other in each.agreements
            ],
        )
        for each in inputs.agreements
    ]


def _by_judges(model: str, judged: JudgedScores | None) -> list[Row]:
    """Returns the scores of a model that judges gave, which are no shares of correct replies, in rows of their own."""
    if judged is None:
        return []
    found = {
        "correct given attempted": percent(judged.correct_given_attempted),
        "F-score": percent(judged.f_score),
        "win rate": percent(judged.win_rate),
        "win rate at equal length": percent(judged.length_controlled_win_rate),
        "mean grade of 10": number(judged.mean_grade, 1),
    }
    blank = number(None, 1), number(None, 1), number(None, 1), number(judged.judged, 0)
    nothing = number(None, 1)
    return [Row(f"{model}, {label}", (cell, *blank)) for label, cell in found.items() if cell != nothing]


def _published(benchmark: str | None) -> list[Row]:
    """Returns the paper's models on a benchmark, with dashes where it has nothing."""
    row = next((row for row in paper.STAGE_TABLE if row.benchmark == benchmark), None)
    scores = zip(paper.COLUMNS, row.scores, strict=True) if row else ()
    blank = number(None, 1), number(None, 1), number(None, 1), number(None, 0)
    return [Row(f"the paper’s {model}", (number(score, 1), *blank), "theirs") for model, score in scores]


def depths(inputs: ReportInputs) -> list[Row]:
    """Returns base and R1-Zero on the sums of each depth: pass@1, tokens, reflective replies, corrected slips."""
    found = {name: {depth.steps: depth for depth in inputs.depths.get(name, ())} for name in inputs.cast.beginning}
    rows = []
    for steps in sorted({steps for each in found.values() for steps in each}):
        both = [each.get(steps) for each in found.values()]
        cells = [
            *(percent(depth.right if depth else None) for depth in both),
            *(number(depth.mean_tokens if depth else None, 1) for depth in both),
            *(percent(depth.reflective if depth else None) for depth in both),
            *(percent(depth.corrected if depth else None) for depth in both),
        ]
        rows.append(Row(str(steps), tuple(cells)))
    return rows


def students(inputs: ReportInputs) -> list[Row]:
    """Returns the bases, the reinforced student, the distilled students, and last the teacher."""
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


def verdicts(inputs: ReportInputs) -> list[Row]:
    """Returns the completions of every model by outcome, and the share without a score."""
    rows = []
    for name, model in ordered(inputs).items():
        counts = model.overall.outcomes
        unscored = sum(counts.get(outcome, 0) for outcome in UNSCORED)
        cells = (number(counts.get(outcome, 0), 0) for outcome in Outcome)
        rows.append(Row(name, (*cells, percent(unscored / sum(counts.values())))))
    return rows


def forms(inputs: ReportInputs) -> list[tuple[str, str, str]]:
    """Returns the prompt form that every model was asked in, and the strings that ended a reply."""
    found = []
    for name, model in ordered(inputs).items():
        asked = model.identity
        stops = ", ".join(map(repr, asked.sampling.stop)) or "none"
        found.append((name, f"{asked.template} ({asked.template_hash})", stops))
    return found


def corpus(inputs: ReportInputs) -> list[Row]:
    """Returns rows, share, mean tokens and rounds of each domain, first ours, then the paper's."""
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


def sizes(inputs: ReportInputs) -> list[Row]:
    """Returns each base's parameters, active parameters and their share; its KV cache in bytes for each token, that of
    plain attention, and their ratio; and its expert load."""
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
                number(inputs.expert_load.get(name), 2),
            ),
            "ours" if name == inputs.cast.base else "",
        )
        for name, sizes in sorted(inputs.sizes.items())
    ]


def ordered(inputs: ReportInputs) -> dict[str, EvalScores]:
    """Returns all models: first the line of R1, then the others in the order of the graph."""
    line = [name for name in inputs.cast.line if name in inputs.models]
    return {name: inputs.models[name] for name in dict.fromkeys([*line, *inputs.models])}
