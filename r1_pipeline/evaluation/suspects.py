"""Suspect references: problems whose samples agree with each other and not with the reference.

A strong model that gives one answer again and again, where the reference is another, points to a faulty reference more
often than to a mistake of its own. Not covered: what is done about one (`CurateRecipe.excluded`), and problems without
votes, which are programs that no hidden test accepts.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.evaluation.gates import Gate, GateLimits
from r1_pipeline.evaluation.votes import with_votes
from r1_pipeline.generation.grade_completions import grade_completions
from r1_pipeline.records import DOMAINS, STORED, Domain, Problem, Record
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl

SHARE = 0.6
"""The share of a problem's samples that must agree on one answer, by default; `docs/grading.md` says how it was set."""
SAMPLES = 4
"""The number of samples that a problem must have, by default."""
LATE = 0.5
"""The share of a reinforcement run, from its end, whose rollouts count: those of a policy that has learned."""
GATED = 20_000
"""The maximum number of rollouts that the gate grades, the last ones."""


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


def late_answers(model: Checkpoint, at_most: int | None = None) -> "pl.DataFrame":
    """Returns the rollouts of the last steps of a reinforced model as answers, numbered by problem.

    These are the steps of the second half, or fewer, so that there are no more than `at_most` rollouts.
    """
    import polars as pl

    rollouts = model.rollouts()
    counts = rollouts.group_by("step").len().sort("step", descending=True).collect(engine="streaming")
    steps: list[int] = counts["step"].to_list()
    late = [step for step in steps if step >= steps[-1] + LATE * (steps[0] - steps[-1])]
    totals: list[int] = counts["len"].cum_sum().to_list()
    few = [step for step, total in zip(steps, totals, strict=True) if at_most is None or total <= at_most]
    begin = max(late[-1], few[-1] if few else steps[0])
    number = pl.int_range(pl.len()).over("problem_id")
    rows = rollouts.filter(pl.col("step") >= begin)
    return rows.with_columns(sample_index=number).select(STORED).collect(engine="streaming")


def suspect_references(model: Checkpoint, problems: Sequence[Problem], grader: Grader, limits: GateLimits) -> Gate:
    """Checks that the last rollouts of a model agree against few references of the problems that it was reinforced on.

    The value is the share of suspects among the problems with enough samples; 0 if no rollouts are stored.
    """
    import polars as pl

    asked = [p for p in problems if p.answer is not None and DOMAINS[p.domain].reasoning]
    examined, found = 0, list[Suspect]()
    if model.rollout_tables():
        answers = late_answers(model, GATED)
        answers = answers.filter(pl.col("problem_id").is_in([problem.id for problem in asked]))
        graded = grade_completions(answers, asked, grader, model.template)
        found = suspects(with_votes(graded, asked, grader), asked)
        examined = answers.group_by("problem_id").len().filter(pl.col("len") >= SAMPLES).height
    first = f"; first: {found[0].answer!r} for {found[0].reference!r} of {found[0].problem_id}" if found else ""
    return Gate(
        name="suspect_references",
        value=len(found) / max(examined, 1),
        sense="at most",
        limit=limits.suspect_references,
        detail=f"{len(found)} of {examined} problems whose samples agree on another answer{first}; list them: "
        f"r1 suspects {model.name}",
    )
