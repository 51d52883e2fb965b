"""Judging what a model said: stored completions become the same rows with verdicts and measurements of their text.

Evaluation, cold-start drafting and rejection sampling share it. It needs no model: a changed verifier judges what is
stored. Not covered: asking (`asking`), what is then counted (`evaluation.scores`) or kept (`rejection`).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from r1_pipeline.cluster import spread
from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.generation.asking import schema
from r1_pipeline.generation.engine import SHARD
from r1_pipeline.records import STORED, Completion, Problem, Verdict
from r1_pipeline.rewards.fmt import is_well_formed
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.repetition import repetition
from r1_pipeline.rewards.rubric import reasoning_of
from r1_pipeline.rewards.verifier import Grader, default_grader

if TYPE_CHECKING:
    import polars as pl


def completions_of(frame: "pl.DataFrame") -> list[Completion]:
    """The rows of `asking.sample` or `judge` as records."""
    rows = frame.select(STORED).iter_rows(named=True)
    return [Completion.model_validate(row) for row in rows]


def judge(
    completions: "pl.DataFrame", problems: Sequence[Problem], grader: Grader, template: TemplateName
) -> "pl.DataFrame":
    """One row a completion: what was said, what it was judged, and the plain measurements of its text. Spread over the
    cluster where the grader's runtime has one."""
    import polars as pl

    cluster = grader.runtime.cluster
    if cluster is None or completions.is_empty():
        return _judged(completions, problems, grader, template)
    alone = grader.runtime.model_copy(update={"cluster": None})

    def open_worker() -> "Callable[[pl.DataFrame], pl.DataFrame]":
        own = default_grader(alone)
        return lambda part: _judged(part, problems, own, template)

    parts = dict(spread(list(completions.iter_slices(SHARD)), open_worker, cluster))
    return pl.concat([parts[index] for index in range(len(parts))])


def _judged(
    completions: "pl.DataFrame", problems: Sequence[Problem], grader: Grader, template: TemplateName
) -> "pl.DataFrame":
    import polars as pl

    by_id = {problem.id: problem for problem in problems}
    pairs = [(by_id[completion.problem_id], completion) for completion in completions_of(completions)]
    verdicts = grader.grade_all(pairs, template)
    rows = [
        _row(problem, completion, verdict, template)
        for (problem, completion), verdict in zip(pairs, verdicts, strict=True)
    ]
    measured = {"tokens": pl.Int64, "well_formed": pl.Boolean, "language_share": pl.Float64, "repetition": pl.Float64}
    text = dict.fromkeys(("domain", "language", "reasoning", "final", *Verdict.model_fields), pl.String)
    return pl.DataFrame(rows, schema_overrides={**schema(), **text, **measured, "score": pl.Float64})


def _row(problem: Problem, completion: Completion, verdict: Verdict, template: TemplateName) -> dict[str, object]:
    parts = split_reply(template, completion.text)
    return {
        "domain": problem.domain,
        "language": problem.language,
        **completion.model_dump(),
        "tokens": len(completion.token_ids),
        "well_formed": is_well_formed(template, completion.text),
        "language_share": language_share(reasoning_of(template, completion.text), problem.language),
        "repetition": repetition(completion.text),
        "reasoning": parts.reasoning,
        "final": parts.final,
        **verdict.model_dump(mode="json"),
    }
