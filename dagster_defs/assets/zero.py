"""R1-Zero, pure reinforcement learning from the base, and the cold-start data drafted from its samples."""

import dagster as dg

from dagster_defs.assets.stage import stage
from dagster_defs.pipeline import Pipeline
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet
from r1_pipeline.stages import draft_cold_start, reinforce


@stage("reinforce", "r1_zero")
def r1_zero(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    base: Checkpoint,
    reasoning_problems: ProblemSet,
) -> dg.MaterializeResult[Checkpoint]:
    """R1-Zero: GRPO from the base with accuracy and format rewards, no SFT, no critic (paper, section 2)."""
    return pipeline.materialize(context, lambda at, recipe: reinforce(at, base, reasoning_problems, recipe.r1_zero))


@stage("draft_cold_start", "cold_start")
def cold_start_data(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    r1_zero: Checkpoint,
    reasoning_problems: ProblemSet,
) -> dg.MaterializeResult[Corpus]:
    """Long reasoning to start from: R1-Zero's right and readable samples, rewritten (paper, section B.3.2)."""
    return pipeline.materialize(
        context, lambda at, recipe: draft_cold_start(at, r1_zero, reasoning_problems, recipe.cold_start_data)
    )
