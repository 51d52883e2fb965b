"""Stored rows judged again: by a gate, by `r1 regrade` and by `r1 audit`, which each count what comes out here.

A row is a completion with the verdict of its time: a completion of an evaluation, of the answers behind a sampled
corpus, or a row of a corpus. Its problem comes from stored problem sets. Nothing is asked and nothing is written.
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
"""Random rows of a corpus that are judged again where not all are."""
BATCH = 20_000
"""Rows in memory at once."""


class Stored(Record):
    """A completion with the verdict of its time."""

    sample_id: str
    """`PROBLEM/SAMPLE`; of a row of a corpus, its own."""
    completion: Completion
    outcome: Outcome
    verifier: str
    """`name@version`."""


class Rejudged(Record):
    """A stored row, and the verdict of today."""

    row: Stored
    problem: Problem | None
    """None where no set has it."""
    verdict: Verdict | None
    """None where there is no problem."""

    @property
    def agrees(self) -> bool:
        """Whether the outcome is the same again, which it is not without a problem."""
        return self.verdict is not None and self.verdict.outcome is self.row.outcome


def rejudge_samples(rows: "pl.LazyFrame", sets: Iterable[ProblemSet], grader: Grader) -> Iterator[Rejudged]:
    """Judges rows of a corpus, in order."""
    return _rejudged(_by_rule(rows), _of_samples, sets, grader, "chat")


def rejudge_completions(
    rows: "pl.LazyFrame", sets: Iterable[ProblemSet], grader: Grader, template: TemplateName
) -> Iterator[Rejudged]:
    """Judges completions that have the columns `outcome` and `verifier`, in order."""
    return _rejudged(_by_rule(rows), _of_completions, sets, grader, template)


def _by_rule(rows: "pl.LazyFrame") -> "pl.LazyFrame":
    """The rows without those that a model's opinion decided: no grader can repeat it, the audit replays it from what
    was stored (`lineage.judgements`)."""
    import polars as pl

    return rows.filter(~pl.col("verifier").str.split("@").list.first().is_in(MODEL_JUDGES))


def random_rows(rows: "pl.LazyFrame", count: int, seed: int = 0) -> "pl.LazyFrame":
    """`count` random rows, or all where there are no more, in stored order."""
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
        asked = [problems.get(row.completion.problem_id) for row in stored]
        pairs = [(problem, row.completion) for problem, row in zip(asked, stored, strict=True) if problem]
        verdicts = iter(grader.grade_all(pairs, template))
        for problem, row in zip(asked, stored, strict=True):
            yield Rejudged(row=row, problem=problem, verdict=next(verdicts) if problem else None)


def _problems_of(rows: "pl.LazyFrame", sets: Iterable[ProblemSet]) -> dict[str, Problem]:
    """The problems that `rows` are about, by id; of two sets that have one, the later counts."""
    import polars as pl

    wanted = rows.select(id=pl.col("problem_id")).unique()
    found = [each.scan().join(wanted, on="id", how="semi").collect(engine="streaming") for each in sets]
    return {problem.id: problem for frame in found for problem in records_of(frame, Problem)}


def _of_completions(frame: "pl.DataFrame") -> list[Stored]:
    verdicts = frame.select("outcome", "verifier").iter_rows()
    return [
        Stored(
            sample_id=f"{said.problem_id}/{said.sample_index}",
            completion=said,
            outcome=Outcome(outcome),
            verifier=verifier,
        )
        for said, (outcome, verifier) in zip(completions_of(frame), verdicts, strict=True)
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
