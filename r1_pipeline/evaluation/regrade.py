"""Stored completions judged once more: which verdicts would be others today.

Of an evaluation and of a sampled corpus every completion is judged, kept or not; of any other corpus every row. Nothing
is asked and nothing written. Problems come from the problem sets that the artifact was made from.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from r1_pipeline.artifacts.kinds import Answers, Artifact, Corpus, EvalReport, ProblemSet
from r1_pipeline.artifacts.tables import records_of
from r1_pipeline.errors import WrongKindError
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.generation.judging import completions_of
from r1_pipeline.records import Completion, Domain, Outcome, Problem, Record, Sample, Verdict
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl


class Flip(Record):
    """A verdict that is another one today."""

    sample_id: str
    """`PROBLEM/SAMPLE`; of a corpus that was not sampled, the row's own."""
    domain: Domain
    old: Outcome
    new: Outcome
    old_verifier: str
    new_verifier: str
    detail: str
    """Of the new verdict."""


class Regrade(Record):
    """All verdicts of one artifact, then and now."""

    name: str
    digest: str
    judged: int
    without_problem: int
    """Rows whose problem is in none of the sets that the artifact was made from."""
    verifiers: dict[str, str]
    """`name@version` that judged a row then -> the one of today; equal where nothing has changed."""
    flips: tuple[Flip, ...]


def regrade(artifact: Artifact, answers: Answers | None, asked: Iterable[ProblemSet], grader: Grader) -> Regrade:
    """Judges what `artifact` holds; `answers` and `asked` are the completions and problem sets that it was made from.

    Raises `WrongKindError` for an artifact that holds no completions.
    """
    problems = {problem.id: problem for each in asked for problem in each.problems()}
    if isinstance(artifact, EvalReport):
        template, batches = scores_of(artifact).identity.template, iter([_judged(artifact.completions())])
    elif isinstance(artifact, Corpus) and answers:
        template = answers.asked()["template"]
        of_one = ["problem_id", "sample_index"]
        batches = iter([_judged(answers.completions().join(artifact.verdicts(), on=of_one, maintain_order="left"))])
    elif isinstance(artifact, Corpus):
        template = "chat"
        batches = ([_said(sample) for sample in records_of(frame, Sample)] for frame in artifact.batches())
    else:
        raise WrongKindError(f"{artifact.name} is a {artifact.kind}; only evaluations and corpora hold completions")
    judged = without_problem = 0
    verifiers: dict[str, str] = {}
    flips: list[Flip] = []
    for rows in batches:
        known = [(row, problems[row.problem_id]) for row in rows if row.problem_id in problems]
        verdicts = grader.grade_all([(problem, row.completion) for row, problem in known], template)
        judged += len(known)
        without_problem += len(rows) - len(known)
        for (row, problem), verdict in zip(known, verdicts, strict=True):
            verifiers[row.verifier] = verdict.verifier
            if verdict.outcome is not row.outcome:
                flips.append(_flip(row, problem, verdict))
    return Regrade(
        name=artifact.name,
        digest=artifact.digest,
        judged=judged,
        without_problem=without_problem,
        verifiers=verifiers,
        flips=tuple(flips),
    )


def _flip(row: "_Row", problem: Problem, verdict: Verdict) -> Flip:
    return Flip(
        sample_id=row.sample_id,
        domain=problem.domain,
        old=row.outcome,
        new=verdict.outcome,
        old_verifier=row.verifier,
        new_verifier=verdict.verifier,
        detail=verdict.detail,
    )


class _Row(Record):
    """A stored completion with the verdict of its time."""

    sample_id: str
    completion: Completion
    outcome: Outcome
    verifier: str

    @property
    def problem_id(self) -> str:
        return self.completion.problem_id


def _judged(frame: "pl.DataFrame") -> Sequence[_Row]:
    return [
        _Row(
            sample_id=f"{said.problem_id}/{said.sample_index}",
            completion=said,
            outcome=Outcome(outcome),
            verifier=verifier,
        )
        for said, outcome, verifier in zip(completions_of(frame), frame["outcome"], frame["verifier"], strict=True)
    ]


def _said(sample: Sample) -> _Row:
    completion = Completion(
        problem_id=sample.problem_id,
        sample_index=sample.sample_index,
        seed=sample.seed,
        text=sample.response,
        token_ids=(),
        finish_reason="stop",
        engine=sample.engine,
    )
    return _Row(sample_id=sample.sample_id, completion=completion, outcome=sample.outcome, verifier=sample.verifier)
