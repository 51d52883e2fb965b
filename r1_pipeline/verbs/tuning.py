"""The verbs of supervised training: SFT of a base or a student on a corpus, and reward models on preferences."""

from dataclasses import replace

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import (
    Checkpoint,
    Corpus,
    PreferenceSet,
    RewardModel,
)
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.data.curation import record_dropped
from r1_pipeline.data.templates import form_identity
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.tokens import context_of
from r1_pipeline.records import PreferenceKind
from r1_pipeline.rewards.preference import calibration, calibration_error
from r1_pipeline.runtime.build_context import Build, BuildContext
from r1_pipeline.training.form_warm_up import WarmUpRecipe, form_rows
from r1_pipeline.training.lora import lora_statistics
from r1_pipeline.training.model_stats import model_statistics
from r1_pipeline.training.reward_model import (
    RewardModelRecipe,
    RewardModelScorer,
    accuracy,
    fitting_pairs,
    pairwise_margins,
    train_reward_model,
)
from r1_pipeline.training.sft import SftRecipe, corpus_rows, train_sft
from r1_pipeline.verbs.versions import verb


@verb("training")
def finetune(context: BuildContext, base: Checkpoint, corpus: Corpus, recipe: SftRecipe) -> Build[Checkpoint]:
    """Trains `base`, not any later model, on `corpus` in chat form by SFT (paper, section B.4.2).

    Raises `RecipeError` if no row fits the model's context, `GuardTrippedError` if no weight has changed.
    """
    return _finetuned(context, base, corpus, recipe)


@verb("training")
def warm_up(context: BuildContext, base: Checkpoint, recipe: WarmUpRecipe) -> Build[Checkpoint]:
    """Trains `base` on a prompt form alone by SFT; R1-Zero itself has no such stage (paper, section 2).

    Raises `RecipeError` if no row fits the model's context, `GuardTrippedError` if no weight has changed.
    """

    def make(draft: Draft) -> BuildResult:
        rows = form_rows(recipe.template, recipe.rows, recipe.seed)
        drops = train_sft(base.path, [rows], recipe, context.runtime, draft)
        return replace(model_statistics(draft, recipe.template, lora=recipe.lora), drops=drops)

    return Build(Checkpoint, recipe, {"base": base}, make, form_identity(recipe.template, ()))


@verb("training")
def distill(context: BuildContext, base: Checkpoint, corpus: Corpus, recipe: SftRecipe) -> Build[Checkpoint]:
    """Trains a student's `base` on the teacher's `corpus` by SFT, without RL (paper, section B.4.3).

    Raises `RecipeError` if no row fits the model's context, `GuardTrippedError` if no weight has changed.
    """
    return _finetuned(context, base, corpus, recipe)


@verb("training")
def fit_preference(
    context: BuildContext, base: Checkpoint, preferences: PreferenceSet, kind: PreferenceKind, recipe: RewardModelRecipe
) -> Build[RewardModel]:
    """Trains `base` into a scalar reward model for one `kind` of preference (paper, section B.2).

    It is trained on the training pairs of `preferences` and measured on the held-out ones.

    Raises `RecipeError` if too few pairs fit the model's context.
    """

    def make(draft: Draft) -> BuildResult:
        ours, theirs = ([p for p in preferences.pairs(s) if p.kind == kind] for s in ("train", "heldout"))
        train, dropped = fitting_pairs(base.path, ours, recipe.max_tokens)
        heldout, also = fitting_pairs(base.path, theirs, context_of(base.path))
        drops = record_dropped(draft, [*dropped, *also])
        if not (train and heldout):
            raise RecipeError(
                f"{len(train)} pairs are left for training and {len(heldout)} for evaluation ({dict(drops)}); add pairs"
            )
        train_reward_model(base.path, train, recipe, context.runtime, draft)
        margins = pairwise_margins(RewardModelScorer(draft.path, context.runtime, recipe.precision), heldout)
        sure = calibration(margins, bins=10)
        measured = {
            "accuracy": accuracy(margins),
            "calibration": [group.model_dump() for group in sure],
            "calibration_error": calibration_error(sure),
        }
        counts = {"heldout_pairs": len(heldout), "train_pairs": len(train)}
        adapters = lora_statistics(recipe.lora, draft.path, "SEQ_CLS")
        return BuildResult({"kind": kind, **measured, **counts, **adapters}, drops)

    versions = {"kind": kind, **({} if recipe.precision == "float32" else {"scoring": recipe.precision})}
    return Build(RewardModel, recipe, {"base": base, "preferences": preferences}, make, versions)


def _finetuned(context: BuildContext, base: Checkpoint, corpus: Corpus, recipe: SftRecipe) -> Build[Checkpoint]:
    def make(draft: Draft) -> BuildResult:
        drops = train_sft(base.path, corpus_rows(corpus, recipe.template), recipe, context.runtime, draft)
        return replace(model_statistics(draft, recipe.template, lora=recipe.lora), drops=drops)

    return Build(Checkpoint, recipe, {"base": base, "corpus": corpus}, make, form_identity(recipe.template, ()))
