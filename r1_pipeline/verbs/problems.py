"""The verbs that collect problem sets and preference pairs."""

from collections.abc import Mapping
from functools import partial

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.edges import exclusion_edge
from r1_pipeline.artifacts.kinds import (
    Artifact,
    PreferenceSet,
    ProblemSet,
)
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe, curate_pairs
from r1_pipeline.data.screening.problems import benchmarks_identity, without_benchmarks
from r1_pipeline.rewards.graders import verifier_identity
from r1_pipeline.rewards.reference_checks import curate_problems
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.verbs.versions import verb


@verb("data")
def curate(
    context: BuildContext, recipe: CurateRecipe, benchmarks: Mapping[str, ProblemSet] | None = None
) -> Build[ProblemSet]:
    """Collects the problems on one side of the split whose references pass their own verifier (paper, section B.3.1).

    Problems that hold an item or the canary of a problem set of `benchmarks` are dropped. Every row that is dropped is
    stored with the reason.

    Raises `SourceError` for a file that cannot be used, `GraderError` if this machine cannot grade.
    """
    held = dict(benchmarks or {})

    def make(draft: Draft) -> BuildResult:
        return curate_problems(recipe, context.runtime, draft, held)

    inputs: dict[str, Artifact] = {exclusion_edge(name): problems for name, problems in held.items()}
    identity = {**verifier_identity(recipe.domains, recipe.verifiers), **benchmarks_identity(held)}
    return Build(ProblemSet, recipe, inputs, make, identity)


@verb("data")
def curate_preferences(
    context: BuildContext, recipe: CuratePreferencesRecipe, benchmarks: Mapping[str, ProblemSet] | None = None
) -> Build[PreferenceSet]:
    """Collects preference pairs for both reward models, split by topic and form, or by fact (paper, section B.2).

    Pairs that hold an item or the canary of a problem set of `benchmarks` are dropped.

    Raises `SourceError` for a file that cannot be used.
    """
    held = dict(benchmarks or {})

    def make(draft: Draft) -> BuildResult:
        return curate_pairs(recipe, context.runtime, draft, partial(without_benchmarks, benchmarks=held))

    inputs: dict[str, Artifact] = {exclusion_edge(name): problems for name, problems in held.items()}
    return Build(PreferenceSet, recipe, inputs, make, benchmarks_identity(held))
