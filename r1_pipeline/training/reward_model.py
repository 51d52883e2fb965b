"""This module trains reward models with TRL's `RewardTrainer`, a scalar head on the model's architecture, and scores
with them.

The scored text is prompt, reply, end token; the score is read at the end token. The caller chooses the part of a reply
(paper 6.1: the summary alone for helpfulness, the whole reply for safety). TRL trains on pairs only, so safety labels
are given as safe/unsafe pairs, where the paper has a point-wise loss.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import RewardModel, ScoringPrecision
from r1_pipeline.data.ingest.rows import DroppedRow
from r1_pipeline.generation.device import batches, load_options, prepare_torch
from r1_pipeline.generation.tokens import context_of, load_tokenizer
from r1_pipeline.recipe import AddedField, Recipe, Runtime
from r1_pipeline.records import PreferencePair
from r1_pipeline.rewards.preference import Scorer
from r1_pipeline.training.lora import Lora, adapter_arguments
from r1_pipeline.training.run_trainer import common_arguments, publish, require_change, run_trainer
from r1_pipeline.training.sft import encode_fitting_rows, encode_rows, too_long

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SIDES = ("chosen", "rejected")


class RewardModelRecipe(Recipe):
    """The recipe of a reward model; the paper's values (section 3.1 of its supplement) in brackets."""

    epochs: int
    """The number of passes over the pairs [1]."""
    batch: int
    """The number of pairs of an optimizer step [256]."""
    learning_rate: float
    """The learning rate, constant [6e-6]."""
    max_grad_norm: float
    """The maximum norm of the gradients, which are scaled down to it; not published."""
    max_tokens: int
    """The maximum number of tokens of prompt and reply in training [8,192]; pairs with a longer one are dropped.
    Scoring has no limit except the model's."""
    save_steps: int
    """The number of optimizer steps between checkpoints."""
    seed: int
    """The seed of the order of the pairs and of the head's initial weights."""
    precision: Annotated[ScoringPrecision, AddedField()] = "float32"
    """The precision of the matrix products, and of the weights that score; not published for this stage."""
    lora: Annotated[Lora | None, AddedField()] = None
    """The adapters that are trained instead of the weights and merged in the end; None trains all weights."""

    def steps(self, pairs: int) -> int:
        """Returns the total number of optimizer steps."""
        return self.epochs * -(-pairs // self.batch)


def fitting_pairs(
    base: Path, pairs: Sequence[PreferencePair], max_tokens: int
) -> tuple[list[PreferencePair], list[DroppedRow]]:
    """Returns the pairs whose replies have at most `max_tokens` and fit the context of `base`, and the others, each in
    order."""
    return split_pairs(load_tokenizer(base), min(max_tokens, context_of(base)), pairs)


def split_pairs(
    tokenizer: "PreTrainedTokenizerBase", limit: int, pairs: Sequence[PreferencePair]
) -> tuple[list[PreferencePair], list[DroppedRow]]:
    """Returns the pairs of which both replies, with the prompt, have at most `limit` tokens, and the others, each in
    order."""
    chosen, rejected = (encode_rows(tokenizer, [(p.prompt, getattr(p, side)) for p in pairs]) for side in SIDES)
    faults = [too_long(pair.source, limit, *both) for pair, *both in zip(pairs, chosen, rejected, strict=True)]
    kept = [pair for pair, fault in zip(pairs, faults, strict=True) if fault is None]
    return kept, [fault for fault in faults if fault]


def train_reward_model(
    base: Path, pairs: Sequence[PreferencePair], recipe: RewardModelRecipe, runtime: Runtime, draft: Draft
) -> None:
    """Trains a scalar head and the model in `base` on the pairs and writes both to `draft.path`.

    Raises `RecipeError` for a pair that is too long, `GuardTrippedError` if no weight has changed.
    """
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    adapters = adapter_arguments(recipe.lora, base, "SEQ_CLS", runtime)
    tokenizer = load_tokenizer(base)
    columns = {
        f"{side}_ids": [
            prompt + reply
            for prompt, reply in encode_fitting_rows(
                tokenizer, [(p.prompt, getattr(p, side)) for p in pairs], recipe.max_tokens
            )
        ]
        for side in SIDES
    }
    arguments = RewardConfig(
        **common_arguments(
            draft,
            runtime,
            batch=recipe.batch,
            save_steps=recipe.save_steps,
            seed=recipe.seed,
            precision=recipe.precision,
        ),
        num_train_epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="constant",
        max_grad_norm=recipe.max_grad_norm,
        max_length=None,
        model_init_kwargs={"dtype": "float32", **load_options(runtime)},
    )
    trainer = RewardTrainer(
        model=str(base),  # TRL adds the head, seeded
        args=arguments,
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        **adapters,
    )
    run_trainer(trainer, draft, runtime, recipe.steps(len(pairs)))
    publish(trainer, base, draft)
    require_change(base, draft)


class RewardModelScorer:
    """A scorer with the reward model in `directory`; scores are on the scale of the pairwise loss, log-odds of being
    preferred.

    It computes in the `precision` that the model was trained in. The model is in the device's memory only while it
    scores, since a policy, its optimizer and its rollouts need that memory in between.
    """

    def __init__(self, directory: Path, runtime: Runtime, precision: ScoringPrecision) -> None:
        from transformers import AutoModelForSequenceClassification

        prepare_torch(runtime)
        self._runtime = runtime
        self._tokenizer = load_tokenizer(directory, padding_side="right")
        model = AutoModelForSequenceClassification.from_pretrained(directory, dtype=precision, **load_options(runtime))
        self._model = model.eval()

    def score(self, prompts: Sequence[str], replies: Sequence[str]) -> list[float]:
        """Returns one score for each prompt and reply, in order."""
        import torch

        scores: list[float] = []
        limit = self._model.config.max_position_embeddings
        rows = encode_fitting_rows(self._tokenizer, list(zip(prompts, replies, strict=True)), limit)
        texts = [prompt + reply for prompt, reply in rows]
        self._model.to(self._runtime.device)
        try:
            for batch in batches([len(text) for text in texts], self._runtime):
                inputs = self._tokenizer.pad({"input_ids": texts[batch]}, return_tensors="pt").to(self._runtime.device)
                with torch.inference_mode():
                    scores += self._model(**inputs, use_cache=False).logits[:, 0].float().tolist()
        finally:
            self._model.to("cpu")
        return scores


def scorer_of(model: RewardModel, runtime: Runtime) -> RewardModelScorer:
    """Returns the scorer with a reward model, in the precision that it was trained in."""
    return RewardModelScorer(model.path, runtime, model.precision)


def scoring_identity(models: Iterable[RewardModel]) -> dict[str, str]:
    """Returns what fingerprints contain of scoring: its precision, unless that is float32."""
    precisions = sorted({model.precision for model in models} - {"float32"})
    return {"scoring": "+".join(precisions)} if precisions else {}


def pairwise_margins(scorer: Scorer, pairs: Sequence[PreferencePair]) -> list[float]:
    """Returns for each pair the score of the chosen reply minus that of the rejected one."""
    prompts = [pair.prompt for pair in pairs]
    chosen = scorer.score(prompts, [pair.chosen for pair in pairs])
    rejected = scorer.score(prompts, [pair.rejected for pair in pairs])
    return [c - r for c, r in zip(chosen, rejected, strict=True)]


def accuracy(margins: Sequence[float]) -> float:
    """Returns the share of pairs whose chosen reply scores higher; a tie counts as wrong."""
    return sum(margin > 0 for margin in margins) / len(margins)
