"""Laws of the decoding loop: texts are those of transformers' own loop, and a batch costs what its tokens cost."""

from functools import partial
from typing import Any

import psutil
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from r1_pipeline.generation.decoding import LARGE_VOCABULARY, decode
from r1_pipeline.generation.device import cache_bytes, tokens_that_fit

END, PAD = 3, 0


@pytest.fixture(scope="module", params=["qwen2", "gemma3_text", "deepseek_v3"])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(2)
    latent = {"q_lora_rank": None, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
    sizes = {"n_routed_experts": 2, "num_experts_per_tok": 1, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 8}
    config = AutoConfig.for_model(
        request.param,
        vocab_size=12,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
        **(latent | sizes if request.param == "deepseek_v3" else {"head_dim": 8}),
    )
    return AutoModelForCausalLM.from_config(config).eval()


def prompts() -> dict[str, torch.Tensor]:
    """Returns three prompts of different lengths, the first of them twice."""
    ids = torch.tensor([[PAD, 5, 6], [7, 8, 9], [PAD, 5, 6], [PAD, PAD, 4]])
    return {"input_ids": ids, "attention_mask": (ids != PAD).long()}


def settings(tokens: int, **more: Any) -> GenerationConfig:
    return GenerationConfig(max_new_tokens=tokens, eos_token_id=END, pad_token_id=PAD, **more)


def test_greedy_texts_are_those_of_transformers(model: PreTrainedModel) -> None:
    theirs = model.generate(**prompts(), generation_config=settings(20))
    ours = model.generate(**prompts(), generation_config=settings(20), custom_generate=decode)
    assert ours.tolist() == theirs.tolist()


def test_a_prompt_is_read_once_and_an_ended_text_leaves_the_batch(model: PreTrainedModel) -> None:
    """Row 1 ends with its first token, rows 0 and 2 with their second, and row 3 continues alone."""
    seen: list[list[int]] = []
    handle = model.register_forward_pre_hook(
        lambda _, __, given: seen.append(list(given["input_ids"].shape)), with_kwargs=True
    )
    rows: list[list[int]] = []

    def choose(scores: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        rows.append(row.tolist())
        ends = {1: 0, 0: 1, 2: 1}
        return torch.tensor([[END if ends.get(each) == len(rows) - 1 else 4] for each in row.tolist()])

    try:
        output = model.generate(
            **prompts(), generation_config=settings(4), custom_generate=partial(decode, choose=choose)
        )
    finally:
        handle.remove()
    assert seen == [[3, 3], [3, 1], [1, 1], [1, 1]]
    assert rows == [[0, 1, 2, 3], [0, 2, 3], [3], [3]]
    assert output[:, 3:].tolist() == [[4, END, PAD, PAD], [END, PAD, PAD, PAD], [4, END, PAD, PAD], [4, 4, 4, 4]]


def test_draws_follow_the_warped_scores(model: PreTrainedModel) -> None:
    """A draw among one token is the likeliest token."""
    greedy = model.generate(**prompts(), generation_config=settings(6), custom_generate=decode)
    sharp = settings(6, do_sample=True, top_k=1, temperature=1.0)
    assert model.generate(**prompts(), generation_config=sharp, custom_generate=decode).tolist() == greedy.tolist()
    torch.manual_seed(0)
    wide = settings(6, do_sample=True, temperature=5.0)
    drawn = model.generate(**prompts(), generation_config=wide, custom_generate=decode)
    assert drawn[0].tolist() != drawn[2].tolist()  # two draws of one prompt


@pytest.fixture(scope="module")
def grouped() -> PreTrainedModel:
    """Returns a model with six query heads on two heads of keys, whose vocabulary is chosen from in slices."""
    torch.manual_seed(5)
    config = AutoConfig.for_model(
        "qwen2",
        vocab_size=LARGE_VOCABULARY + 1,
        hidden_size=48,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    return AutoModelForCausalLM.from_config(config).eval()


def test_query_heads_that_share_keys_read_them_without_copies(
    grouped: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prompt is read as transformers reads it; each further token's queries go by threes to the two heads of keys."""
    from torch.nn import functional

    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    attend = functional.scaled_dot_product_attention

    def watched(query: torch.Tensor, key: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        seen.append((tuple(query.shape), tuple(key.shape)))
        return attend(query, key, *more, **named)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", watched)
    theirs = grouped.generate(**prompts(), generation_config=settings(8))
    seen.clear()
    ours = grouped.generate(**prompts(), generation_config=settings(8), custom_generate=decode)
    assert ours.tolist() == theirs.tolist()
    assert seen[:3] == [((3, 6, 3, 8), (3, 6, 3, 8))] * 2 + [((4, 2, 3, 8), (4, 2, 4, 8))]
    assert grouped.config._attn_implementation == "sdpa", "training keeps its own implementation"


def test_a_large_vocabulary_is_chosen_from_in_slices_of_rows(
    grouped: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows of 16,385 scores fit into 40,000."""
    monkeypatch.setattr("r1_pipeline.generation.decoding.SLICE", 40_000)
    calls: list[list[int]] = []

    def likeliest(scores: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        calls.append(row.tolist())
        return scores.argmax(-1, keepdim=True)

    chosen = partial(decode, choose=likeliest)
    ours = grouped.generate(**prompts(), generation_config=settings(3), custom_generate=chosen)
    assert calls[:2] == [[0, 1], [2, 3]]
    assert ours.tolist() == grouped.generate(**prompts(), generation_config=settings(3)).tolist()


def test_a_token_takes_the_planned_bytes_of_the_cache(model: PreTrainedModel, grouped: PreTrainedModel) -> None:
    """The Qwen2 with two heads of 8 caches 2 * 2 * 8 numbers in each of two layers, in 32 bits."""
    for each in (model, grouped):
        cache = each(input_ids=prompts()["input_ids"], use_cache=True).past_key_values
        held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        assert held == 4 * 3 * cache_bytes(each)
    assert cache_bytes(grouped) == 2 * (2 * 2 * 8) * 4
    assert tokens_that_fit(grouped) * cache_bytes(grouped) <= psutil.virtual_memory().total / 2
