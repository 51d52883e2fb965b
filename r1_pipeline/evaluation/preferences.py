"""This module scores replies to general prompts with the reward models: mean scores, and win rates over a baseline.

A problem is won if the mean score of a model's replies to it is above the baseline's, and half won if both are equal.
The baselines are a named model, and the human reply of problems that have one. The comparison is between scores of one
reward model and is limited by its accuracy; there is no correction for length.
Not covered: refusals, which need no reward model (`rewards.refusal`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import PREFERRED, SCORES
from r1_pipeline.artifacts.tables import write_table
from r1_pipeline.data.split import fact_of
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import ArtifactError
from r1_pipeline.generation.grade_completions import completions_of
from r1_pipeline.records import Completion, PreferenceKind, Problem
from r1_pipeline.rewards.preference import Scorer, preference_kind
from r1_pipeline.rewards.rubric import preference_scores

if TYPE_CHECKING:
    import polars as pl

WRITTEN = "written"
"""The baseline of replies that people wrote."""


def write_preference_scores(
    completions: Mapping[str, "tuple[TemplateName, pl.DataFrame]"],
    problems: Sequence[Problem],
    scorers: Mapping[PreferenceKind, Scorer],
    baseline: str | None,
    draft: Draft,
) -> dict[str, Any]:
    """Writes `answers.parquet` (one row for each reply) and `scores.json`, and returns each model's mean over kinds.

    `completions` has the template and the completions of each model. `scores.json` has, by model and kind, `mean` and
    `n` of the replies, and `win_rate.NAME` over `problems.NAME` problems, where NAME is the model `baseline` or
    `written`. A reply without a final part scores 0. Raises `ArtifactError` for a model without replies to general
    prompts.
    """
    import polars as pl

    by_id = {problem.id: problem for problem in problems if problem.domain == "general"}
    answers = {
        name: _answers(name, template, completions_of(frame), by_id, scorers)
        for name, (template, frame) in completions.items()
    }
    if without := [name for name, frame in answers.items() if frame.is_empty()]:
        raise ArtifactError(
            f"{without[0]} has no replies to general prompts; hold some out, and evaluate them "
            "(EvaluateRecipe.ask.problems)"
        )
    write_table(draft.path / PREFERRED, pl.concat(answers.values()))
    written = [_written(problem) for problem in by_id.values() if problem.reply]
    baselines = {WRITTEN: _answers(WRITTEN, "chat", written, by_id, scorers)}
    if baseline is not None:
        baselines[baseline] = answers[baseline]
    scores = {
        name: _by_kind(frame, {other: theirs for other, theirs in baselines.items() if other != name})
        for name, frame in answers.items()
    }
    (draft.path / SCORES).write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    return {name: overall(kinds) for name, kinds in scores.items()}


def overall(kinds: Mapping[str, Mapping[str, float]]) -> float:
    """Returns the unweighted mean over the kinds of preference."""
    return sum(kind["mean"] for kind in kinds.values()) / len(kinds)


def win_rate(ours: "pl.DataFrame", theirs: "pl.DataFrame") -> tuple[float, int] | None:
    """Returns the share of problems won and their number, over the problems that both answered; None without any."""
    import polars as pl

    means = (each.group_by("problem_id").agg(pl.col("score").mean()) for each in (ours, theirs))
    both = next(means).join(next(means), on="problem_id", suffix="_theirs")
    won = [(ours > theirs) + (ours == theirs) / 2 for ours, theirs in both.select("score", "score_theirs").iter_rows()]
    return (math.fsum(won) / len(won), len(won)) if won else None


def _answers(
    model: str,
    template: TemplateName,
    completions: Sequence[Completion],
    by_id: Mapping[str, Problem],
    scorers: Mapping[PreferenceKind, Scorer],
) -> "pl.DataFrame":
    """Returns the table of one model that `artifacts.kinds.PreferenceScores.answers` reads."""
    import polars as pl

    general = [completion for completion in completions if completion.problem_id in by_id]
    prompts = [by_id[completion.problem_id] for completion in general]
    scores = preference_scores(prompts, general, template, scorers)
    rows = [
        (model, preference_kind(problem), problem.id, fact_of(problem), completion.sample_index, value)
        for problem, completion, value in zip(prompts, general, scores, strict=True)
    ]
    texts = dict.fromkeys(("model", "kind", "problem_id", "fact"), pl.String)
    return pl.DataFrame(rows, schema={**texts, "sample_index": pl.Int64, "score": pl.Float64}, orient="row")


def _by_kind(answers: "pl.DataFrame", baselines: "Mapping[str, pl.DataFrame]") -> dict[str, dict[str, Any]]:
    """Returns mean, number of replies and win rates of one model, by kind of preference."""
    kinds: dict[str, dict[str, Any]] = {}
    for (kind,), frame in answers.partition_by("kind", as_dict=True).items():
        row: dict[str, Any] = {"mean": frame["score"].mean(), "n": frame.height}
        for name, theirs in baselines.items():
            if found := win_rate(frame, theirs.filter(theirs["kind"] == kind)):
                row |= {f"win_rate.{name}": found[0], f"problems.{name}": found[1]}
        kinds[str(kind)] = row
    return dict(sorted(kinds.items()))


def _written(problem: Problem) -> Completion:
    """Returns a demonstration's reply as a completion."""
    return Completion(
        problem_id=problem.id,
        sample_index=0,
        seed=0,
        text=problem.reply or "",
        token_ids=(),
        finish_reason="stop",
        engine=WRITTEN,
    )
