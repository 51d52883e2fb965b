"""How much the reward models like what models said to general prompts: the means that stand beside each other."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import PREFERRED, SCORES
from r1_pipeline.artifacts.tables import write_table
from r1_pipeline.data.split import fact_of
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import ArtifactError
from r1_pipeline.generation.judging import completions_of
from r1_pipeline.records import PreferenceKind, Problem
from r1_pipeline.rewards.preference import Scorer, preference_kind
from r1_pipeline.rewards.rubric import preference_scores

if TYPE_CHECKING:
    import polars as pl


def write_preference_scores(
    said: Mapping[str, "tuple[TemplateName, pl.DataFrame]"],
    problems: Sequence[Problem],
    scorers: Mapping[PreferenceKind, Scorer],
    draft: Draft,
) -> dict[str, Any]:
    """Leaves `answers.parquet` (a row an answer) and `scores.json` (model -> kind -> `mean`, `n`) in the draft, and
    returns the mean over kinds of each model.

    `said` is the template and the completions of each model. An answer without a final part scores 0.
    """
    import polars as pl

    by_id = {problem.id: problem for problem in problems if problem.domain == "general"}
    answers = {name: _answers(name, template, frame, by_id, scorers) for name, (template, frame) in said.items()}
    if any(frame.is_empty() for frame in answers.values()):
        raise ArtifactError("an evaluation holds no answers to general prompts; ask some (EvaluateRecipe.ask.problems)")
    write_table(draft.path / PREFERRED, pl.concat(answers.values()))
    scores = {name: _by_kind(frame) for name, frame in answers.items()}
    (draft.path / SCORES).write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    return {name: overall(kinds) for name, kinds in scores.items()}


def overall(kinds: Mapping[str, Mapping[str, float]]) -> float:
    """Unweighted mean over the kinds of preference."""
    return sum(kind["mean"] for kind in kinds.values()) / len(kinds)


def _answers(
    model: str,
    template: TemplateName,
    frame: "pl.DataFrame",
    by_id: Mapping[str, Problem],
    scorers: Mapping[PreferenceKind, Scorer],
) -> "pl.DataFrame":
    """The table that `artifacts.kinds.PreferenceScores.answers` reads, of one model."""
    import polars as pl

    completions = [c for c in completions_of(frame) if c.problem_id in by_id]
    asked = [by_id[completion.problem_id] for completion in completions]
    scores = preference_scores(asked, completions, template, scorers)
    rows = [
        (model, preference_kind(problem), problem.id, fact_of(problem), completion.sample_index, value)
        for problem, completion, value in zip(asked, completions, scores, strict=True)
    ]
    texts = dict.fromkeys(("model", "kind", "problem_id", "fact"), pl.String)
    return pl.DataFrame(rows, schema={**texts, "sample_index": pl.Int64, "score": pl.Float64}, orient="row")


def _by_kind(answers: "pl.DataFrame") -> dict[str, dict[str, float]]:
    kinds = answers.partition_by("kind", as_dict=True)
    means = {str(kind): frame["score"].to_list() for (kind,), frame in kinds.items()}
    return {kind: {"mean": sum(values) / len(values), "n": len(values)} for kind, values in sorted(means.items())}
