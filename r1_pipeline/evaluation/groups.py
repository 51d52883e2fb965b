"""Scores of parts of a benchmark: the problems of one language, or of one difficulty as the data set states it.

Problems without a judged completion, or without the property, are in no group.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from r1_pipeline.evaluation.estimators import Interval, Tally, interval, pass_at_1
from r1_pipeline.records import Problem, Record

if TYPE_CHECKING:
    import polars as pl

GroupedBy = Literal["language", "difficulty"]


class GroupScore(Record):
    """The score of a group of problems."""

    problems: int
    """The number of its problems with a judged completion."""
    pass_at_1: float
    """The mean over problems of the share of correct samples."""
    pass_at_1_ci: Interval
    """The 95% interval of pass@1, clustered by fact."""


def groups_of(
    judged: "pl.DataFrame", problems: Sequence[Problem], by: Sequence[GroupedBy]
) -> dict[GroupedBy, dict[str, GroupScore]]:
    """Returns property -> value -> the score of its problems; `judged` has `problem_id`, `fact` and `score`."""
    tallies: dict[str, Tally] = {}
    for problem_id, fact, value in judged.select("problem_id", "fact", "score").iter_rows():
        if value is not None:
            known = tallies.get(problem_id, Tally(judged=0, correct=0, fact=fact))
            counts = {"judged": known.judged + 1, "correct": known.correct + (value == 1.0)}
            tallies[problem_id] = known.model_copy(update=counts)
    found: dict[GroupedBy, dict[str, GroupScore]] = {}
    for each in by:
        groups: dict[str, list[Tally]] = {}
        for problem in problems:
            if problem.id in tallies and (value := getattr(problem, each)) is not None:
                groups.setdefault(value, []).append(tallies[problem.id])
        found[each] = {value: _score(members) for value, members in sorted(groups.items())}
    return found


def _score(tallies: Sequence[Tally]) -> GroupScore:
    return GroupScore(problems=len(tallies), pass_at_1=pass_at_1(tallies), pass_at_1_ci=interval([tallies]))
