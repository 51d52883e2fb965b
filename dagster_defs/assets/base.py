"""Bases: the models that everything starts from. This profile makes its own; larger ones will load theirs."""

import dagster as dg

from dagster_defs.assets.stage import stage
from dagster_defs.partitions import students
from dagster_defs.pipeline import Pipeline
from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.stages import pretrain


@stage("pretrain", "base")
def base(context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.MaterializeResult[Checkpoint]:
    """The stand-in for DeepSeek-V3-Base: the same architecture, small, trained on a careless bilingual web."""
    return pipeline.materialize(context, lambda at, recipe: pretrain(at, recipe.base))


@stage("pretrain", "base", partitions_def=students)
def student_base(
    context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.MaterializeResult[Checkpoint]:
    """Bases of the students, of Qwen and Llama architecture."""
    student = context.partition_key
    return pipeline.materialize(context, lambda at, recipe: pretrain(at, recipe.student_base[student]))
