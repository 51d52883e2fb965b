"""Laws of packing: every token has one place, no text sees another, and a step is the padded batch's step."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedModel
from trl.trainer.utils import add_fused_lm_head

from r1_pipeline.training.experts import Loads
from r1_pipeline.training.packing import IGNORED, PACKABLE, layout, pack_batches

SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
LATENT = {
    "q_lora_rank": None,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 2,
    "num_experts_per_tok": 1,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
}
PROMPT_LEFT, REPLY_RIGHT = (2, 0, 3, 1), (0, 4, 1, 6)
"""The padding of each text before and behind it, as in a rollout: prompts are padded left, replies right."""


def model_of(kind: str, head: type = AutoModelForCausalLM) -> PreTrainedModel:
    torch.manual_seed(0)
    extra = LATENT if kind == "deepseek_v3" else {"head_dim": 8}
    return head.from_config(AutoConfig.for_model(kind, num_labels=1, **SMALL, **extra)).train()  # type: ignore[attr-defined]


def batch() -> dict[str, torch.Tensor]:
    """Returns four texts in 10 columns; the first two tokens of each are a prompt."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 50, (4, 10), generator=draw)
    column = torch.arange(10)
    left, right = torch.tensor(PROMPT_LEFT).unsqueeze(1), torch.tensor(REPLY_RIGHT).unsqueeze(1)
    mask = ((column >= left) & (column < 10 - right)).long()
    learned = (column >= left + 2) & mask.bool()
    return {
        "input_ids": ids * mask,
        "attention_mask": mask,
        "labels": ids.masked_fill(~learned, IGNORED),
    }


def test_the_longest_text_makes_the_row_and_the_next_fills_the_fullest_that_has_room() -> None:
    lengths = [3, 6, 2, 1, 5]
    mask = (torch.arange(6) < torch.tensor(lengths).unsqueeze(1)).long()
    places = layout(mask)
    assert places.shape == (3, 6)  # 6 | 5 1 | 3 2
    first = places.position_N == 0
    assert places.row_N[first].tolist() == [2, 0, 2, 1, 1]
    assert places.column_N[first].tolist() == [0, 0, 3, 5, 0]
    taken = list(zip(places.row_N.tolist(), places.column_N.tolist(), strict=True))
    assert len(set(taken)) == sum(lengths)


def test_scores_come_back_to_the_place_before_their_token() -> None:
    places = layout(torch.tensor([[1, 1, 1], [0, 1, 1], [1, 0, 0]]))  # rows: a a a | b b c
    scores = torch.tensor([[1.0, 2.0], [3.0, 9.0]])  # 9 stands before c, whose text begins with it
    assert places.unpacked(scores).tolist() == [[1.0, 2.0], [0.0, 3.0], [0.0, 0.0]]


@pytest.mark.parametrize("kind", sorted(PACKABLE))
def test_loss_gradients_and_scores_are_those_of_the_padded_batch(kind: str) -> None:
    padded, packed = model_of(kind), model_of(kind)
    add_fused_lm_head(padded, outputs=("log_probs", "entropy"))
    add_fused_lm_head(packed, outputs=("log_probs", "entropy"))
    pack_batches(packed)
    inputs = batch()
    positions = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)  # TRL leaves them out: those of the left padding
    theirs = padded(**inputs, position_ids=positions, use_cache=False, fused_lm_head=True)
    ours = packed(**inputs, fused_lm_head=True)
    assert ours.log_probs.shape == theirs.log_probs.shape == (4, 9)
    torch.testing.assert_close(ours.log_probs, theirs.log_probs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.entropy * ours.label_mask, theirs.entropy, atol=1e-5, rtol=1e-5)
    for each in (theirs, ours):
        each.loss.backward()
    for (name, one), (_, other) in zip(padded.named_parameters(), packed.named_parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("kind", sorted(PACKABLE))
def test_no_text_of_a_row_sees_another(kind: str) -> None:
    model = model_of(kind)
    add_fused_lm_head(model)
    pack_batches(model)
    inputs = batch()
    before = model(**inputs, fused_lm_head=True).log_probs
    changed = inputs | {"input_ids": inputs["input_ids"].clone()}
    changed["input_ids"][1, :6] = changed["input_ids"][1, :6] % 49 + 1
    after = model(**changed, fused_lm_head=True).log_probs
    torch.testing.assert_close(after[[0, 2, 3]], before[[0, 2, 3]])
    assert not torch.allclose(after[1], before[1])


def test_fewer_tokens_are_computed_and_the_trainers_own_loss_is_the_same() -> None:
    padded, packed = model_of("qwen2"), model_of("qwen2")
    seen: list[torch.Size] = []
    packed.model.register_forward_pre_hook(lambda _, __, given: seen.append(given["input_ids"].shape), with_kwargs=True)
    pack_batches(packed)
    ids = torch.arange(1, 25).reshape(4, 6)
    mask = (torch.arange(6) < torch.tensor([[6], [2], [3], [1]])).long()
    inputs = {"input_ids": ids * mask, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, IGNORED)}
    assert packed(**inputs, num_items_in_batch=8).loss.item() == pytest.approx(
        padded(**inputs, num_items_in_batch=8).loss.item(), rel=1e-6
    )
    assert seen == [torch.Size([2, 6])]


@pytest.mark.parametrize("kind", sorted(PACKABLE))
def test_a_reward_models_scores_and_gradients_are_those_of_the_padded_batch(kind: str) -> None:
    padded, packed = (model_of(kind, AutoModelForSequenceClassification) for _ in range(2))
    seen: list[torch.Size] = []
    pack_batches(packed)
    packed.base_model.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["input_ids"].shape), with_kwargs=True
    )
    ids = torch.arange(1, 25).reshape(4, 6)
    mask = (torch.arange(6) < torch.tensor([[6], [2], [3], [1]])).long()
    scores = [model(input_ids=ids * mask, attention_mask=mask).logits for model in (padded, packed)]
    assert seen == [torch.Size([2, 6])]
    torch.testing.assert_close(scores[1], scores[0], atol=1e-6, rtol=1e-5)
    for each in scores:
        (each[:2] - each[2:]).sigmoid().log().sum().backward()
    for (name, one), (_, other) in zip(padded.named_parameters(), packed.named_parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, atol=1e-6, rtol=1e-4, msg=name)


def test_padding_of_packed_rows_is_no_load_of_an_expert() -> None:
    """Eight, six, six and three tokens choose an expert each; nine more places of the four rows are padding."""
    model = model_of("deepseek_v3")
    pack_batches(model)
    loads = Loads(model)
    model(**batch())
    assert [int(count.sum()) for count in loads.counts] == [23]


def test_a_model_that_cannot_keep_texts_apart_stays_as_it_is() -> None:
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", n_layer=1, n_head=2, n_embd=8, vocab_size=50))
    forward = model.forward
    pack_batches(model)
    assert model.forward == forward
