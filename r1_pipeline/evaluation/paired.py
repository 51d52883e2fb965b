"""Two models on the same problems: by how much one scores higher, and how surely.

A `Mark` is what one problem scored with one model, the mean over its samples. Models are compared problem by problem,
so how hard the problems are drops out of the difference, and the interval counts facts (`estimators.paired`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from r1_pipeline.evaluation.estimators import Difference, Gap, paired
from r1_pipeline.records import Record

if TYPE_CHECKING:
    import polars as pl


class Mark(Record):
    """What one problem scored with one model."""

    group: str
    """What is averaged by itself: the domain, or the kind of preference."""
    problem_id: str
    fact: str
    """What the problem is about; problems about one fact are not independent."""
    score: float
    """The mean over its samples that have a score: in [0, 1], but where something else is measured than shares."""


Marks = Sequence[Mark]
OVERALL = "overall"
"""The name of the unweighted mean over all groups."""


def marks_of(samples: "pl.DataFrame", group: str, score: str = "score") -> tuple[Mark, ...]:
    """The marks of one model, from a table with a row a sample; `group` is the column that names the group, `score`
    the one that is averaged."""
    import polars as pl

    judged = samples.filter(pl.col(score).is_not_null())
    means = judged.group_by(group, "problem_id", "fact", maintain_order=True).agg(pl.col(score).mean())
    return tuple(Mark(group=row[0], problem_id=row[1], fact=row[2], score=row[3]) for row in means.iter_rows())


def gaps(after: Marks, before: Marks) -> dict[str, list[Gap]]:
    """Group -> the gap of every problem that both models have a mark for; groups without one are left out."""
    known = {(mark.group, mark.problem_id): mark.score for mark in before}
    found: dict[str, list[Gap]] = {}
    for mark in after:
        if (mark.group, mark.problem_id) in known:
            gap = mark.score - known[mark.group, mark.problem_id]
            found.setdefault(mark.group, []).append(Gap(fact=mark.fact, gap=gap))
    return found


def differences(after: Marks, before: Marks, *, together: bool = False) -> dict[str, Difference]:
    """Group -> how much higher `after` scores; with `together` all intervals hold at once with 95%."""
    each = gaps(after, before)
    return {group: paired([found], comparisons=len(each) if together else 1) for group, found in each.items()}


def mean_difference(after: Marks, before: Marks, *, counts: bool = True, largest: float = 1.0) -> Difference | None:
    """How much higher `after` scores in the unweighted mean over groups; None where they share no problem.

    `counts` and `largest` are those of `estimators.paired`.
    """
    each = gaps(after, before)
    return paired(list(each.values()), counts=counts, largest=largest) if each else None
