"""Supervised finetuning with TRL's `SFTTrainer`: cold start, the 800k corpus, distillation.

Rows are rendered prompts and responses. They are tokenized apart, exactly as at sampling time, so that no token can
straddle the boundary; only the response and its end token are learned. Tokens lie in a file that training maps into
memory, so that a corpus need not fit there. Not covered: where rows come from.
"""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.hf import load_tokenizer
from r1_pipeline.recipe import Later, Precision, Recipe, Runtime
from r1_pipeline.training.fit import common_arguments, fit, publish
from r1_pipeline.training.precision import with_precision

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""Label of tokens that are not learned."""


class SftRecipe(Recipe):
    """How a model is finetuned; the paper's values (appendix B.4.2) in brackets."""

    epochs: int
    """Passes over the rows [2 to 3]."""
    batch: int
    """Rows an optimizer step [128; 64 for students]."""
    learning_rate: float
    """Peak of the cosine [5e-5; 2e-5 to 1e-4 for students]."""
    final_learning_rate: float
    """Where the cosine ends [a tenth of the peak]."""
    warmup_steps: int
    """Steps of linear warm-up; not published."""
    weight_decay: float
    """AdamW; not published."""
    max_grad_norm: float
    """Gradients are scaled down to this norm; not published."""
    max_tokens: int
    """Longest row, prompt and response together [32,768]; a longer one is an error, never cut short."""
    save_steps: int
    """Optimizer steps between checkpoints; a resumed run repeats at most these."""
    seed: int
    """Order of the rows."""
    precision: Annotated[Precision, Later()] = "float32"
    """Of the matrix products; not published for this stage."""

    def steps(self, rows: int) -> int:
        """Optimizer steps in all."""
        return self.epochs * -(-rows // self.batch)


Rows = Sequence[tuple[str, str]]
"""(prompt, response), both rendered."""


def train_sft(base: Path, batches: Iterable[Rows], recipe: SftRecipe, runtime: Runtime, draft: Draft) -> None:
    """Finetune the model in `base` on the rows of all batches and write it to `draft.path`."""
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    tokenizer = load_tokenizer(base)
    examples = _examples(tokenizer, batches, recipe.max_tokens, draft)
    arguments = SFTConfig(
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
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": recipe.final_learning_rate / recipe.learning_rate},
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        max_length=None,
    )
    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32", use_safetensors=True)
    trainer = SFTTrainer(
        model=with_precision(model, recipe.precision, runtime.device),
        args=arguments,
        train_dataset=examples,
        processing_class=tokenizer,
    )
    fit(trainer, draft, runtime, recipe.steps(len(examples)))
    publish(trainer, base, draft)


def _examples(
    tokenizer: "PreTrainedTokenizerBase", batches: Iterable[Rows], max_tokens: int, draft: Draft
) -> "Dataset":
    """Tokens and labels of all rows, in a file of this process's own in the scratch."""
    import pyarrow as pa
    from datasets import Dataset

    numbers = pa.list_(pa.int32())
    schema = pa.schema({"input_ids": numbers, "labels": numbers})
    with (
        tempfile.NamedTemporaryFile(dir=draft.scratch, prefix="tokens-", suffix=".arrow", delete=False) as file,
        pa.ipc.new_stream(file, schema) as stream,
    ):
        for rows in batches:
            pairs = tokenized(tokenizer, rows, max_tokens)
            ids = pa.array([prompt + response for prompt, response in pairs], numbers)
            labels = pa.array([[IGNORED] * len(prompt) + response for prompt, response in pairs], numbers)
            stream.write_batch(pa.record_batch([ids, labels], schema))
    return Dataset.from_file(file.name)


def tokenized(tokenizer: "PreTrainedTokenizerBase", rows: Rows, max_tokens: int) -> list[tuple[list[int], list[int]]]:
    """(prompt ids, response ids with the end token) of each row; raises `RecipeError` if one is too long."""
    prompts = tokenizer([prompt for prompt, _ in rows])["input_ids"]
    responses = tokenizer([response for _, response in rows], add_special_tokens=False)["input_ids"]
    pairs = [(p, [*r, tokenizer.eos_token_id]) for p, r in zip(prompts, responses, strict=True)]
    longest = max(len(p) + len(r) for p, r in pairs)
    if longest > max_tokens:
        raise RecipeError(f"a row has {longest} tokens, max_tokens is {max_tokens}; raise it or drop the row earlier")
    return pairs
