"""Suspect references: problems whose samples agree with each other and not with the reference.

A strong model that gives one answer again and again, where the reference is another, points to a faulty reference more
often than to a mistake of its own. Not covered: what is done about one (`CurateRecipe.excluded`), and problems without
votes, which are programs that no hidden test accepts.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from r1_pipeline.records import Domain, Problem, Record

if TYPE_CHECKING:
    import polars as pl

SHARE = 0.6
"""The share of a problem's samples that must agree on one answer, by default; `docs/grading.md` says how it was set."""
SAMPLES = 4
"""The number of samples that a problem must have, by default."""


class Suspect(Record):
    """A problem whose reference is suspect, with the evidence."""

    problem_id: str
    domain: Domain
    source: str
    question: str
    reference: str | None
    answer: str
    """The answer that the samples agree on, as the first of them spells it."""
    agreeing: int
    """The number of samples with this answer."""
    correct: int
    """The number of samples with the answer of the reference."""
    samples: int


def suspects(
    judged: "pl.DataFrame", problems: Iterable[Problem], share: float = SHARE, samples: int = SAMPLES
) -> list[Suspect]:
    """Returns the suspect references among `problems`, those with the clearest evidence first.

    `judged` has one row a sample, with the columns `problem_id`, `sample_index`, `extracted`, `score` and `vote`
    (`votes.with_votes`). Samples without an answer count against agreement.
    """
    import polars as pl

    by_id = {problem.id: problem for problem in problems}
    totals = judged.group_by("problem_id").agg(samples=pl.len(), correct=(pl.col("score") == 1.0).sum())
    votes = (
        judged.drop_nulls("vote")
        .sort("sample_index")
        .group_by("problem_id", "vote")
        .agg(agreeing=pl.len(), answer=pl.col("extracted").first(), score=pl.col("score").max())
        .join(totals, on="problem_id")
        .filter(
            pl.col("score") == 0.0,
            pl.col("samples") >= samples,
            pl.col("agreeing") >= share * pl.col("samples"),
            pl.col("problem_id").is_in(list(by_id)),
        )
        .sort(pl.col("agreeing") / pl.col("samples"), "problem_id", descending=[True, False])
        .unique("problem_id", keep="first", maintain_order=True)
    )
    return [
        Suspect(
            problem_id=row["problem_id"],
            domain=by_id[row["problem_id"]].domain,
            source=by_id[row["problem_id"]].source,
            question=by_id[row["problem_id"]].question,
            reference=by_id[row["problem_id"]].answer,
            **{name: row[name] for name in ("answer", "agreeing", "correct", "samples")},
        )
        for row in votes.iter_rows(named=True)
    ]
