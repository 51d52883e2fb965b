"""Gates as blocking asset checks: a failed one stops everything below, with the value and the limit.

What is measured and how is in `r1_pipeline.evaluation.gates`; limits are the profile's. A gate that needs scores asks
the `evaluate` verb for them under the name of the evaluation asset, which later finds them done.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from dagster_defs.assets.stage import DEVICE
from dagster_defs.partitions import students
from dagster_defs.pipeline import Pipeline
from r1_pipeline.artifacts.kinds import Checkpoint, Corpus, ProblemSet, RewardModel
from r1_pipeline.evaluation import gates
from r1_pipeline.evaluation.gates import Gate
from r1_pipeline.evaluation.recheck import recheck
from r1_pipeline.rewards.verifier import default_grader
from r1_pipeline.stages import ReinforceRecipe

REINFORCED = ("r1_zero", "dev2", "dev2_no_language_reward", "r1", "student_rl_only")


def decided(found: Gate) -> dg.AssetCheckResult:
    """A gate as Dagster records it."""
    return dg.AssetCheckResult(
        passed=found.passed,
        description=str(found),
        metadata={"value": found.value, "limit": found.limit, "must be": found.sense, "detail": found.detail},
    )


HELDOUT = "heldout_problems"
"""Not upstream of a model: a gate on one has them made, where the model alone was selected."""


@dg.asset_check(
    asset="r1_zero",
    blocking=True,
    pool=DEVICE,
    additional_ins={"base": dg.AssetIn("base")},
    additional_deps=[HELDOUT],
)
def beats_base(
    context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline], r1_zero: Checkpoint, base: Checkpoint
) -> dg.AssetCheckResult:
    """R1-Zero solves clearly more held-out maths than the base that it started from."""
    after, before = (pipeline.evaluate(context, model) for model in (r1_zero, base))
    return decided(gates.beats_base(after, before, pipeline.profile.gates))


@dg.asset_check(asset="r1_zero", blocking=True, pool=DEVICE, additional_deps=[HELDOUT])
def format_rate(
    context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline], r1_zero: Checkpoint
) -> dg.AssetCheckResult:
    """R1-Zero's replies have the form that the cold start relies on."""
    return decided(gates.format_rate(pipeline.evaluate(context, r1_zero), pipeline.profile.gates))


@dg.asset_check(asset="sft_corpus", blocking=True)
def all_verified(sft_corpus: Corpus) -> dg.AssetCheckResult:
    """Every row was judged correct."""
    return decided(gates.all_verified(sft_corpus))


@dg.asset_check(asset="sft_corpus", blocking=True, additional_ins={HELDOUT: dg.AssetIn(HELDOUT)})
def no_heldout(sft_corpus: Corpus, heldout_problems: ProblemSet) -> dg.AssetCheckResult:
    """No row is about a held-out problem."""
    return decided(gates.no_heldout(sft_corpus, heldout_problems))


@dg.asset_check(asset="sft_corpus", blocking=True)
def licences_allowed(pipeline: dg.ResourceParam[Pipeline], sft_corpus: Corpus) -> dg.AssetCheckResult:
    """No row has a licence that the profile does not allow."""
    return decided(gates.licences_allowed(sft_corpus, pipeline.profile.gates))


@dg.asset_check(
    asset="sft_corpus",
    blocking=True,
    additional_ins={name: dg.AssetIn(name) for name in ("reasoning_problems", "general_prompts")},
)
def recheck_agrees(
    pipeline: dg.ResourceParam[Pipeline],
    sft_corpus: Corpus,
    reasoning_problems: ProblemSet,
    general_prompts: ProblemSet,
) -> dg.AssetCheckResult:
    """Random rows, judged once more, get the verdict that they were kept for."""
    with default_grader(pipeline.profile.runtime) as grader:
        return decided(gates.recheck_agrees(recheck(sft_corpus, (reasoning_problems, general_prompts), grader)))


@dg.asset_check(asset="reasoning_problems", blocking=True)
def reward_hacks(pipeline: dg.ResourceParam[Pipeline], reasoning_problems: ProblemSet) -> dg.AssetCheckResult:
    """Replies that solve nothing are not rewarded; decided before any reinforcement learning."""
    templates = {recipe.template for _, recipe in pipeline.recipe if isinstance(recipe, ReinforceRecipe)}
    with default_grader(pipeline.profile.runtime) as grader:
        return decided(gates.reward_hacks(reasoning_problems.problems(), templates, grader))


