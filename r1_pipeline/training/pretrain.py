"""Bases of our own: a tokenizer and a small causal language model, trained from nothing on the toy web.

The paper starts from DeepSeek-V3-Base; a laptop has to make its base first. transformers' `Trainer`; only replies are
learned, since the numbers in a question are noise.
Not covered: what the web says (`data.toy_corpus`), the tokenizer (`training.tokenizer`).
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal, assert_never

from pydantic import Field

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.data.toy_corpus import ToyRecipe, toy_texts
from r1_pipeline.recipe import AddedField, Recipe, Runtime
from r1_pipeline.training.distributed import barrier
from r1_pipeline.training.model_shape import Shape, dense_shape
from r1_pipeline.training.packing import IGNORED
from r1_pipeline.training.run_trainer import common_arguments, run_trainer, write_model
from r1_pipeline.training.sharding import whole
from r1_pipeline.training.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast


class DeepseekV3(Recipe):
    """Latent attention and a mixture of experts, as the paper's base has them."""

    type: Literal["deepseek_v3"] = "deepseek_v3"
    width: int
    """Of the residual stream."""
    layers: int
    """The first is dense, the others are mixtures."""
    heads: int
    """Attention heads."""
    intermediate: int
    """Width of the dense feed-forward block."""
    expert_intermediate: int
    """Width of one expert; one more, shared expert always runs."""
    experts: int
    """Routed experts in a layer."""
    experts_per_token: int
    """Routed experts that see a token."""
    latent: int
    """Rank of the compressed keys and values."""
    rope_dim: int
    """Part of a query or key head that is rotated by position; the other part of the same size is not."""
    value_dim: int
    """Of a value head."""


class Dense(Recipe):
    """Students: grouped-query attention and a gated feed-forward block."""

    type: Literal["qwen2", "llama"]
    width: int
    """Of the residual stream."""
    layers: int
    """Blocks."""
    heads: int
    """Query heads."""
    key_value_heads: int
    """Heads of keys and values; divides `heads`."""
    intermediate: int
    """Width of the feed-forward block."""


Architecture = Annotated[DeepseekV3 | Dense, Field(discriminator="type")]


class PretrainRecipe(Recipe):
    """How a base is made."""

    web: ToyRecipe
    """The texts; each is read about `steps * batch / web.texts` times."""
    architecture: Architecture
    """Of the model."""
    vocabulary: int
    """Tokens, at most. More of them make texts shorter and each prediction dearer."""
    context: int
    """Positions that the model has."""
    steps: int
    """Optimizer steps."""
    batch: int
    """Texts in a step."""
    learning_rate: float
    """Peak of the cosine, which ends at a tenth of it."""
    beta2: float
    """AdamW; lower than usual suits short runs."""
    warmup_steps: int
    """Steps of linear warm-up, at most half of all."""
    weight_decay: float
    """AdamW."""
    max_grad_norm: float
    """Gradients are scaled down to this norm."""
    save_steps: int
    """Steps between checkpoints."""
    seed: int
    """Of the weights and the order of texts."""
    expert_bias_rate: Annotated[float, AddedField()] = 0.0
    """Step of routers' biases towards even expert load [0.001, near the end 0]; 0 moves none (`training.experts`)."""

    @property
    def shape(self) -> Shape:
        """What the model amounts to once its tokenizer fills the vocabulary."""
        it = self.architecture
        common: dict[str, Any] = {
            "width": it.width,
            "layers": it.layers,
            "heads": it.heads,
            "intermediate": it.intermediate,
        }
        if it.type == "deepseek_v3":
            return Shape(
                **common,
                key_value_heads=it.heads,
                key_dim=2 * it.rope_dim,
                value_dim=it.value_dim,
                bias=False,
                query_rank=0,
                latent=it.latent,
                rope_dim=it.rope_dim,
                dense_layers=1,
                experts=it.experts,
                experts_per_token=it.experts_per_token,
                shared_experts=1,
                expert_intermediate=it.expert_intermediate,
                vocabulary=self.vocabulary,
                tied=True,
            )
        return dense_shape(
            **common,
            key_value_heads=it.key_value_heads,
            head_dim=it.width // it.heads,
            bias=it.type == "qwen2",
            vocabulary=self.vocabulary,
            tied=True,
        )


