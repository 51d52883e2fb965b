"""This module pretrains a base: a tokenizer and a small causal language model, trained from scratch on the toy web.

The paper starts from DeepSeek-V3-Base; a laptop has to make its base first. It uses transformers' `Trainer`; only
replies are trained on, since the numbers in a question are noise. Not covered: the texts of the web
(`data.toy_corpus`), the tokenizer (`training.tokenizer`).
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
from r1_pipeline.training.sharding import gather_weights
from r1_pipeline.training.tokenizer import train_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast


class DeepseekV3(Recipe):
    """The architecture of the paper's base: latent attention and a mixture of experts."""

    type: Literal["deepseek_v3"] = "deepseek_v3"
    width: int
    """The width of the residual stream."""
    layers: int
    """The number of layers; the first is dense, the others are mixtures."""
    heads: int
    """The number of attention heads."""
    intermediate: int
    """The width of the dense feed-forward block."""
    expert_intermediate: int
    """The width of one expert; there is also one shared expert, which every token uses."""
    experts: int
    """The number of routed experts in a layer."""
    experts_per_token: int
    """The number of routed experts that a token uses."""
    latent: int
    """The rank of the compressed keys and values."""
    rope_dim: int
    """The width of the part of a query or key head that is rotated by position; the other part has the same width."""
    value_dim: int
    """The width of a value head."""


class Dense(Recipe):
    """The architecture of students: grouped-query attention and a gated feed-forward block."""

    type: Literal["qwen2", "llama"]
    width: int
    """The width of the residual stream."""
    layers: int
    """The number of layers."""
    heads: int
    """The number of query heads."""
    key_value_heads: int
    """The number of heads of keys and values; divides `heads`."""
    intermediate: int
    """The width of the feed-forward block."""


Architecture = Annotated[DeepseekV3 | Dense, Field(discriminator="type")]


class PretrainRecipe(Recipe):
    """The recipe of a base that is pretrained."""

    web: ToyRecipe
    """The recipe of the texts; each is read about `steps * batch / web.texts` times."""
    architecture: Architecture
    """The architecture of the model."""
    vocabulary: int
    """The maximum number of tokens of the vocabulary; more tokens make texts shorter and each prediction more
    expensive."""
    context: int
    """The number of positions of the model."""
    steps: int
    """The number of optimizer steps."""
    batch: int
    """The number of texts in a step."""
    learning_rate: float
    """The peak of the cosine schedule, which ends at a tenth of it."""
    beta2: float
    """The second decay rate of AdamW; a lower value than usual suits short runs."""
    warmup_steps: int
    """The number of steps of linear warm-up, at most half of all."""
    weight_decay: float
    """The weight decay of AdamW."""
    max_grad_norm: float
    """The maximum norm of the gradients, which are scaled down to it."""
    save_steps: int
    """The number of steps between checkpoints."""
    seed: int
    """The seed of the weights and the order of texts."""
    expert_bias_rate: Annotated[float, AddedField()] = 0.0
    """The step size of routers' biases towards even expert load [0.001, near the end 0]; 0 changes none
    (`training.experts`)."""

    @property
    def shape(self) -> Shape:
        """The shape of the model once its tokenizer fills the vocabulary."""
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
    """Trains the tokenizer and the model of `recipe` and writes both to `draft.path`."""
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
    write_model(trainer.model, draft, gather_weights(trainer, trainer.model_wrapped))
    barrier()


def model_config(recipe: PretrainRecipe, tokenizer: "PreTrainedTokenizerFast") -> "PretrainedConfig":
    """Returns the transformers configuration of the recipe's architecture for this tokenizer."""
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
