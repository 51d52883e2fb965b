"""This module does supervised finetuning with TRL's `SFTTrainer`: cold start, the 800k corpus, distillation.

Rows are rendered prompts and responses. They are tokenized separately, exactly as at sampling time, so that no token
can straddle the boundary; only the response and its end token are trained on. A row that is too long for the recipe or
for the model is dropped before the first step, never truncated. Tokens are in a file that training maps into memory, so
that a corpus need not fit there. Not covered: where rows come from.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Corpus
from r1_pipeline.data.curation import record_dropped
from r1_pipeline.data.ingest.rows import DroppedRow, Place
from r1_pipeline.data.templates import FORMS, THINK_OPEN, TemplateName, render
from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.device import load_options
from r1_pipeline.generation.tokens import (
    MARKUP,
    TOO_LONG,
    context_of,
    control_token,
    encode,
    load_tokenizer,
    own_prompt,
)
from r1_pipeline.recipe import AddedField, Precision, Recipe, Runtime
from r1_pipeline.training.lora import Lora, adapter_arguments, require_trainable
from r1_pipeline.training.packing import IGNORED
from r1_pipeline.training.precision import with_precision
from r1_pipeline.training.run_trainer import common_arguments, publish, require_change, run_trainer

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


class SftRecipe(Recipe):
    """The recipe of supervised finetuning; the paper's values (appendix B.4.2) in brackets."""

    epochs: int
    """The number of passes over the rows [2 to 3]."""
    batch: int
    """The number of rows of an optimizer step [128; 64 for students]."""
    learning_rate: float
    """The peak of the cosine schedule [5e-5; 2e-5 to 1e-4 for students]."""
    final_learning_rate: float
    """The learning rate at the end of the cosine schedule [a tenth of the peak]."""
    warmup_steps: int
    """The number of steps of linear warm-up, at most half of all; not published."""
    weight_decay: float
    """The weight decay of AdamW; not published."""
    max_grad_norm: float
    """The maximum norm of the gradients, which are scaled down to it; not published."""
    max_tokens: int
    """The maximum number of tokens of a row, prompt and response together [32,768]; a longer row is dropped, never
    truncated."""
    save_steps: int
    """The number of optimizer steps between checkpoints; a resumed run repeats at most these."""
    seed: int
    """The seed of the order of the rows."""
    precision: Annotated[Precision, AddedField()] = "float32"
    """The precision of the matrix products; not published for this stage."""
    expert_bias_rate: Annotated[float, AddedField()] = 0.0
    """The step size of routers' biases towards even expert load [not published]; 0 changes none
    (`training.experts`)."""
    lora: Annotated[Lora | None, AddedField()] = None
    """The adapters that are trained instead of the weights and merged in the end; None trains all weights."""

    template: Annotated[TemplateName, AddedField()] = "chat"
    """The prompt form of the rows, in which the model is then asked; the replies of a corpus are those of `chat`."""

    def model_post_init(self, _: Any) -> None:
        require_trainable(self, self.expert_bias_rate)

    def steps(self, rows: int) -> int:
        """Returns the total number of optimizer steps."""
        return self.epochs * -(-rows // self.batch)


Pair = tuple[list[int], list[int]]
"""The token ids of a prompt, and those of its response with the end token."""


class Row(NamedTuple):
    """A demonstration: a prompt and a response."""

    prompt: str
    """The rendered prompt, or the message for the model's own chat template."""
    response: str
    """The rendered response, without the end token."""
    source: str
    """The source of its problem (`Problem.source`)."""


def corpus_rows(corpus: Corpus, template: TemplateName) -> Iterator[list[Row]]:
    """Yields the corpus as demonstrations in this form, one list for each row group.

    Raises `RecipeError` for a form whose replies are not those of `chat`, as a corpus has them.
    """
    if FORMS[template].tags != FORMS["chat"].tags:
        raise RecipeError(f"replies of a corpus have the form of chat, those of {template!r} another; take own_chat")
    for frame in corpus.batches(("question", "response", "source")):
        yield [Row(render(template, question), response, source) for question, response, source in frame.iter_rows()]


def train_sft(
    base: Path, batches: Iterable[Sequence[Row]], recipe: SftRecipe, runtime: Runtime, draft: Draft
) -> Counter[str]:
    """Finetunes the model in `base` on the rows of all batches and writes it to `draft.path`.

    Returns the count of each drop reason. Raises `RecipeError` if no row is left, `GuardTrippedError` if no weight has
    changed.
    """
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    require_trainable(recipe, recipe.expert_bias_rate)  # again: `model_copy` does not
    adapters = adapter_arguments(recipe.lora, base, "CAUSAL_LM", runtime)
    tokenizer = load_tokenizer(base)
    examples, dropped = _examples(tokenizer, batches, recipe.template, min(recipe.max_tokens, context_of(base)), draft)
    drops = record_dropped(draft, dropped)
    if not len(examples):
        raise RecipeError(f"no row is left to finetune on ({dict(drops)}); raise max_tokens or shorten the rows")
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
    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32", **load_options(runtime))
    trainer = SFTTrainer(
        model=with_precision(model, recipe.precision, runtime.device),
        args=arguments,
        train_dataset=examples,
        processing_class=tokenizer,
        **adapters,
    )
    run_trainer(trainer, draft, runtime, recipe.steps(len(examples)), expert_bias_rate=recipe.expert_bias_rate)
    publish(trainer, base, draft)
    require_change(base, draft)
    return drops


def _examples(
    tokenizer: "PreTrainedTokenizerBase",
    batches: Iterable[Sequence[Row]],
    template: TemplateName,
    limit: int,
    draft: Draft,
) -> "tuple[Dataset, list[DroppedRow]]":
    """Returns tokens and labels of the rows within `limit`, in a file of this process in the scratch folder, and the
    other rows."""
    import pyarrow as pa
    from datasets import Dataset

    dropped: list[DroppedRow] = []
    numbers = pa.list_(pa.int32())
    schema = pa.schema({"input_ids": numbers, "labels": numbers})
    with (
        tempfile.NamedTemporaryFile(dir=draft.scratch, prefix="tokens-", suffix=".arrow", delete=False) as file,
        pa.ipc.new_stream(file, schema) as stream,
    ):
        own = FORMS[template].own
        for batch in batches:
            rows, spelled = _in_form(batch, template, tokenizer)
            dropped += spelled
            pairs = []
            said = encode_rows(tokenizer, [(row.prompt, row.response) for row in rows], own=own)
            for row, pair in zip(rows, said, strict=True):
                if fault := too_long(row.source, limit, pair):
                    dropped.append(fault)
                else:
                    pairs.append(pair)
            ids = pa.array([prompt + response for prompt, response in pairs], numbers)
            labels = pa.array([[IGNORED] * len(prompt) + response for prompt, response in pairs], numbers)
            stream.write_batch(pa.record_batch([ids, labels], schema))
    return Dataset.from_file(file.name), dropped


def _in_form(
    rows: Sequence[Row], template: TemplateName, tokenizer: "PreTrainedTokenizerBase"
) -> tuple[list[Row], list[DroppedRow]]:
    """Returns the rows as the model reads them in this form, and those that its chat template cannot hold."""
    form, kept, dropped = FORMS[template], [], []
    for row in rows:
        if form.own and (spelled := control_token(row.prompt, tokenizer)):
            detail = f"the question spells {spelled!r}, a control token of the model's chat template"
            dropped.append(Place.of(row.source).drop(MARKUP, detail))
            continue
        prompt = own_prompt(row.prompt, tokenizer, opened=form.opened) if form.own else row.prompt
        begun = prompt.rstrip().endswith(THINK_OPEN)
        kept.append(row._replace(prompt=prompt, response=row.response.removeprefix(THINK_OPEN if begun else "")))
    return kept, dropped


def encode_rows(
    tokenizer: "PreTrainedTokenizerBase", rows: Sequence[tuple[str, str]], *, own: bool = False
) -> list[Pair]:
    """Returns the tokens of each (prompt, response); the response ends with the only end token of the pair, unless the
    prompt is in the model's own chat template."""
    if not rows:
        return []
    prompts = encode(tokenizer, [prompt for prompt, _ in rows], own=own)
    responses = tokenizer([response for _, response in rows], add_special_tokens=False)["input_ids"]
    return [(p, [*r, tokenizer.eos_token_id]) for p, r in zip(prompts, responses, strict=True)]


def encode_fitting_rows(
    tokenizer: "PreTrainedTokenizerBase", rows: Sequence[tuple[str, str]], max_tokens: int
) -> list[Pair]:
    """Returns `encode_rows` for rows that must fit; raises `RecipeError` if one is too long."""
    pairs = encode_rows(tokenizer, rows)
    if (longest := max(map(length, pairs), default=0)) > max_tokens:
        raise RecipeError(f"a row has {longest} tokens and must have at most {max_tokens}; drop it earlier")
    return pairs


def too_long(source: str, limit: int, *pairs: Pair) -> DroppedRow | None:
    """Returns the row from `source` as a dropped one if one of its pairs is longer than `limit` tokens, else None."""
    tokens = max(map(length, pairs))
    if tokens <= limit:
        return None
    return Place.of(source).drop(TOO_LONG, f"{tokens} tokens, prompt and reply together; at most {limit} are read")


def length(pair: Pair) -> int:
    """Returns the number of tokens of prompt and response together."""
    return len(pair[0]) + len(pair[1])