def train_base(recipe: PretrainRecipe, runtime: Runtime, draft: Draft) -> None:
    """Make tokenizer and model of `recipe` and write both to `draft.path`."""
    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    texts = toy_texts(recipe.web)
    tokenizer = train_tokenizer([prompt + reply for prompt, reply in texts], recipe.vocabulary, recipe.context)
    prompts, replies = (tokenizer(list(column))["input_ids"] for column in zip(*texts, strict=True))
    pairs = [(prompt, [*reply, tokenizer.eos_token_id]) for prompt, reply in zip(prompts, replies, strict=True)]
    if draft.leads:
        tokenizer.save_pretrained(draft.path)
    set_seed(recipe.seed)
    trainer = Trainer(
        model=AutoModelForCausalLM.from_config(model_config(recipe, tokenizer)),
        args=TrainingArguments(
            **common_arguments(
                draft,
                runtime,
                batch=recipe.batch,
                save_steps=recipe.save_steps,
                seed=recipe.seed,
                precision="float32",
            ),
            max_steps=recipe.steps,
            learning_rate=recipe.learning_rate,
            adam_beta2=recipe.beta2,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr_rate": 0.1},
            warmup_steps=recipe.warmup_steps,
            weight_decay=recipe.weight_decay,
            max_grad_norm=recipe.max_grad_norm,
            include_num_input_tokens_seen="non_padding",
        ),
        train_dataset=Dataset.from_dict(
            {
                "input_ids": [prompt + reply for prompt, reply in pairs],
                "labels": [[IGNORED] * len(prompt) + reply for prompt, reply in pairs],
            }
        ),
        data_collator=DataCollatorForTokenClassification(tokenizer, label_pad_token_id=IGNORED),
    )
    run_trainer(trainer, draft, runtime, recipe.steps, expert_bias_rate=recipe.expert_bias_rate)
    write_model(trainer.model, draft, whole(trainer, trainer.model_wrapped))
    barrier()


def model_config(recipe: PretrainRecipe, tokenizer: "PreTrainedTokenizerFast") -> "PretrainedConfig":
    """The transformers configuration of the recipe's architecture for this tokenizer."""
    from transformers import DeepseekV3Config, LlamaConfig, Qwen2Config

    shape = recipe.architecture
    common = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": recipe.context,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.intermediate,
        "tie_word_embeddings": True,
        "initializer_range": shape.width**-0.5,  # the usual 0.02 is made for widths in the thousands
    }
    match shape.type:
        case "deepseek_v3":
            return DeepseekV3Config(
                **common,
                num_key_value_heads=shape.heads,
                moe_intermediate_size=shape.expert_intermediate,
                n_routed_experts=shape.experts,
                num_experts_per_tok=shape.experts_per_token,
                n_shared_experts=1,
                first_k_dense_replace=1,
                routed_scaling_factor=1.0,  # the large model's 2.5 balances its 8 of 256 experts
                n_group=1,
                topk_group=1,
                topk_method="noaux_tc",  # vLLM reads it and scoring_func, transformers does not
                scoring_func="sigmoid",
                q_lora_rank=None,
                kv_lora_rank=shape.latent,
                qk_rope_head_dim=shape.rope_dim,
                qk_nope_head_dim=shape.rope_dim,
                v_head_dim=shape.value_dim,
            )
        case "qwen2":
            return Qwen2Config(**common, num_key_value_heads=shape.key_value_heads)
        case "llama":
            return LlamaConfig(**common, num_key_value_heads=shape.key_value_heads)
        case _:
            assert_never(shape)
