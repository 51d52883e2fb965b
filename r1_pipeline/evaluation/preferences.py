"""How much the reward models like what models said to general prompts: the means that stand beside each other."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import SCORES
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
    """Leaves `scores.json` in the draft (model -> kind -> `mean`, `n`) and returns the mean over kinds of each model.

    `said` is the template and the completions of each model. An answer without a final part scores 0.
    """
    by_id = {problem.id: problem for problem in problems if problem.domain == "general"}
    scores = {name: _by_kind(template, frame, by_id, scorers) for name, (template, frame) in said.items()}
    if not all(scores.values()):
        raise ArtifactError("an evaluation holds no answers to general prompts; ask some (EvaluateRecipe.ask.problems)")
    (draft.path / SCORES).write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    return {name: overall(kinds) for name, kinds in scores.items()}


def overall(kinds: Mapping[str, Mapping[str, float]]) -> float:
    """Unweighted mean over the kinds of preference."""
    return sum(kind["mean"] for kind in kinds.values()) / len(kinds)


def _by_kind(
    template: TemplateName,
    frame: "pl.DataFrame",
    by_id: Mapping[str, Problem],
    scorers: Mapping[PreferenceKind, Scorer],
) -> dict[str, dict[str, float]]:
    completions = [c for c in completions_of(frame) if c.problem_id in by_id]
    asked = [by_id[completion.problem_id] for completion in completions]
    found: dict[str, list[float]] = {}
    for problem, value in zip(asked, preference_scores(asked, completions, template, scorers), strict=True):
        if value is not None:
            found.setdefault(preference_kind(problem), []).append(value)
    return {kind: {"mean": sum(values) / len(values), "n": len(values)} for kind, values in sorted(found.items())}
