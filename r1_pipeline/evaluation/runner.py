"""Asking a model the held-out problems, scoring what it says, and keeping both.

`completions.parquet` holds every completion with its verdict (columns: `generation.judging`): `rescore` judges the same
completions again with another grader and needs no model.
Not covered: sampling and judging (`generation.judging`), the arithmetic (`evaluation.scores`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import model_validator

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import write_table
from r1_pipeline.data.templates import TemplateName, template_hash
from r1_pipeline.evaluation.scores import EvalScores, Identity, score
from r1_pipeline.generation.engine import Engine
from r1_pipeline.generation.judging import SampleRecipe, judge, sample_and_judge
from r1_pipeline.records import Completion, Domain, Problem, Record
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl


class EvaluateRecipe(SampleRecipe):
    """The protocol of one evaluation (paper, supplement D.1).

    The paper samples at temperature 0.6 and top-p 0.95: greedy answers repeat themselves and differ much between
    checkpoints.
    """

    ks: tuple[int, ...]
    """pass@k is reported at these; each at most `samples`."""
    problems: dict[Domain, int]
    """Problems asked, by domain: the first so many of the held-out set. Maths carries the bars: at least 512."""

    @model_validator(mode="after")
    def _ks_can_be_estimated(self) -> "EvaluateRecipe":
        if not all(1 <= k <= self.samples for k in self.ks):
            raise ValueError(f"ks {self.ks} must lie in 1..{self.samples} (samples a problem)")
        return self


class Subject(Record):
    """Who is examined with what."""

    model: str
    """Asset key, partition after a slash."""
    model_digest: str
    problems_digest: str


def evaluate(
    engine: Engine,
    grader: Grader,
    problems: Sequence[Problem],
    template: TemplateName,
    recipe: EvaluateRecipe,
    subject: Subject,
    draft: Draft,
) -> EvalScores:
    """Sample, judge, score; leaves `completions.parquet` and `scores.json` in the draft."""
    asked = select(problems, recipe.problems)
    identity = Identity(
        **subject.model_dump(),
        template=template,
        template_hash=template_hash(template),
        sampling=recipe.sampling,
        samples=recipe.samples,
        seed=recipe.seed,
        engine=engine.identity,
        verifiers=_verifiers(grader, asked),
    )
    return _conclude(sample_and_judge(engine, grader, asked, template, recipe, draft), identity, recipe.ks, draft)


def rescore(
    stored: "pl.DataFrame",
    before: EvalScores,
    grader: Grader,
    problems: Sequence[Problem],
    recipe: EvaluateRecipe,
    draft: Draft,
) -> EvalScores:
    """Judge stored completions with `grader`: new verdicts and scores, the same completions, no engine."""
    by_id = {problem.id: problem for problem in problems}
    completions = [Completion.model_validate(row) for row in stored.select(_COMPLETION).iter_rows(named=True)]
    frame = judge(completions, by_id, grader, before.identity.template)
    asked = [by_id[problem_id] for problem_id in frame["problem_id"].unique(maintain_order=True)]
    identity = before.identity.model_copy(update={"verifiers": _verifiers(grader, asked)})
    return _conclude(frame, identity, recipe.ks, draft)


def select(problems: Sequence[Problem], counts: Mapping[Domain, int]) -> list[Problem]:
    """The first so many problems of each domain, in stored order. Raises `ValueError` where there are too few."""
    chosen = []
    for domain, count in counts.items():
        found = [problem for problem in problems if problem.domain == domain]
        if len(found) < count:
            raise ValueError(f"{len(found)} held-out problems in {domain}, {count} wanted; curate more or ask fewer")
        chosen += found[:count]
    return chosen


_COMPLETION = tuple(Completion.model_fields)


def _verifiers(grader: Grader, asked: Sequence[Problem]) -> dict[str, str]:
    used = {problem.domain for problem in asked}
    return {domain: identity for domain, identity in grader.identity.items() if domain in used}


def _conclude(frame: "pl.DataFrame", identity: Identity, ks: tuple[int, ...], draft: Draft) -> EvalScores:
    scores = score(frame, identity, ks)
    write_table(draft.path / "completions.parquet", frame)
    (draft.path / "scores.json").write_text(scores.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return scores
