"""Stored completions judged once more: which verdicts would be others today.

Of an evaluation and of a sampled corpus every completion is judged, kept or not; of any other corpus every row. Nothing
is asked and nothing written. Problems come from the problem sets that the artifact was made from. Not covered: how a
row is judged again (`rejudge`).
"""

from collections.abc import Iterable

from r1_pipeline.artifacts.kinds import Artifact, Completions, Corpus, EvalReport, ProblemSet
from r1_pipeline.errors import WrongKindError
from r1_pipeline.evaluation.rejudge import rejudge_completions, rejudge_samples
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.records import Domain, Outcome, Record
from r1_pipeline.rewards.verifier import Grader


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


def regrade(artifact: Artifact, answers: Completions | None, asked: Iterable[ProblemSet], grader: Grader) -> Regrade:
    """Judges what `artifact` holds; `answers` and `asked` are the completions and problem sets that it was made from.

    Raises `WrongKindError` for an artifact that holds no completions.
    """
    if isinstance(artifact, EvalReport):
        template = scores_of(artifact).identity.template
        rows = rejudge_completions(artifact.completions().lazy(), asked, grader, template)
    elif isinstance(artifact, Corpus) and answers:
        judged = answers.completions().join(
            artifact.verdicts(), on=["problem_id", "sample_index"], maintain_order="left"
        )
        rows = rejudge_completions(judged.lazy(), asked, grader, answers.asked()["template"])
    elif isinstance(artifact, Corpus):
        rows = rejudge_samples(artifact.scan(), asked, grader)
    else:
        raise WrongKindError(f"{artifact.name} is a {artifact.kind}; only evaluations and corpora hold completions")
    known = without_problem = 0
    verifiers: dict[str, str] = {}
    flips: list[Flip] = []
    for each in rows:
        if each.problem is None or each.verdict is None:
            without_problem += 1
            continue
        known += 1
        verifiers[each.row.verifier] = each.verdict.verifier
        if not each.agrees:
            flips.append(
                Flip(
                    sample_id=each.row.sample_id,
                    domain=each.problem.domain,
                    old=each.row.outcome,
                    new=each.verdict.outcome,
                    old_verifier=each.row.verifier,
                    new_verifier=each.verdict.verifier,
                    detail=each.verdict.detail,
                )
            )
    return Regrade(
        name=artifact.name,
        digest=artifact.digest,
        judged=known,
        without_problem=without_problem,
        verifiers=verifiers,
        flips=tuple(flips),
    )
