"""From a policy to corpus rows: sample, judge, screen, rewrite, keep the first few of each problem, count the others.

Rejection sampling as in section B.3.3 of the paper's supplement, and cold-start drafting (B.3.2), which differs only in
the policy and the rewriter: only verified-correct, well-formed, readable completions in one language survive.
Not covered: sampling and judging (`judging`), the rules (`data.screening.replies`), the wording (`rewriting`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.data.samples import identified
from r1_pipeline.data.screening.aside import aside
from r1_pipeline.data.screening.replies import ReplyRecipe, screen_replies
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.generation.engine import Engine
from r1_pipeline.generation.judging import SampleRecipe, judge, sample
from r1_pipeline.generation.rewriting import Accepted, Rewriter
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Domain, Outcome, Problem, Sample, Sampling
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl


class RejectionRecipe(Recipe):
    """How a policy's completions become corpus rows."""

    domains: tuple[Domain, ...]
    problems: int
    """How many problems of each domain are asked, at most: the first in stored order."""
    ask: SampleRecipe
    rules: ReplyRecipe
    per_problem: int
    """Distinct rows kept of one problem, at most."""


def sample_corpus(
    engine: Engine,
    grader: Grader,
    problems: Sequence[Problem],
    template: TemplateName,
    recipe: RejectionRecipe,
    rewriter: Rewriter,
    generator: str,
    draft: Draft,
) -> tuple[list[Sample], "pl.DataFrame", int]:
    """(rows, dropped replies, tokens generated); `generator` is the content digest of the policy behind `engine`."""
    asked = [p for domain in recipe.domains for p in [q for q in problems if q.domain == domain][: recipe.problems]]
    judged = judge(sample(engine, asked, template, recipe.ask, draft), asked, grader, template)
    return *keep_samples(judged, asked, recipe, rewriter, generator), int(judged["tokens"].sum())


def keep_samples(
    judged: "pl.DataFrame", problems: Sequence[Problem], recipe: RejectionRecipe, rewriter: Rewriter, generator: str
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
            kept.append(_sample(accepted.problem, response, said_row, recipe.ask.sampling, generator))
    return kept, aside(dropped)


def _dropped(row: Mapping[str, Any], reason: str) -> Mapping[str, Any]:
    return {**row, "id": f"{row['problem_id']}/{row['sample_index']}", "reason": reason}


def _sample(problem: Problem, response: str, row: Mapping[str, Any], sampling: Sampling, generator: str) -> Sample:
    return identified(
        problem_id=problem.id,
        domain=problem.domain,
        language=problem.language,
        source=problem.source,
        licence=problem.licence,
        question=problem.question,
        response=response,
        generator=generator,
        engine=row["engine"],
        **sampling.model_dump(),
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
