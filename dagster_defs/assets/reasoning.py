"""Dev1 and Dev2: cold start, then reasoning RL with a language-consistency reward; and the same RL without it."""

import dagster as dg

from dagster_defs.assets.stage import stage
from dagster_defs.pipeline import Pipeline
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet
from r1_pipeline.stages import finetune, reinforce


@stage("finetune", "reasoning")
def dev1(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    base: Checkpoint,
    cold_start_data: Corpus,
) -> dg.MaterializeResult[Checkpoint]:
    """Dev1: SFT of the base on the cold-start data."""
    return pipeline.materialize(context, lambda at, recipe: finetune(at, base, cold_start_data, recipe.dev1))


@stage("reinforce", "reasoning")
def dev2(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    dev1: Checkpoint,
    reasoning_problems: ProblemSet,
) -> dg.MaterializeResult[Checkpoint]:
    """Dev2: reasoning RL of Dev1 with accuracy, format and language-consistency rewards (paper, section 3)."""
    return pipeline.materialize(context, lambda at, recipe: reinforce(at, dev1, reasoning_problems, recipe.dev2))


@stage("reinforce", "ablations")
def dev2_no_language_reward(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    dev1: Checkpoint,
    reasoning_problems: ProblemSet,
) -> dg.MaterializeResult[Checkpoint]:
    """Dev2's run without the language-consistency reward (paper, section B.6)."""
    return pipeline.materialize(
        context, lambda at, recipe: reinforce(at, dev1, reasoning_problems, recipe.dev2_no_language_reward)
    )
