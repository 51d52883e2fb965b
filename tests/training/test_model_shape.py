"""Shapes agree with what transformers builds, and with what DeepSeek published of its own."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from r1_pipeline.errors import RecipeError
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.models import DEEPSEEK_V3_BASE, LLAMA_1B, QWEN_7B, SMOLLM2
from r1_pipeline.training.meta_model import linear_layers, meta_model
from r1_pipeline.training.model_shape import shape_in, shape_of
from r1_pipeline.training.model_stats import parameters


def test_deepseek_v3_has_the_published_size() -> None:
    """The published size is 671B parameters, 37B of them active; 70.272 kB of cache a token in bfloat16 (arXiv
    2505.09343, table 1)."""
    shape = DEEPSEEK_V3_BASE.shape
    assert shape.parameters == 671_026_419_200
    assert round(shape.active_parameters / 1e9) == 38  # 37.55
    assert shape.kv_bytes == 70_272
    assert shape.plain_kv_bytes == 2 * 2 * 7168 * 61


def test_dense_models_have_the_sizes_on_their_cards() -> None:
    assert SMOLLM2.shape.parameters == 134_515_008
    assert QWEN_7B.shape.parameters == 7_615_616_512
    assert LLAMA_1B.shape.parameters == 1_235_814_400
    assert QWEN_7B.shape.active_parameters == QWEN_7B.shape.parameters


@pytest.mark.parametrize("name", ["smoke", "tiny"])
def test_latent_attention_and_experts_save_at_the_size_of_the_toy_base_too(name: str) -> None:
    shape = load_profile(name, 0).recipes["base"].shape
    assert shape.active_parameters < shape.parameters
    assert shape.kv_bytes < shape.plain_kv_bytes / 1.5


def test_the_formula_counts_what_the_checkpoint_holds(tiny: Path) -> None:
    assert shape_in(tiny).parameters == parameters(tiny / "model.safetensors")


def test_the_cache_of_a_running_model_is_the_latent_one(tiny: Path) -> None:
    """The cache of transformers for 5 tokens of one sequence, in float32, is twice `kv_bytes` a token."""
    model, cache = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32), DynamicCache()
    model(torch.arange(3, 8).view(1, 5), past_key_values=cache, use_cache=True)
    numbers = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert 4 * numbers == 5 * 2 * shape_in(tiny).kv_bytes


def test_a_token_meets_the_active_parameters_of_a_running_model(tiny: Path) -> None:
    """Experts that it was not routed to get no gradient."""
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    model(torch.tensor([[5]])).logits.sum().backward()
    experts = [weight for name, weight in model.named_parameters() if ".experts." in name]
    missed = sum(one.numel() for weight in experts for one in weight.grad if not one.any())
    assert missed > 0
    assert shape_in(tiny).parameters - missed == shape_in(tiny).active_parameters


def test_a_token_touches_the_active_parameters_and_a_crowd_touches_all() -> None:
    shape = DEEPSEEK_V3_BASE.shape
    assert shape.weights_touched(1) == pytest.approx(shape.active_parameters)
    assert shape.weights_touched(10_000) == pytest.approx(shape.parameters)


KNOWN = ("deepseek_v3", "gemma3_text", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3")
COUNTED = ("gemma2", "gpt_neox", "granite", "starcoder2")


@pytest.mark.parametrize("kind", [*KNOWN, *COUNTED])
def test_a_shape_has_the_parameters_and_layers_of_the_model_that_transformers_builds(kind: str) -> None:
    """The shape has the default size of the architecture, on the meta device."""
    config = AutoConfig.for_model(kind).to_dict()
    shape, model = shape_of(config), meta_model(config)
    assert (shape.counted is None) == (kind in KNOWN)
    assert shape.parameters == sum(weight.numel() for weight in model.parameters()) + routing_biases(model)
    assert sorted(shape.linears, key=str) == sorted(linear_layers(model), key=str)


def routing_biases(model: torch.nn.Module) -> int:
    """Buffers that checkpoints hold."""
    return sum(
        tensor.numel() for name, tensor in model.state_dict().items() if name.endswith("e_score_correction_bias")
    )


def test_a_published_configuration_leaves_out_the_defaults_of_its_architecture() -> None:
    assert shape_of({"model_type": "mistral"}) == shape_of(AutoConfig.for_model("mistral").to_dict())


def test_biases_that_the_formula_does_not_know_are_counted() -> None:
    """Biases of queries, keys, values and outputs, 4 * 4096 in each of 32 layers of the default Llama."""
    plain, biased = (shape_of(AutoConfig.for_model("llama", attention_bias=has).to_dict()) for has in (False, True))
    assert biased.parameters - plain.parameters == 32 * 4 * 4096


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("qwen3_moe", "'qwen3_moe' has a mixture of experts"),
        ("qwen3_next", "'qwen3_next' has layers of linear_attention"),
        ("mamba", "'mamba' is no transformer of one kind of layer: it has no num_attention_heads"),
        ("gemma3", "'gemma3' is no .*; take its text model"),
        ("t5", "'t5' is no transformer of one kind of layer"),
        ("nowhere", "transformers knows no model 'nowhere'"),
    ],
)
def test_what_is_no_dense_transformer_is_refused_by_name(kind: str, reason: str) -> None:
    config = {"model_type": kind} if kind == "nowhere" else AutoConfig.for_model(kind).to_dict()
    with pytest.raises(RecipeError, match=reason) as refused:
        shape_of(config)
    assert len(str(refused.value).splitlines()) == 1
