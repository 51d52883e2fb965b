"""A `Shape` computes what an architecture costs from its configuration alone: parameters, cache, floating-point
operations.

    shape_of(config)      from `config.json` as transformers writes it: DeepSeek-V3 and dense architectures
    Shape                 all parameters and those active for a token, bytes of KV cache, FLOPs of a token

It shows what the two ideas of DeepSeek-V3 save: a mixture of experts (active against all parameters) and latent
attention (KV cache against that of plain attention). Not covered: optimizer and activations (`r1_pipeline.planning`).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from r1_pipeline.recipe import AddedField
from r1_pipeline.records import Record
from r1_pipeline.training.meta_model import Counted, LinearLayers, complete, count_dense

BFLOAT16 = 2
"""The number of bytes of a number in a KV cache, and of a weight in inference."""


class Shape(Record):
    """The sizes of a causal language model."""

    width: int
    """The width of the residual stream."""
    layers: int
    heads: int
    """The number of query heads."""
    key_value_heads: int
    """The number of heads of keys and values; latent attention has as many as query heads."""
    key_dim: int
    """The width of a query or key head, the rotated part included."""
    value_dim: int
    """The width of a value head."""
    bias: bool
    """Queries, keys and values have a bias if true, as in Qwen2."""
    query_rank: int
    """The rank of compressed queries; 0: not compressed."""
    latent: int
    """The rank of compressed keys and values; 0: plain or grouped attention."""
    rope_dim: int
    """The width of the rotated part of a key, kept in addition to the latent; 0 without a latent."""
    intermediate: int
    """The width of a dense feed-forward block."""
    dense_layers: int
    """The number of layers with a dense block; the others are mixtures."""
    experts: int
    """The number of routed experts in a layer."""
    experts_per_token: int
    shared_experts: int
    expert_intermediate: int
    """The width of one expert."""
    vocabulary: int
    tied: bool
    """Input and output embedding are one matrix if true."""
    fused: Annotated[bool, AddedField()] = False
    """One matrix makes queries, keys and values, and one both halves of a gated block, if true, as in Phi 3."""
    extra: Annotated[int, AddedField()] = 0
    """The number of parameters of a layer in addition to those of Llama and Qwen2: norms of queries and keys, more
    norms, more biases."""
    counted: Annotated[Counted | None, AddedField()] = None
    """The counted parameters and linear layers of an architecture without a known formula."""

    @property
    def parameters(self) -> int:
        """The number of parameters in a checkpoint, routing biases included."""
        return self._outside_experts + self._mixtures * self.experts * self._expert

    @property
    def active_parameters(self) -> int:
        """The number of parameters that one token uses: all except the experts that it is not routed to."""
        return self._outside_experts + self._mixtures * self.experts_per_token * self._expert

    @property
    def kv_bytes(self) -> int:
        """The bytes of KV cache of one token, in bfloat16: the latent and its rotated key, or all heads."""
        grouped = self.key_value_heads * (self.key_dim + self.value_dim)
        return BFLOAT16 * self.layers * (self.latent + self.rope_dim if self.latent else grouped)

    @property
    def plain_kv_bytes(self) -> int:
        """The bytes of KV cache of one token for plain attention of this width: keys and values as wide as the residual
        stream."""
        return BFLOAT16 * self.layers * 2 * self.width

    def forward_flops(self, context: float) -> float:
        """Returns the FLOPs of one token in a forward pass over whole sequences, with `context` tokens before it on
        average."""
        return self.matmul_flops + 2.0 * self.layers * self.heads * (self.key_dim + self.value_dim) * context

    def decode_flops(self, context: float) -> float:
        """Returns the FLOPs of one token that is sampled after `context` others.

        Latent attention then works on the latents themselves (DeepSeek-V2, section 2.1.2: the up-projections are
        absorbed), which costs arithmetic and saves memory.
        """
        keys, values = (self.latent + self.rope_dim, self.latent) if self.latent else (self.key_dim, self.value_dim)
        return self.matmul_flops + 2.0 * self.layers * self.heads * (keys + values) * context

    def weights_touched(self, tokens: float) -> float:
        """Returns the number of parameters that a step over `tokens` tokens reads; experts that none of them is routed
        to are not read.

        With even routing an expert is missed by all of them with probability (1 - chosen / experts)^tokens.
        """
        missed = (1 - self.experts_per_token / self.experts) ** tokens if self.experts else 0.0
        return self._outside_experts + self._mixtures * self.experts * self._expert * (1 - missed)

    @property
    def linears(self) -> tuple[LinearLayers, ...]:
        """The linear layers that LoRA can adapt, as `linear_layers` finds them in the model itself."""
        if self.counted:
            return self.counted.linears
        width, queries = self.width, self.heads * self.key_dim
        keys, values = self.key_value_heads * self.key_dim, self.key_value_heads * self.value_dim
        if self.latent:
            whole = self.heads * (self.key_dim - self.rope_dim + self.value_dim)
            compressed = [("q_a_proj", width, self.query_rank), ("q_b_proj", self.query_rank, queries)]
            sizes = compressed if self.query_rank else [("q_proj", width, queries)]
            sizes += [("kv_a_proj_with_mqa", width, self.latent + self.rope_dim), ("kv_b_proj", self.latent, whole)]
        elif self.fused:
            sizes = [("qkv_proj", width, queries + keys + values)]
        else:
            sizes = [("q_proj", width, queries), ("k_proj", width, keys), ("v_proj", width, values)]
        sizes += [("o_proj", self.heads * self.value_dim, width)]
        if self.fused:
            sizes += [("gate_up_proj", width, 2 * self.intermediate), ("down_proj", self.intermediate, width)]
        elif not self.experts:
            sizes += [("gate_proj", width, self.intermediate), ("up_proj", width, self.intermediate)]
            sizes += [("down_proj", self.intermediate, width)]
        return tuple(LinearLayers(name=n, inputs=i, outputs=o, count=self.layers) for n, i, o in sizes)

    @property
    def largest_layer(self) -> int:
        """The number of parameters of the largest layer, which ranks that share a model gather as a whole."""
        if self.counted:
            return self.counted.parameters // self.layers
        mixture = (self.experts + self.shared_experts) * self._expert + self.experts * (self.width + 1)
        block = max(3 * self.width * self.intermediate * (self.dense_layers > 0), mixture * (self._mixtures > 0))
        return self._attention + self.extra + block + 2 * self.width

    @property
    def _mixtures(self) -> int:
        return self.layers - self.dense_layers

    @property
    def matmul_flops(self) -> float:
        """The FLOPs of matrix products for one token: two for every weight that is multiplied; an embedding lookup
        multiplies nothing."""
        looked_up = 0 if self.tied else self.vocabulary * self.width
        return 2.0 * (self.active_parameters - looked_up)

    @property
    def _expert(self) -> int:
        return 3 * self.width * self.expert_intermediate

    @property
    def _outside_experts(self) -> int:
        if self.counted:
            return self.counted.parameters
        embeddings = (1 if self.tied else 2) * self.vocabulary * self.width
        norms = (2 * self.layers + 1) * self.width
        dense = self.dense_layers * 3 * self.width * self.intermediate
        routers = self._mixtures * self.experts * (self.width + 1)
        shared = self._mixtures * self.shared_experts * self._expert
        return embeddings + norms + self.layers * (self._attention + self.extra) + dense + routers + shared

    @property
    def _attention(self) -> int:
        out = self.heads * self.value_dim * self.width
        queries = self.heads * self.key_dim
        if not self.latent:
            rows = queries + self.key_value_heads * (self.key_dim + self.value_dim)
            return out + rows * (self.width + self.bias)
        ask = self.query_rank * (self.width + 1 + queries) if self.query_rank else self.width * queries
        compress = self.width * (self.latent + self.rope_dim) + self.latent
        return out + ask + compress + self.latent * self.heads * (self.key_dim - self.rope_dim + self.value_dim)


def shape_in(model: Path) -> Shape:
    """Returns the shape of the checkpoint in a directory."""
    return shape_of(json.loads((model / "config.json").read_text(encoding="utf-8")))


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Returns the shape that a transformers configuration describes; the tensors of an unknown dense architecture are
    counted.

    Raises `RecipeError` for anything except a dense transformer or DeepSeek-V3.
    """
    config = complete(config)
    kind, heads, width = config["model_type"], config["num_attention_heads"], config["hidden_size"]
    common = {
        "width": width,
        "layers": config["num_hidden_layers"],
        "heads": heads,
        "intermediate": config["intermediate_size"],
        "vocabulary": config["vocab_size"],
        "tied": config["tie_word_embeddings"],
    }
    if kind == "deepseek_v3":
        return Shape(
            **common,
            key_value_heads=heads,
            key_dim=config["qk_nope_head_dim"] + config["qk_rope_head_dim"],
            value_dim=config["v_head_dim"],
            bias=False,
            query_rank=config["q_lora_rank"] or 0,
            latent=config["kv_lora_rank"],
            rope_dim=config["qk_rope_head_dim"],
            dense_layers=config["first_k_dense_replace"],
            experts=config["n_routed_experts"],
            experts_per_token=config["num_experts_per_tok"],
            shared_experts=config["n_shared_experts"],
            expert_intermediate=config["moe_intermediate_size"],
        )
    head_dim = config.get("head_dim") or width // heads
    key_value_heads = config.get("num_key_value_heads") or heads
    shape = dense_shape(**common, key_value_heads=key_value_heads, head_dim=head_dim, bias=kind == "qwen2")
    more = {
        "llama": 0,
        "mistral": 0,
        "phi3": 0,
        "qwen2": 0,
        "smollm3": 0,
        "gemma3_text": 2 * head_dim + 2 * width,
        "olmo2": (heads + key_value_heads) * head_dim,
        "qwen3": 2 * head_dim,
    }
    if kind in more and not (config.get("attention_bias") or config.get("mlp_bias")):
        return shape.model_copy(update={"extra": more[kind], "fused": kind == "phi3"})
    return shape.model_copy(update={"counted": count_dense(config)})


def dense_shape(
    *,
    width: int,
    layers: int,
    heads: int,
    key_value_heads: int,
    head_dim: int,
    intermediate: int,
    vocabulary: int,
    tied: bool,
    bias: bool,
) -> Shape:
    """Returns the shape of a model without experts and without latent attention: Llama, or Qwen2 with its biases."""
    return Shape(
        width=width,
        layers=layers,
        heads=heads,
        key_value_heads=key_value_heads,
        key_dim=head_dim,
        value_dim=head_dim,
        bias=bias,
        query_rank=0,
        latent=0,
        rope_dim=0,
        intermediate=intermediate,
        dense_layers=layers,
        experts=0,
        experts_per_token=0,
        shared_experts=0,
        expert_intermediate=0,
        vocabulary=vocabulary,
        tied=tied,
    )
