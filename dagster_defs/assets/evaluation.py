"""Evaluation of every checkpoint, and the report over all of them.

One asset a checkpoint rather than one partition: so a score depends on its own model only, and is stale only with it.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dagster_defs.assets.stage import NIGHTLY, OWNERS, stage
from dagster_defs.partitions import students
from dagster_defs.pipeline import Pipeline
from r1_pipeline.artifacts.kinds import (
    Artifact,
    Checkpoint,
    EvalReport,
    PreferenceScores,
    ProblemSet,
    RewardModel,
)
from r1_pipeline.rewards.preference import PreferenceKind
from r1_pipeline.stages import compare_preferences, evaluate

MODELS = ("base", "r1_zero", "dev1", "dev2", "dev2_no_language_reward", "dev3", "r1", "student_rl_only")
STUDENT_MODELS = ("student_base", "distilled")
OTHERS_IN_REPORT = (
    "reasoning_problems",
    "heldout_problems",
    "general_prompts",
    "preference_pairs",
    "cold_start_data",
    "reasoning_traces",
    "general_traces",
    "sft_corpus",
    "helpful_rm",
    "safety_rm",
    "preference_scores",
)


BENCHMARKS: Mapping[str, str] = {"evaluation": "heldout_problems"}
"""Key prefix -> the problem set asset that every checkpoint is asked. A benchmark is a problem set and a line here."""


def evaluation_key(model: str) -> dg.AssetKey:
    """Key of the asset that holds a model's scores on the held-out problems."""
    return dg.AssetKey(["evaluation", model])


def evaluation_asset(benchmark: str, problems: str, model: str) -> dg.AssetsDefinition:
    """The evaluation of one checkpoint asset, or of its partitions, on one problem set."""

    @stage(
        "evaluate",
        "evaluation",
        key=[benchmark, model],
        ins={"model": dg.AssetIn(model), "problems": dg.AssetIn(problems)},
        partitions_def=students if model in STUDENT_MODELS else None,
        description=f"Scores of {model} on {problems}, with every completion and verdict behind them.",
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        pipeline: dg.ResourceParam[Pipeline],
        model: Checkpoint,
        problems: ProblemSet,
    ) -> dg.MaterializeResult[EvalReport]:
        return pipeline.materialize(context, lambda at, recipe: evaluate(at, model, problems, recipe.evaluation))

    return evaluation


evaluations = [
    evaluation_asset(benchmark, problems, model)
    for benchmark, problems in BENCHMARKS.items()
    for model in (*MODELS, *STUDENT_MODELS)
]


@stage(
    "compare_preferences",
    "evaluation",
    ins={"before": dg.AssetIn(evaluation_key("dev3")), "after": dg.AssetIn(evaluation_key("r1"))},
)
def preference_scores(
    context: dg.AssetExecutionContext,
    pipeline: dg.ResourceParam[Pipeline],
    before: EvalReport,
    after: EvalReport,
    helpful_rm: RewardModel,
    safety_rm: RewardModel,
    heldout_problems: ProblemSet,
) -> dg.MaterializeResult[PreferenceScores]:
    """What the reward models think of Dev3's and R1's answers to held-out general prompts."""
    models: Mapping[PreferenceKind, RewardModel] = {"helpful": helpful_rm, "safety": safety_rm}
    return pipeline.materialize(
        context,
        lambda at, recipe: compare_preferences(at, models, {"dev3": before, "r1": after}, heldout_problems),
    )


REPORT_INPUTS = {
    **{name: dg.AssetIn(name) for name in (*MODELS, *STUDENT_MODELS, *OTHERS_IN_REPORT)},
    **{f"evaluation_{model}": dg.AssetIn(evaluation_key(model)) for model in (*MODELS, *STUDENT_MODELS)},
}


@dg.asset(
    group_name="evaluation",
    owners=OWNERS,
    kinds={"html", "json"},
    freshness_policy=NIGHTLY,
    code_version="2",
    ins=REPORT_INPUTS,
    description="report.json and one self-contained page: the paper's tables beside ours, curves, gates, cost.",
)
def report(
    context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline], **inputs: Any
) -> dg.MaterializeResult[None]:
    return pipeline.report(context, by_name(inputs))


def by_name(inputs: dict[str, Any]) -> dict[str, Artifact]:
    """Artifacts by their own names: `r1_zero`, `distilled/qwen`, `evaluation/student_base/qwen`."""
    flat = [a for value in inputs.values() for a in (value.values() if isinstance(value, dict) else [value])]
    return {artifact.name: artifact for artifact in flat}