def characters_check(rows: str) -> dg.AssetChecksDefinition:
    """Gate on the characters of a set that the models which read it do not see; no base has to be there yet."""

    @dg.asset_check(
        asset=rows,
        name="known_characters",
        blocking=True,
        description="The tokenizers of the models that read the set know its characters.",
    )
    def check(pipeline: dg.ResourceParam[Pipeline], rows: Any) -> dg.AssetCheckResult:
        readers = gates.READERS[rows.name]
        tokenizers = {name: one for name, one in pipeline.tokenizers.items() if name.partition("/")[0] in readers}
        return decided(gates.known_characters(rows, tokenizers, pipeline.profile.gates))

    return check


def language_check(model: str) -> dg.AssetChecksDefinition:
    """Gate on the language consistency of a model trained with the language reward."""

    @dg.asset_check(
        asset=model,
        name="language_consistency",
        blocking=True,
        pool=DEVICE,
        additional_deps=[HELDOUT],
        description="The reasoning stays in the language of the question.",
    )
    def check(
        context: dg.AssetCheckExecutionContext,
        pipeline: dg.ResourceParam[Pipeline],
        model: Checkpoint,
    ) -> dg.AssetCheckResult:
        report = pipeline.evaluate(context, model)
        return decided(gates.language_consistency(report, pipeline.profile.gates))

    return check


def accuracy_check(reward_model: str) -> dg.AssetChecksDefinition:
    """Gate on the accuracy of a reward model."""

    @dg.asset_check(
        asset=reward_model,
        name="preference_accuracy",
        blocking=True,
        description="The reward model prefers the better reply of held-out pairs.",
    )
    def check(pipeline: dg.ResourceParam[Pipeline], reward_model: RewardModel) -> dg.AssetCheckResult:
        return decided(gates.preference_accuracy(reward_model, pipeline.profile.gates))

    return check


def tokenizer_check(model: str, base: str) -> dg.AssetChecksDefinition:
    """Gate on tokenizer and chat template, which must not drift along a line of models."""
    base, _, student = base.partition("/")

    @dg.asset_check(
        asset=model,
        name="same_tokenizer",
        blocking=True,
        additional_ins={"base": dg.AssetIn(base)},
        partitions_def=students if model == "distilled" else None,
        description="Tokenizer and chat template are, byte for byte, those of the base.",
    )
    def check(model: Checkpoint, base: Any) -> dg.AssetCheckResult:
        origin = base[student or model.name.partition("/")[2]] if isinstance(base, dict) else base
        return decided(gates.same_tokenizer(model, origin))

    return check


def guards_check(model: str) -> dg.AssetChecksDefinition:
    """The worst entropy, KL and share of empty reasoning of a run, beside the guards that would have stopped it."""

    @dg.asset_check(
        asset=model,
        name="training_guards",
        blocking=True,
        description="Entropy, KL and empty reasoning stayed inside the guards all through training.",
    )
    def check(pipeline: dg.ResourceParam[Pipeline], model: Checkpoint) -> dg.AssetCheckResult:
        found = gates.training_guards(model, pipeline.recipe.guards[model.name])
        return dg.AssetCheckResult(
            passed=not gates.failures(found),
            description="; ".join(map(str, found)) or "no guard is set in this profile",
            metadata={gate.name: gate.value for gate in found} | {f"{gate.name} limit": gate.limit for gate in found},
        )

    return check


checks: list[dg.AssetChecksDefinition] = [
    beats_base,
    format_rate,
    all_verified,
    no_heldout,
    licences_allowed,
    recheck_agrees,
    reward_hacks,
    *(characters_check(rows) for rows in gates.READERS),
    *(language_check(model) for model in gates.ONE_LANGUAGE),
    *(accuracy_check(model) for model in ("helpful_rm", "safety_rm")),
    *(tokenizer_check(model, base) for model, base in gates.LINES.items()),
    *(guards_check(model) for model in REINFORCED),
]


def blocking_checks(definitions: Iterable[dg.AssetChecksDefinition]) -> Mapping[dg.AssetKey, frozenset[str]]:
    """Asset key -> names of its blocking checks."""
    names: dict[dg.AssetKey, set[str]] = {}
    for definition in definitions:
        for spec in definition.check_specs:
            if spec.blocking:
                names.setdefault(spec.asset_key, set()).add(spec.name)
    return {key: frozenset(found) for key, found in names.items()}
