"""Which samples of a problem vote alike: what the majority vote (`cons@k`) counts.

Two answers are one vote if they have the same value: `1/2`, `0.5` and `\\frac{1}{2}` are. The verifier decides: answers
that it calls right all equal the reference, and two wrong ones are equal if it would call the one right were the other
the reference. Programs and general replies are compared as texts, case and spacing aside: whether two programs do the
same is not known without the hidden tests, which a vote may not see.
Not covered: who wins the vote (`estimators.cons_at_k`).
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
"""A judged sample that has an answer: its index, the answer, the score."""


def with_votes(judged: "pl.DataFrame", problems: Sequence[Problem], grader: Grader) -> "pl.DataFrame":
    """`judged` with the column `vote`: the index of the first sample of the problem that gave an equal answer.

    A sample that was not judged, or in which the verifier found no answer, has none.
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
    """(sample, vote) of each answer."""
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
    asked = problem.model_copy(update={"answer": left})
    return grader.judge(asked, summarize(problem.domain, right)).outcome is Outcome.CORRECT
