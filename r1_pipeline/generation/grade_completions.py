"""This module grades stored completions: the same rows get verdicts and measurements of their text.

Evaluation, cold-start drafting and rejection sampling share it. It needs no model: a changed verifier grades what is
stored. Not covered: sampling (`sampling`), what is then counted (`evaluation.scores`) or kept (`rejection`).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING

from r1_pipeline.data.templates import TemplateName, split_reply
from r1_pipeline.errors import GraderError
from r1_pipeline.generation.engine import SHARD
from r1_pipeline.records import STORED, Completion, Language, Problem, Verdict
from r1_pipeline.rewards.format_check import is_well_formed
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.repetition import repetition
from r1_pipeline.rewards.rubric import reasoning_of
from r1_pipeline.rewards.verifier import Grader
from r1_pipeline.settings.cluster import ray_map

if TYPE_CHECKING:
    import polars as pl


def completions_of(frame: "pl.DataFrame") -> list[Completion]:
    """Returns the rows of `sampling.sample_completions` or `grade_completions` as records."""
    rows = frame.select(STORED).iter_rows(named=True)
    return [Completion.model_validate(row) for row in rows]


def grade_completions(
    completions: "pl.DataFrame", problems: Sequence[Problem], grader: Grader, template: TemplateName
) -> "pl.DataFrame":
    """Returns one row for each completion: its text, its verdict, and measurements of the text.

    The work is spread over the cluster if the grader's runtime has one. Raises `GraderError` like
    `require_own_verifiers`.
    """
    import polars as pl

    cluster = grader.runtime.cluster
    if cluster is None or completions.is_empty():
        return _judged(completions, problems, grader, template)
    alone, rule = grader.runtime.model_copy(update={"cluster": None}), grader.rule

    def open_worker() -> "Callable[[pl.DataFrame], pl.DataFrame]":
        own = default_grader(alone, rule)
        return lambda part: _judged(part, problems, own, template)

    parts = dict(ray_map(list(completions.iter_slices(SHARD)), open_worker, cluster))
    judged = pl.concat([parts[index] for index in range(len(parts))])
    require_own_verifiers(judged, problems, grader)
    return judged


def require_own_verifiers(judged: "pl.DataFrame", problems: Sequence[Problem], grader: Grader) -> None:
    """Raises `GraderError` if a node of the cluster graded with another version of a verifier than this machine has.

    The fingerprint states the versions of the verifiers, whichever node ran them.
    """
    by_id = {problem.id: problem for problem in problems}
    verifiers = {grader.verifier_of(by_id[id_]) for id_ in judged["problem_id"].unique()}
    own = {f"{verifier.name}@{verifier.version}" for verifier in verifiers}
    if foreign := set(judged["verifier"].unique()) - own:
        raise GraderError(
            f"nodes of the cluster graded with {', '.join(sorted(foreign))}, this machine grades with "
            f"{', '.join(sorted(own))}; install the same interpreter, compiler and packages on all of them"
        )


def _judged(
    completions: "pl.DataFrame", problems: Sequence[Problem], grader: Grader, template: TemplateName
) -> "pl.DataFrame":
    """Grades and measures completions; texts are measured while the grader's children run, each distinct text once."""
    import polars as pl

    by_id = {problem.id: problem for problem in problems}
    pairs = [(by_id[completion.problem_id], completion) for completion in completions_of(completions)]
    measured = cache(partial(_measured, template))
    with ThreadPoolExecutor(1) as executor:
        verdicts = executor.submit(grader.grade_all, pairs, template)
        measures = [measured(problem.language, completion.text) for problem, completion in pairs]
    added = [
        {
            "domain": problem.domain,
            "language": problem.language,
            "tokens": len(completion.token_ids),
            **measure,
            **verdict.model_dump(mode="json"),
        }
        for (problem, completion), measure, verdict in zip(pairs, measures, verdicts.result(), strict=True)
    ]
    columns: dict[str, pl.DataType | type[pl.DataType]] = {
        "domain": pl.String,
        "language": pl.String,
        "tokens": pl.Int64,
        "well_formed": pl.Boolean,
        "language_share": pl.Float64,
        "repetition": pl.Float64,
        "reasoning": pl.String,
        "final": pl.String,
        **dict.fromkeys(Verdict.model_fields, pl.String),
        "score": pl.Float64,
    }
    judged = completions.select(STORED).hstack(pl.DataFrame(added, schema=columns))
    return judged.select("domain", "language", pl.exclude("domain", "language"))


def _measured(template: TemplateName, language: Language, text: str) -> dict[str, object]:
    parts = split_reply(template, text)
    return {
        "well_formed": is_well_formed(template, text),
        "language_share": language_share(reasoning_of(template, text), language),
        "repetition": repetition(text),
        "reasoning": parts.reasoning,
        "final": parts.final,
    }
