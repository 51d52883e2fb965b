"""This module groups the samples of a problem by equal answers, which the majority vote (`cons@k`) counts.

Two answers are one vote if they have the same value, such as `1/2`, `0.5` and `\\frac{1}{2}`. The verifier decides:
correct answers all equal the reference, and two wrong ones are equal if one would be correct with the other as the
reference. Programs and general replies are compared as texts without regard to case and spacing, because the
equivalence of two programs is unknown without the hidden tests, which a vote may not use.
Not covered: the winner of the vote (`estimators.cons_at_k`).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from r1_pipeline.data.templates import summarize
from r1_pipeline.records import Outcome, Problem
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl

Answer = tuple[int, str, float]
"""The index, answer and score of a judged sample that has an answer."""


def with_votes(judged: "pl.DataFrame", problems: Sequence[Problem], grader: Grader) -> "pl.DataFrame":
    """Adds the column `vote` to `judged`: the index of the problem's first sample with an equal answer.

    The vote is null for a sample without a score or without an answer. `judged` has the columns `problem_id`,
    `sample_index`, `extracted` and `score`.
    """
    import polars as pl

    by_id = {problem.id: problem for problem in problems}
    answers: dict[str, list[Answer]] = {}
    columns = judged.select("problem_id", "sample_index", "extracted", "score")
    for problem_id, index, extracted, score in columns.iter_rows():
        if extracted is not None and score is not None:
            answers.setdefault(problem_id, []).append((index, extracted, score))
    with ThreadPoolExecutor(grader.runtime.threads) as threads:
        found = threads.map(lambda each: _votes(by_id[each[0]], each[1], grader), answers.items())
        rows = [(problem_id, *vote) for problem_id, votes in zip(answers, found, strict=True) for vote in votes]
    schema = {"problem_id": pl.String, "sample_index": pl.Int64, "vote": pl.Int64}
    votes = pl.DataFrame(rows, schema=schema, orient="row")
    return judged.join(votes, on=["problem_id", "sample_index"], how="left", maintain_order="left")


def _votes(problem: Problem, answers: Sequence[Answer], grader: Grader) -> list[tuple[int, int]]:
    """Returns sample index and vote of each answer."""
    firsts: list[Answer] = []
    found = []
    for answer in answers:
        first = next((known for known in firsts if _equal(problem, known, answer, grader)), answer)
        if first is answer:
            firsts.append(answer)
        found.append((answer[0], first[0]))
    return found


def _equal(problem: Problem, known: Answer, answer: Answer, grader: Grader) -> bool:
    (_, left, score), (_, right, other) = known, answer
    if " ".join(left.split()).casefold() == " ".join(right.split()).casefold():
        return True
    if problem.domain in ("code", "general") or score != other:
        return False
    if score == 1.0:
        return True
    swapped = problem.model_copy(update={"answer": left})
    return grader.judge(swapped, summarize(problem.domain, right)).outcome is Outcome.CORRECT
