"""This module judges stored rows again, for a gate, for `r1 regrade` and for `r1 audit`, which count the results.

A row is a completion with its stored verdict: a completion of an evaluation, a completion from which a corpus was
sampled, or a row of a corpus. Its problem comes from stored problem sets. The module samples and writes nothing.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from r1_pipeline.artifacts.kinds import ProblemSet
from r1_pipeline.artifacts.tables import records_of, rows_at
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.generation.grade_completions import completions_of
from r1_pipeline.records import Completion, Outcome, Problem, Record, Sample, Verdict
from r1_pipeline.rewards.verifier import MODEL_JUDGES, Grader

if TYPE_CHECKING:
    import polars as pl

REJUDGED_ROWS = 500
"""The number of random rows of a corpus that are judged again if not all are."""
BATCH = 20_000
"""The number of rows in memory at once."""


class Stored(Record):
    """A completion with its stored verdict."""

    sample_id: str
    """The id `PROBLEM/SAMPLE`, or the own id of a corpus row or a rollout."""
    completion: Completion
    outcome: Outcome
    verifier: str
    """The `name@version` of the verifier."""


class Rejudged(Record):
    """A stored row, and the verdict of today."""

    row: Stored
    problem: Problem | None
    """The row's problem; None if no problem set has it."""
    verdict: Verdict | None
    """The verdict of today; None without a problem."""

    @property
    def agrees(self) -> bool:
        """True if the outcome is the same as the stored one; False without a problem."""
        return self.verdict is not None and self.verdict.outcome is self.row.outcome


def rejudge_samples(rows: "pl.LazyFrame", sets: Iterable[ProblemSet], grader: Grader) -> Iterator[Rejudged]:
    """Judges rows of a corpus again, in order."""
    return _rejudged(_by_rule(rows), _of_samples, sets, grader, "chat")


def rejudge_completions(
    rows: "pl.LazyFrame", sets: Iterable[ProblemSet], grader: Grader, template: TemplateName
) -> Iterator[Rejudged]:
    """Judges completions again, in order; `rows` has the stored verdicts in the columns `outcome` and `verifier`."""
    return _rejudged(_by_rule(rows), stored_completions, sets, grader, template)


def _by_rule(rows: "pl.LazyFrame") -> "pl.LazyFrame":
    """Leaves out the rows that a model judged, which no grader can repeat; the audit replays the stored judgements
    (`lineage.judgements`, `lineage.opinions`)."""
    import polars as pl

    return rows.filter(~pl.col("verifier").str.split("@").list.first().is_in(MODEL_JUDGES))


def random_rows(rows: "pl.LazyFrame", count: int, seed: int = 0) -> "pl.LazyFrame":
    """Returns `count` random rows, or all rows if there are fewer, in stored order."""
    import polars as pl

    total = rows.select(pl.len()).collect(engine="streaming").item()
    numbers = random.Random(seed).sample(range(total), min(count, total))
    return rows_at(rows, numbers)


def _rejudged(
    rows: "pl.LazyFrame",
    read: "Callable[[pl.DataFrame], list[Stored]]",
    sets: Iterable[ProblemSet],
    grader: Grader,
    template: TemplateName,
) -> Iterator[Rejudged]:
    problems = _problems_of(rows, sets)
    for frame in rows.collect_batches(maintain_order=True, chunk_size=BATCH):
        stored = read(frame)
        found = [problems.get(row.completion.problem_id) for row in stored]
        pairs = [(problem, row.completion) for problem, row in zip(found, stored, strict=True) if problem]
        verdicts = iter(grader.grade_all(pairs, template))
        for problem, row in zip(found, stored, strict=True):
            yield Rejudged(row=row, problem=problem, verdict=next(verdicts) if problem else None)


def _problems_of(rows: "pl.LazyFrame", sets: Iterable[ProblemSet]) -> dict[str, Problem]:
    """Returns the problems of `rows` by id; if two sets have the same problem, the later set counts."""
    import polars as pl

    ids = rows.select(id=pl.col("problem_id")).unique()
    found = [each.scan().join(ids, on="id", how="semi").collect(engine="streaming") for each in sets]
    return {problem.id: problem for frame in found for problem in records_of(frame, Problem)}


def stored_completions(frame: "pl.DataFrame") -> list[Stored]:
    """Returns judged completions with their stored verdicts, in order."""
    verdicts = frame.select("outcome", "verifier").iter_rows()
    ids = (
        frame["rollout_id"]
        if "rollout_id" in frame.columns
        else frame["problem_id"] + "/" + frame["sample_index"].cast(str)
    )
    return [
        Stored(
            sample_id=sample_id,
            completion=completion,
            outcome=Outcome(outcome),
            verifier=verifier,
        )
        for sample_id, completion, (outcome, verifier) in zip(ids, completions_of(frame), verdicts, strict=True)
    ]


def _of_samples(frame: "pl.DataFrame") -> list[Stored]:
    return [
        Stored(
            sample_id=sample.sample_id,
            completion=Completion(
                problem_id=sample.problem_id,
                sample_index=sample.sample_index,
                seed=sample.seed,
                text=sample.response,
                token_ids=(),
                finish_reason="stop",
                engine=sample.engine,
            ),
            outcome=sample.outcome,
            verifier=sample.verifier,
        )
        for sample in records_of(frame, Sample)
    ]
