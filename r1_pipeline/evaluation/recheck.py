"""A second opinion on corpus rows: random ones are judged once more, from what is stored."""

import random
from collections.abc import Iterable

from r1_pipeline.artifacts.kinds import Corpus, ProblemSet
from r1_pipeline.data.templates import split_reply
from r1_pipeline.records import Problem, Record, Sample
from r1_pipeline.rewards.verifier import Grader

ROWS = 500
"""Rows judged again, at most."""


class Recheck(Record):
    """How many rows were judged again, and for how many the verdict was the same."""

    rechecked: int
    agreed: int


def recheck(
    corpus: Corpus, problem_sets: Iterable[ProblemSet], grader: Grader, rows: int = ROWS, seed: int = 0
) -> Recheck:
    """Judges random rows again, against the stored problems. A row whose problem is not among them does not agree."""
    problems = {problem.id: problem for problems in problem_sets for problem in problems.problems()}
    total = corpus.row_count
    drawn = corpus.samples_at(random.Random(seed).sample(range(total), min(rows, total)))
    return Recheck(rechecked=len(drawn), agreed=sum(_agrees(s, problems.get(s.problem_id), grader) for s in drawn))


def _agrees(sample: Sample, problem: Problem | None, grader: Grader) -> bool:
    final = split_reply("chat", sample.response).final
    return problem is not None and bool(final) and grader.judge(problem, final or "").outcome is sample.outcome
