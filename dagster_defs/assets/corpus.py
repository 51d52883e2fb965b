"""The SFT corpus, the place of the paper's 800k: traces sampled from Dev2 domain by domain, and general ones."""

import dagster as dg

from dagster_defs.assets.stage import stage
from dagster_defs.pipeline import Pipeline
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet
from r1_pipeline.stages import collect_general, merge, rejection_sample


@stage("rejection_sample", "corpus")
def reasoning_traces(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    dev2: Checkpoint,
    reasoning_problems: ProblemSet,
) -> dg.MaterializeResult[Corpus]:
    """Dev2's verified, readable completions of one domain, or of a shard of it (paper, section B.3.3)."""
    part = context.partition_key
    return pipeline.materialize(
        context, lambda at, recipe: rejection_sample(at, dev2, reasoning_problems, recipe.reasoning_traces[part])
    )


@stage("collect_general", "corpus")
def general_traces(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    general_prompts: ProblemSet,
    base: Checkpoint,
) -> dg.MaterializeResult[Corpus]:
    """Written replies to general prompts; tokens are counted with the tokenizer of the base."""
    return pipeline.materialize(
        context, lambda at, recipe: collect_general(at, general_prompts, base, recipe.general_traces)
    )


@stage("merge", "corpus")
def sft_corpus(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    reasoning_traces: dict[str, Corpus],
    general_traces: Corpus,
    heldout_problems: ProblemSet,
) -> dg.MaterializeResult[Corpus]:
    """The corpus that Dev3 and all students learn from: every row once, with its provenance, none held out."""
    parts = {**reasoning_traces, "general": general_traces}
    return pipeline.materialize(context, lambda at, recipe: merge(at, parts, heldout_problems, recipe.sft_corpus))
