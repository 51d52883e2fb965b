"""Difficulty is measured: the pass rate of a policy on each problem of a set, from stored answers or stored rollouts.

Texts are judged by the verifiers of today, so that a changed verifier changes the measurement and nothing is sampled
again. Completions without a score (ungradable, grader errors) count neither as right nor as wrong. Not covered: what a
run makes of pass rates (`data.difficulty`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import PASS_RATES
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.artifacts.tables import write_records
from r1_pipeline.data.templates import TemplateName
from r1_pipeline.errors import ArtifactError
from r1_pipeline.generation.grade_completions import grade_completions
from r1_pipeline.generation.sampling import SamplingRecipe
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import PassRate, Problem
from r1_pipeline.rewards.verifier import Grader

if TYPE_CHECKING:
    import polars as pl

BINS = 10
"""The number of equal intervals of pass rates that a difficulty counts its problems in."""


class DifficultyRecipe(Recipe):
    """The recipe of pass rates from answers: the problems that a model is asked, and the number of samples."""

    ask: SamplingRecipe


class RolloutDifficultyRecipe(Recipe):
    """The recipe of pass rates from the rollouts of a reinforced model."""

    from_step: int
    """The optimizer step from which rollouts count; later ones are of a policy that has learned more."""


def write_pass_rates(
    completions: "Iterable[pl.DataFrame]",
    problems: Sequence[Problem],
    grader: Grader,
    template: TemplateName,
    measured: dict[str, Any],
    draft: Draft,
) -> BuildResult:
    """Judges `completions`, which come in parts, and writes the pass rate of each problem that has a score.

    `measured` says what was judged, and becomes part of the statistics. Raises `ArtifactError` if nothing has a score.
    """
    samples, correct, outcomes = Counter[str](), Counter[str](), Counter[str]()
    for part in completions:
        judged = grade_completions(part, problems, grader, template)
        outcomes.update(judged["outcome"].to_list())
        scored = judged.drop_nulls("score")
        samples.update(scored["problem_id"].to_list())
        correct.update(scored.filter(scored["score"] == 1.0)["problem_id"].to_list())
    rates = [
        PassRate(problem_id=each.id, domain=each.domain, samples=samples[each.id], correct=correct[each.id])
        for each in problems
        if samples[each.id]
    ]
    if not rates:
        raise ArtifactError(
            f"{draft.name}: none of {outcomes.total()} completions has a score; ask problems of this set"
        )
    write_records(draft.path / PASS_RATES, rates, PassRate)
    return BuildResult({**measured, **_facts(rates), "outcomes": dict(sorted(outcomes.items()))})


def _facts(rates: Sequence[PassRate]) -> dict[str, Any]:
    bins = Counter(min(int(each.rate * BINS), BINS - 1) for each in rates)
    return {
        "problems": len(rates),
        "by_domain": dict(sorted(Counter(each.domain for each in rates).items())),
        "samples": sum(each.samples for each in rates),
        "pass_rate": sum(each.rate for each in rates) / len(rates),
        "never": sum(each.correct == 0 for each in rates),
        "always": sum(each.correct == each.samples for each in rates),
        "histogram": [bins[index] for index in range(BINS)],
    }
