"""This module judges stored completions again and reports the verdicts that changed.

It judges every completion, kept or not, of an evaluation or of a sampled corpus, every rollout of a reinforced model,
and every row of any other corpus. It
samples nothing and writes nothing. Verdicts of a benchmark's judges are read again in their stored outputs, and no
judge is asked. Problems come from the problem sets from which the artifact was made. Not covered:
judging a single row (`rejudge`).
"""

from collections.abc import Iterable

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Completions, Corpus, EvalReport, ProblemSet
from r1_pipeline.errors import WrongKindError
from r1_pipeline.evaluation.judging import replayed
from r1_pipeline.evaluation.rejudge import Rejudged, rejudge_completions, rejudge_samples
from r1_pipeline.evaluation.rollouts import RewardChanges, reward_changes
from r1_pipeline.evaluation.scores import scores_of
from r1_pipeline.records import Domain, Outcome, Record
from r1_pipeline.rewards.verifier import Grader


class Flip(Record):
    """A verdict that changed."""

    sample_id: str
    """The id `PROBLEM/SAMPLE`, or the own id of a rollout, or of a row in a corpus that was not sampled."""
    domain: Domain
    old: Outcome
    new: Outcome
    old_verifier: str
    new_verifier: str
    detail: str
    """The detail of the new verdict."""


class Regrade(Record):
    """The comparison of all stored verdicts of one artifact with those of today."""

    name: str
    digest: str
    judged: int
    """The number of rows that were judged again."""
    without_problem: int
    """The number of rows whose problem is in none of the artifact's problem sets."""
    verifiers: dict[str, str]
    """The `name@version` of today by that of the stored verdicts; equal if the verifier did not change."""
    flips: tuple[Flip, ...]
    """The verdicts that changed."""
    rewards: RewardChanges | None = None
    """The rewards of a reinforced model that change; None for other artifacts."""


def regrade(
    artifact: Artifact, answers: Completions | None, problem_sets: Iterable[ProblemSet], grader: Grader
) -> Regrade:
    """Judges the completions of `artifact` again; `answers` and `problem_sets` are those from which it was made.

    Raises `WrongKindError` for an artifact without completions, `ArtifactError` for a model without rollouts.
    """
    import polars as pl

    rows: Iterable[Rejudged]
    if isinstance(artifact, EvalReport) and artifact.judge:
        rows = replayed(artifact, problem_sets)
    elif isinstance(artifact, EvalReport):
        template = scores_of(artifact).identity.template
        rows = rejudge_completions(artifact.completions().lazy(), problem_sets, grader, template)
    elif isinstance(artifact, Corpus) and answers:
        judged = answers.completions().join(
            artifact.verdicts(), on=["problem_id", "sample_index"], maintain_order="left"
        )
        rows = rejudge_completions(judged.lazy(), problem_sets, grader, answers.asked()["template"])
    elif isinstance(artifact, Checkpoint):
        rollouts = artifact.rollouts().filter(pl.col("outcome").is_not_null())
        rows = rejudge_completions(rollouts, problem_sets, grader, artifact.template)
    elif isinstance(artifact, Corpus):
        rows = rejudge_samples(artifact.scan(), problem_sets, grader)
    else:
        raise WrongKindError(
            f"{artifact.name} is a {artifact.kind}; only evaluations, corpora and reinforced models have completions"
        )
    known = without_problem = 0
    verifiers: dict[str, str] = {}
    flips: list[Flip] = []
    scores: dict[str, float | None] = {}
    for each in rows:
        if each.problem is None or each.verdict is None:
            without_problem += 1
            continue
        known += 1
        verifiers[each.row.verifier] = each.verdict.verifier
        if not each.agrees:
            scores[each.row.sample_id] = each.verdict.score
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
        rewards=reward_changes(artifact, scores) if isinstance(artifact, Checkpoint) else None,
    )
