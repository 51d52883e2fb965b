"""Asking a model the held-out problems, and scoring what it said: two steps with an artifact each.

    ask      model -> `completions.parquet` and `asked.json`; needs an engine, knows no verifier
    grade    those -> `completions.parquet` with verdicts and `scores.json`; needs verifiers, knows no model

So a changed verifier scores the stored completions again.
Not covered: sampling and judging (`generation.judging`), the arithmetic (`evaluation.scores`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import model_validator

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import write_table
from r1_pipeline.data.templates import TemplateName, template_hash
from r1_pipeline.evaluation.scores import Asked, EvalScores, Identity, score
from r1_pipeline.generation.engine import Engine
from r1_pipeline.generation.judging import SampleRecipe, judge, sample
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Domain, Problem, Record
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl


class AskRecipe(SampleRecipe):
    """What is asked, and how (paper, supplement D.1).

    The paper samples at temperature 0.6 and top-p 0.95: greedy answers repeat themselves and differ much between
    checkpoints.
    """

    problems: dict[Domain, int]
    """Problems asked, by domain: the first so many of the held-out set. Maths carries the bars: at least 512."""


class GradeRecipe(Recipe):
    """What is counted."""

    ks: tuple[int, ...]
    """pass@k is reported at these; each at most the samples of a problem."""


class EvaluateRecipe(Recipe):
    """The protocol of one evaluation."""

    ask: AskRecipe
    grade: GradeRecipe

    @model_validator(mode="after")
    def _ks_can_be_estimated(self) -> "EvaluateRecipe":
        if not all(1 <= k <= self.ask.samples for k in self.grade.ks):
            raise ValueError(f"ks {self.grade.ks} must lie in 1..{self.ask.samples} (samples a problem)")
        return self


class Subject(Record):
    """Who is examined with what."""

    model: str
    """Asset key, partition after a slash."""
    model_digest: str
    problems_digest: str


def ask(
    engine: Engine,
    problems: Sequence[Problem],
    template: TemplateName,
    recipe: AskRecipe,
    subject: Subject,
    draft: Draft,
) -> "pl.DataFrame":
    """Sample; leaves `completions.parquet` and `asked.json` in the draft, returns the completions."""
    asked = Asked(
        **subject.model_dump(),
        template=template,
        template_hash=template_hash(template),
        sampling=recipe.sampling,
        samples=recipe.samples,
        seed=recipe.seed,
        engine=engine.identity,
    )
    said = sample(engine, select(problems, recipe.problems), template, recipe, draft)
    write_table(draft.path / "completions.parquet", said)
    _write_json(draft, "asked.json", asked)
    return said


def grade(
    said: "pl.DataFrame",
    asked: Asked,
    grader: Grader,
    problems: Sequence[Problem],
    recipe: GradeRecipe,
    draft: Draft,
) -> EvalScores:
    """Judge and score; leaves `completions.parquet`, now with verdicts, and `scores.json` in the draft."""
    judged = judge(said, problems, grader, asked.template)
    used = set(judged["domain"])
    verifiers = {domain: name for domain, name in grader.identity.items() if domain in used}
    scores = score(judged, Identity(**asked.model_dump(), verifiers=verifiers), recipe.ks)
    write_table(draft.path / "completions.parquet", judged)
    _write_json(draft, "scores.json", scores)
    return scores


def select(problems: Sequence[Problem], counts: Mapping[Domain, int]) -> list[Problem]:
    """The first so many problems of each domain, in stored order. Raises `ValueError` where there are too few."""
    chosen = []
    for domain, count in counts.items():
        found = [problem for problem in problems if problem.domain == domain]
        if len(found) < count:
            raise ValueError(f"{len(found)} held-out problems in {domain}, {count} wanted; curate more or ask fewer")
        chosen += found[:count]
    return chosen


def _write_json(draft: Draft, name: str, value: Record) -> None:
    (draft.path / name).write_text(value.model_dump_json(indent=1) + "\n", encoding="utf-8")
