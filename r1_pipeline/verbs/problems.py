"""The verbs that collect problem sets and preference pairs."""

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import (
    PreferenceSet,
    ProblemSet,
)
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.data.curation import CuratePreferencesRecipe, CurateRecipe, curate_pairs
from r1_pipeline.rewards.graders import verifier_identity
from r1_pipeline.rewards.reference_checks import curate_problems
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.verbs.versions import verb


@verb("data")
def curate(context: BuildContext, recipe: CurateRecipe) -> Build[ProblemSet]:
    """Collects the problems on one side of the split whose references pass their own verifier (paper, section B.3.1).

    Every row that is dropped is stored with the reason.

    Raises `SourceError` for a file that cannot be used, `GraderError` if this machine cannot grade.
    """

    def make(draft: Draft) -> BuildResult:
        return curate_problems(recipe, context.runtime, draft)

    return Build(ProblemSet, recipe, {}, make, verifier_identity(recipe.domains, recipe.verifiers))


@verb("data")
def curate_preferences(context: BuildContext, recipe: CuratePreferencesRecipe) -> Build[PreferenceSet]:
    """Collects preference pairs for both reward models, split by topic and form, or by fact (paper, section B.2).

    Raises `SourceError` for a file that cannot be used.
    """

    def make(draft: Draft) -> BuildResult:
        return curate_pairs(recipe, context.runtime, draft)

    return Build(PreferenceSet, recipe, {}, make)
