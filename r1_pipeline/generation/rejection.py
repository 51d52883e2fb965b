"""From judged completions to corpus rows: screen, rewrite, keep the first few of each problem, count the others.

Rejection sampling as in section B.3.3 of the paper's supplement, and cold-start drafting (B.3.2), which differs only in
the policy and the rewriter: only verified-correct, well-formed, readable completions in one language survive.
Not covered: sampling (`asking`), judging (`judging`), the rules (`data.screening.replies`), the wording (`rewriting`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from r1_pipeline.data.samples import answer_to
from r1_pipeline.data.screening.aside import aside
from r1_pipeline.data.screening.replies import ReplyRecipe, screen_replies
from r1_pipeline.generation.asking import Asked, AskRecipe
from r1_pipeline.generation.rewriting import Accepted, Rewriter
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Outcome, Problem, Sample

if TYPE_CHECKING:
    import polars as pl


class KeepRecipe(Recipe):
    """Which completions become corpus rows."""

    rules: ReplyRecipe
    per_problem: int
    """Distinct rows kept of one problem, at most."""


class RejectionRecipe(Recipe):
    """How a policy's completions become corpus rows."""

    ask: AskRecipe
    keep: KeepRecipe


def keep_samples(
    judged: "pl.DataFrame", problems: Sequence[Problem], asked: Asked, rewriter: Rewriter, recipe: KeepRecipe
) -> tuple[list[Sample], "pl.DataFrame"]:
    """(rows, dropped replies) of judged completions, each in their order."""
    by_id = {problem.id: problem for problem in problems}
    dropped: list[Mapping[str, Any]] = []
    passed: list[tuple[Mapping[str, Any], Accepted]] = []
    for row in screen_replies(judged, recipe.rules).iter_rows(named=True):
        if row["reason"]:
            dropped.append(_dropped(row, row["reason"]))
        else:
            passed.append((row, _accepted(by_id[row["problem_id"]], row)))
    responses = rewriter.rewrite([accepted for _, accepted in passed])
    kept: list[Sample] = []
    said: dict[str, set[str]] = {}
    for (said_row, accepted), response in zip(passed, responses, strict=True):
        before = said.setdefault(accepted.problem.id, set())
        if response is None:
            dropped.append(_dropped(said_row, "not_rewritten"))
        elif response in before:
            dropped.append(_dropped(said_row, "duplicate"))
        elif len(before) == recipe.per_problem:
            dropped.append(_dropped(said_row, "enough_of_this_problem"))
        else:
            before.add(response)
            kept.append(_sample(accepted.problem, response, said_row, asked))
    return kept, aside(dropped)


def _dropped(row: Mapping[str, Any], reason: str) -> Mapping[str, Any]:
    return {**row, "id": f"{row['problem_id']}/{row['sample_index']}", "reason": reason}


def _sample(problem: Problem, response: str, row: Mapping[str, Any], asked: Asked) -> Sample:
    return answer_to(
        problem,
        response,
        generator=asked.model_digest,
        engine=row["engine"],
        **asked.sampling.model_dump(),
        seed=row["seed"],
        sample_index=row["sample_index"],
        outcome=Outcome(row["outcome"]),
        verifier=row["verifier"],
        tokens=row["tokens"],
        language_share=row["language_share"],
    )


def _accepted(problem: Problem, row: Mapping[str, Any]) -> Accepted:
    return Accepted(
        problem=problem,
        text=row["text"],
        reasoning=row["reasoning"] or "",
        final=row["final"],
        sample_index=row["sample_index"],
    )
