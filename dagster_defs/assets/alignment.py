"""Dev3, the two reward models, and R1 itself."""

from collections.abc import Mapping

import dagster as dg

from dagster_defs.assets.stage import stage
from dagster_defs.pipeline import Pipeline
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, PreferenceSet, ProblemSet, RewardModel
from r1_pipeline.rewards.preference import PreferenceKind
from r1_pipeline.stages import finetune, fit_preference, reinforce


@stage("finetune", "alignment")
def dev3(
    context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline], base: Checkpoint, sft_corpus: Corpus
) -> dg.MaterializeResult[Checkpoint]:
    """Dev3: SFT of the base once more, not of Dev2, on the whole corpus."""
    return pipeline.materialize(context, lambda at, recipe: finetune(at, base, sft_corpus, recipe.dev3))


@stage("fit_preference", "alignment")
def helpful_rm(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    dev3: Checkpoint,
    preference_pairs: PreferenceSet,
) -> dg.MaterializeResult[RewardModel]:
    """The reward model for helpfulness; it sees the final summary only (paper, section B.2)."""
    return pipeline.materialize(
        context, lambda at, recipe: fit_preference(at, dev3, preference_pairs, "helpful", recipe.helpful_rm)
    )


@stage("fit_preference", "alignment")
def safety_rm(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    dev3: Checkpoint,
    preference_pairs: PreferenceSet,
) -> dg.MaterializeResult[RewardModel]:
    """The reward model for safety; it sees the whole reply (paper, section B.2)."""
    return pipeline.materialize(
        context, lambda at, recipe: fit_preference(at, dev3, preference_pairs, "safety", recipe.safety_rm)
    )


@stage("reinforce", "alignment")
def r1(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    dev3: Checkpoint,
    reasoning_problems: ProblemSet,
    general_prompts: ProblemSet,
    helpful_rm: RewardModel,
    safety_rm: RewardModel,
) -> dg.MaterializeResult[Checkpoint]:
    """R1: RL over all scenarios; preference rewards come in near the end only (paper, section B.5)."""
    models: Mapping[PreferenceKind, RewardModel] = {"helpful": helpful_rm, "safety": safety_rm}
    return pipeline.materialize(
        context, lambda at, recipe: reinforce(at, dev3, reasoning_problems, recipe.r1, general_prompts, models)
    )
