"""Problems and preference pairs: what is asked in training, what is kept for measuring.

Which sources feed them is the profile's to say (`sources.source_keys`).
"""

import dagster as dg

from dagster_defs.assets.stage import stage
from dagster_defs.pipeline import Pipeline
from r1_pipeline.artifacts.kinds import PreferenceSet, ProblemSet
from r1_pipeline.stages import curate, curate_preferences


@stage("curate", "problems")
def reasoning_problems(
    context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.MaterializeResult[ProblemSet]:
    """Training problems in maths, code, STEM and logic; each passed its own verifier."""
    return pipeline.materialize(context, lambda at, recipe: curate(at, recipe.reasoning_problems))


@stage("curate", "problems")
def heldout_problems(
    context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.MaterializeResult[ProblemSet]:
    """Problems of all domains that no training stage ever sees; the side is a hash of what a problem is about."""
    return pipeline.materialize(context, lambda at, recipe: curate(at, recipe.heldout_problems))


@stage("curate", "problems")
def general_prompts(
    context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.MaterializeResult[ProblemSet]:
    """Requests without a checkable answer: helpful ones, and harmful ones to decline."""
    return pipeline.materialize(context, lambda at, recipe: curate(at, recipe.general_prompts))


@stage("curate_preferences", "problems")
def preference_pairs(
    context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.MaterializeResult[PreferenceSet]:
    """Pairs of a better and a worse reply, for helpfulness and for safety."""
    return pipeline.materialize(context, lambda at, recipe: curate_preferences(at, recipe.preference_pairs))
