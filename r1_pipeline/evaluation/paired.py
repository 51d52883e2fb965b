"""This module compares two models on the same problems: the paired difference of their scores, and its interval.

A `Mark` is the score of one problem with one model, the mean over its samples. Models are compared problem by problem,
so that the difficulty of the problems cancels out, and the interval is clustered by fact (`estimators.paired`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from r1_pipeline.evaluation.estimators import Difference, Gap, paired
from r1_pipeline.records import Record

if TYPE_CHECKING:
    import polars as pl


class Mark(Record):
    """The score of one problem with one model."""

    group: str
    """The group that is averaged separately: the domain, or the kind of preference."""
    problem_id: str
    fact: str
    """The fact that the problem is about; problems about one fact are not independent."""
    score: float
    """The mean over the samples with a score; in [0, 1] if the measure is a share."""


Marks = Sequence[Mark]
"""The marks of one model."""
OVERALL = "overall"
"""The name of the unweighted mean over all groups."""


def marks_of(samples: "pl.DataFrame", group: str, score: str = "score") -> tuple[Mark, ...]:
    """Returns the marks of one model from a table with one row for each sample.

    `group` is the column of the group, and `score` the column that is averaged; rows without a score are left out.
    """
    import polars as pl

    judged = samples.filter(pl.col(score).is_not_null())
    means = judged.group_by(group, "problem_id", "fact", maintain_order=True).agg(pl.col(score).mean())
    return tuple(Mark(group=row[0], problem_id=row[1], fact=row[2], score=row[3]) for row in means.iter_rows())


def gaps(after: Marks, before: Marks) -> dict[str, list[Gap]]:
    """Returns, by group, the gap of every problem that both models have a mark for; empty groups are left out."""
    known = {(mark.group, mark.problem_id): mark.score for mark in before}
    found: dict[str, list[Gap]] = {}
    for mark in after:
        if (mark.group, mark.problem_id) in known:
            gap = mark.score - known[mark.group, mark.problem_id]
            found.setdefault(mark.group, []).append(Gap(fact=mark.fact, gap=gap))
    return found


def differences(after: Marks, before: Marks, *, together: bool = False) -> dict[str, Difference]:
    """Returns the mean of `after` minus `before` by group; with `together`, the intervals hold jointly with 95%."""
    each = gaps(after, before)
    return {group: paired([found], comparisons=len(each) if together else 1) for group, found in each.items()}


def mean_difference(after: Marks, before: Marks, *, counts: bool = True, largest: float = 1.0) -> Difference | None:
    """Returns the unweighted mean over groups of `after` minus `before`; None if the models share no problem.

    `counts` and `largest` are those of `estimators.paired`.
    """
    each = gaps(after, before)
    return paired(list(each.values()), counts=counts, largest=largest) if each else None
