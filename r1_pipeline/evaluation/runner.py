"""Scoring what a model said to the held-out problems: `completions.parquet` with verdicts, and `scores.json`.

It needs verifiers and knows no model: a changed verifier scores the stored answers again.
Not covered: sampling (`generation.sampling`), grading (`generation.grade_completions`), the arithmetic (`scores`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import model_validator

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import COMPLETIONS, SCORES
from r1_pipeline.artifacts.tables import write_table
from r1_pipeline.data.split import fact_of
from r1_pipeline.evaluation.scores import EvalScores, Identity, score
from r1_pipeline.evaluation.votes import with_votes
from r1_pipeline.generation.grade_completions import grade_completions
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingRecord
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.records import Problem
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.refusal import declines
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl


class GradeRecipe(Recipe):
    """What is counted."""

    ks: tuple[int, ...]
    """pass@k is reported at these; each at most the samples of a problem."""
    extract: Annotated[Rule, AddedField()] = "strict"
    """How the answer of a reply is found: as in training, or leniently, for models that were not trained to box it."""


class EvaluateRecipe(Recipe):
    """The protocol of one evaluation (paper, supplement D.1).

    The paper samples at temperature 0.6 and top-p 0.95: greedy answers repeat themselves and differ much between
    checkpoints. Maths carries the bars: at least 512 problems.
    """

    ask: SamplingRecipe
    grade: GradeRecipe

    @model_validator(mode="after")
    def _ks_can_be_estimated(self) -> "EvaluateRecipe":
        if not all(1 <= k <= self.ask.samples for k in self.grade.ks):
            raise ValueError(f"ks {self.grade.ks} must lie in 1..{self.ask.samples} (samples a problem)")
        return self


def _refusals(judged: "pl.DataFrame", problems: Sequence[Problem]) -> "list[pl.Series]":
    """Columns `kind` and `declined`: of general problems what the prompt asks for, and whether the reply declines."""
    import polars as pl

    by_id = {problem.id: problem for problem in problems}
    asked = [by_id[id_] for id_ in judged["problem_id"]]
    kinds = [(problem.kind or "helpful") if problem.domain == "general" else None for problem in asked]
    finals = judged["final"].to_list()
    said = [None if kind is None else declines(final or "") for kind, final in zip(kinds, finals, strict=True)]
    return [pl.Series("kind", kinds, dtype=pl.String), pl.Series("declined", said, dtype=pl.Boolean)]


def grade(
    said: "pl.DataFrame",
    asked: SamplingRecord,
    grader: Grader,
    problems: Sequence[Problem],
    recipe: GradeRecipe,
    draft: Draft,
) -> EvalScores:
    """Judge and score; leaves `completions.parquet`, now with verdicts, votes and facts, and `scores.json` in the
    draft."""
    import polars as pl

    judged = with_votes(grade_completions(said, problems, grader, asked.template), problems, grader)
    facts = {problem.id: fact_of(problem) for problem in problems}
    judged = judged.with_columns(fact=judged["problem_id"].replace_strict(facts, return_dtype=pl.String))
    judged = judged.with_columns(_refusals(judged, problems))
    used = set(judged["domain"])
    verifiers = {domain: name for domain, name in grader.identity.items() if domain in used}
    scores = score(judged, Identity(**asked.model_dump(), verifiers=verifiers), recipe.ks)
    write_table(draft.path / COMPLETIONS, judged)
    (draft.path / SCORES).write_text(scores.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return scores
