"""Students: SFT on the teacher's corpus, and beside it the same student reinforced at the same cost in tokens."""

import dagster as dg

from dagster_defs.assets.stage import stage
from dagster_defs.partitions import students
from dagster_defs.pipeline import Pipeline
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet
from r1_pipeline.stages import distill, reinforce

ONLY_QWEN = dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping(["qwen"]))


@stage("distill", "distilled", partitions_def=students)
def distilled(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    student_base: Checkpoint,
    sft_corpus: Corpus,
) -> dg.MaterializeResult[Checkpoint]:
    """A student: SFT of its own base on R1's corpus, no RL (paper, section B.4.3)."""
    student = context.partition_key
    return pipeline.materialize(
        context, lambda at, recipe: distill(at, student_base, sft_corpus, recipe.distilled[student])
    )


@stage("reinforce", "ablations", ins={"student_base": ONLY_QWEN, "distilled": ONLY_QWEN})
def student_rl_only(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    student_base: Checkpoint,
    distilled: Checkpoint,
    reasoning_problems: ProblemSet,
) -> dg.MaterializeResult[Checkpoint]:
    """RL on the student's base until it has cost as many tokens as distilling the student (paper, section F.1)."""
    return pipeline.materialize(
        context,
        lambda at, recipe: reinforce(at, student_base, reasoning_problems, recipe.student_rl_only, budget=distilled),
    )
