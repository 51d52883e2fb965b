"""This module scores a model's completions: it writes `completions.parquet` with verdicts, and `scores.json`.

It needs verifiers and loads no model: after a change of a verifier, it scores the stored completions again.
Not covered: sampling (`generation.sampling`), grading (`generation.grade_completions`), the arithmetic (`scores`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import model_validator

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import COMPLETIONS, OPINIONS, SCORES
from r1_pipeline.artifacts.tables import write_records, write_table
from r1_pipeline.data.split import fact_of
from r1_pipeline.evaluation.groups import GroupedBy, groups_of
from r1_pipeline.evaluation.judged_scores import JudgedScores, judged_scores
from r1_pipeline.evaluation.judging import Asker, cases_of, verdicts_of
from r1_pipeline.evaluation.scores import EvalScores, Identity, score
from r1_pipeline.evaluation.votes import with_votes
from r1_pipeline.generation.grade_completions import completions_of, grade_completions
from r1_pipeline.generation.judge_protocol import JudgeRecipe, Opinion, signature
from r1_pipeline.generation.sampling import SamplingRecipe, SamplingRecord
from r1_pipeline.recipe import AddedField, Recipe
from r1_pipeline.records import Problem, Verdict
from r1_pipeline.rewards.answer_extraction import Rule
from r1_pipeline.rewards.refusal import declines
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl


class GradeRecipe(Recipe):
    """The settings of grading and scoring."""

    ks: tuple[int, ...]
    """The values of k at which pass@k is reported, each at most the number of samples of a problem."""
    extract: Annotated[Rule, AddedField()] = "strict"
    """The extraction rule: strict as in training, or lenient for models that were not trained to box an answer."""
    by: Annotated[tuple[GroupedBy, ...], AddedField()] = ()
    """The properties of problems by which scores are also given."""
    judge: Annotated[JudgeRecipe | None, AddedField()] = None
    """The judges that give the verdicts; None for rules."""


class EvaluateRecipe(Recipe):
    """The protocol of one evaluation (paper, supplement D.1).

    The paper samples at temperature 0.6 and top-p 0.95, because greedy replies are repetitive and vary much between
    checkpoints. The bars are on maths and need at least 512 problems.
    """

    ask: SamplingRecipe
    grade: GradeRecipe

    @model_validator(mode="after")
    def _ks_can_be_estimated(self) -> "EvaluateRecipe":
        if not all(1 <= k <= self.ask.samples for k in self.grade.ks):
            raise ValueError(f"ks {self.grade.ks} must be in 1..{self.ask.samples} (the samples of a problem)")
        return self


def _refusals(judged: "pl.DataFrame", problems: Sequence[Problem]) -> "list[pl.Series]":
    """Returns the columns `kind` (of the prompt) and `declined` (the reply), which are null for other domains."""
    import polars as pl

    by_id = {problem.id: problem for problem in problems}
    prompts = [by_id[id_] for id_ in judged["problem_id"]]
    kinds = [(problem.kind or "helpful") if problem.domain == "general" else None for problem in prompts]
    finals = judged["final"].to_list()
    declined = [None if kind is None else declines(final or "") for kind, final in zip(kinds, finals, strict=True)]
    return [pl.Series("kind", kinds, dtype=pl.String), pl.Series("declined", declined, dtype=pl.Boolean)]


def grade(
    completions: "pl.DataFrame",
    record: SamplingRecord,
    grader: Grader,
    problems: Sequence[Problem],
    recipe: GradeRecipe,
    draft: Draft,
    ask: Asker | None = None,
) -> EvalScores:
    """Judges and scores completions, and returns the scores; `ask` asks the judges, if the recipe has any.

    It writes `completions.parquet`, with verdicts, votes and facts added, and `scores.json` to the draft. Raises
    `GraderError` if no completion of a domain can be judged, and `ArtifactError` if no problem has a reference.
    """
    import polars as pl

    graded = grade_completions(completions, problems, grader, record.template)
    asked = _judged(graded, record, problems, recipe.judge, ask, draft) if recipe.judge and ask else None
    judged = with_votes(asked[0] if asked else graded, problems, grader)
    facts = {problem.id: fact_of(problem) for problem in problems}
    judged = judged.with_columns(fact=judged["problem_id"].replace_strict(facts, return_dtype=pl.String))
    judged = judged.with_columns(_refusals(judged, problems))
    used = set(judged["domain"])
    verifiers = {domain: name for domain, name in grader.identity.items() if domain in used}
    if recipe.judge:
        verifiers = dict.fromkeys(verifiers, signature(recipe.judge))
    scores = score(judged, Identity(**record.model_dump(), verifiers=verifiers), recipe.ks)
    if recipe.by:
        scores = scores.model_copy(update={"groups": groups_of(judged, problems, recipe.by)})
    if asked:
        scores = scores.model_copy(update={"judged": asked[1]})
    write_table(draft.path / COMPLETIONS, judged)
    (draft.path / SCORES).write_text(scores.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return scores


def _judged(
    graded: "pl.DataFrame",
    record: SamplingRecord,
    problems: Sequence[Problem],
    judge: JudgeRecipe,
    ask: Asker,
    draft: Draft,
) -> "tuple[pl.DataFrame, JudgedScores]":
    """Returns completions with the verdicts of judges in place of those of rules, and the judges' scores.

    It writes the opinions to the draft.
    """
    import polars as pl

    cases = cases_of(judge, completions_of(graded), problems, record.samples, record.template)
    opinions = ask(cases)
    write_records(draft.path / OPINIONS, opinions, Opinion)
    verdicts = [verdict.model_dump(mode="json") for verdict in verdicts_of(judge, cases, opinions)]
    columns = pl.DataFrame(verdicts, schema={name: graded.schema[name] for name in Verdict.model_fields})
    return graded.with_columns(columns), judged_scores(judge, cases, opinions, record.samples)
