"""Experts of a mixture are balanced by their routers' biases alone, exactly and on real models."""

from pathlib import Path

import pytest
import torch
import training_runs as runs
from safetensors.torch import load_file
from transformers import (
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    DeepseekV3ForSequenceClassification,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.engines import VllmRollouts
from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import fingerprint
from r1_pipeline.training.experts import (
    BIAS,
    LOAD,
    balancing_callback,
    copy_biases,
    max_over_mean,
    routers,
    updated_bias,
)
from r1_pipeline.training.grpo import GrpoRecipe, train_grpo
from r1_pipeline.training.packing import pack_batches
from r1_pipeline.training.sft import train_sft

RATE = 0.25
GRPO = runs.GRPO.model_copy(update={"expert_bias_rate": RATE})


def unbalanced(experts: int = 4) -> DeepseekV3ForCausalLM:
    """A model with two of four experts for each token; the first two get every token."""
    torch.manual_seed(0)
    model = DeepseekV3ForCausalLM(
        DeepseekV3Config(
            vocab_size=32, hidden_size=32, intermediate_size=32, moe_intermediate_size=16, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, n_shared_experts=1, n_routed_experts=experts,
            num_experts_per_tok=2, n_group=1, topk_group=1, first_k_dense_replace=1, q_lora_rank=None,
            kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=16, max_position_embeddings=64,
            pad_token_id=0,
        )
    )  # fmt: skip
    [router] = routers(model)
    getattr(router, BIAS).copy_(torch.tensor([0.2, 0.2, *[0.0] * (experts - 2)]))
    return model


def test_a_bias_moves_by_the_rate_against_the_side_of_the_mean_that_its_expert_is_on() -> None:
    # mean 5: 9 is above, 5 at it, 3 and 3 below
    bias = updated_bias(torch.tensor([0.5, 0.0, -0.25, 0.0]), torch.tensor([9, 5, 3, 3]), 0.125)
    assert bias.tolist() == [0.375, 0.0, -0.125, 0.125]
    assert max_over_mean(torch.tensor([9, 5, 3, 3])) == 1.8


def test_an_unbalanced_router_becomes_balanced_and_its_log_says_so() -> None:
    model = unbalanced()
    callback = balancing_callback(model, 0.004)
    callback.on_train_begin()
    tokens = torch.randint(3, 32, (8, 32), generator=torch.Generator().manual_seed(0))
    logged = []
    for _ in range(80):
        model(input_ids=tokens)
        callback.on_optimizer_step()
        callback.on_log(None, None, None, logs := {"loss": 0.0})
        logged.append(logs[LOAD])
    callback.on_train_end()
    assert logged[0] == 2.0  # two of four experts have all
    assert max(logged[-5:]) < 1.25
    assert not routers(model)[0]._forward_hooks and not model.base_model._forward_pre_hooks


def test_only_tokens_that_are_learned_from_are_counted() -> None:
    model = unbalanced()
    callback = balancing_callback(model, 0.0)
    callback.on_train_begin()
    tokens = torch.randint(3, 32, (2, 8), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1], [1] * 8])
    model(input_ids=tokens, attention_mask=mask)
    with torch.no_grad():
        model(input_ids=tokens, attention_mask=mask)
    assert callback.loads.counts[0].tolist() == [13, 13, 0, 0]  # 5 and 8 tokens, no padding, nothing that is only asked
    model(input_ids=tokens[:1])
    assert callback.loads.counts[0].sum() == 2 * (13 + 8)
    callback.on_train_end()


@runs.needs_peft
@pytest.mark.parametrize("task", ["CAUSAL_LM", "SEQ_CLS"])
def test_packed_rows_with_adapters_count_the_same_tokens(task: str) -> None:
    from peft import LoraConfig, get_peft_model

    whole = unbalanced()
    if task == "SEQ_CLS":
        scored = DeepseekV3ForSequenceClassification(whole.config)
        scored.model.load_state_dict(whole.model.state_dict())
        getattr(routers(scored)[0], BIAS).copy_(getattr(routers(whole)[0], BIAS))
        whole = scored
    model = get_peft_model(whole, LoraConfig(r=1, target_modules=["o_proj"], task_type=task))
    pack_batches(model)
    callback = balancing_callback(model, 0.0)
    callback.on_train_begin()
    tokens = torch.randint(3, 32, (3, 8), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0, 0], [1] * 8, [1, 1, 1, 1, 1, 0, 0, 0]])
    labels = {"labels": tokens} if task == "CAUSAL_LM" else {}
    model(input_ids=tokens, attention_mask=mask, **labels)
    assert callback.loads.counts[0].tolist() == [16, 16, 0, 0]
    callback.on_train_end()


def test_a_rate_for_a_model_without_experts_is_refused() -> None:
    dense = Qwen2ForCausalLM(
        Qwen2Config(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1)
    )
    with pytest.raises(RecipeError, match="Qwen2ForCausalLM has no routers"):
        balancing_callback(dense, 0.001)
    balancing_callback(dense, 0.0)


def test_rollouts_by_vllm_which_gets_no_biases_are_refused() -> None:
    with pytest.raises(ValueError, match="not routers' biases"):
        GrpoRecipe(**{**dict(GRPO), "rollouts": VllmRollouts(clip=2.0)})


def test_a_recipe_that_leaves_the_biases_alone_has_the_fingerprint_that_it_had() -> None:
    without = {name: value for name, value in runs.SFT.model_dump().items() if name in runs.SFT.model_fields_set}
    assert fingerprint(runs.SFT) == fingerprint(without)
    assert fingerprint(runs.SFT.model_copy(update={"expert_bias_rate": 0.001})) != fingerprint(without)


def sft(base: Path, draft: Draft, rate: float) -> None:
    train_sft(base, [runs.ROWS], runs.SFT.model_copy(update={"expert_bias_rate": rate}), runs.RUNTIME, draft)


def biases(directory: Path) -> list[float]:
    [bias] = [tensor for name, tensor in load_file(directory / "model.safetensors").items() if name.endswith(BIAS)]
    return bias.tolist()


def test_a_trained_model_is_published_with_the_biases_it_was_trained_with(tiny: Path, tmp_path: Path) -> None:
    still, moving = bare_draft(tmp_path / "still"), bare_draft(tmp_path / "moving")
    sft(tiny, still, 0.0)
    sft(tiny, moving, RATE)
    assert biases(still.path) == [0.0, 0.0]
    steps = [value / RATE for value in biases(moving.path)]
    assert (
        steps == [round(step) for step in steps] and steps[0] == -steps[1]
    )  # two experts: one goes as the other comes
    assert runs.digests(moving.path) != runs.digests(still.path)
    for draft in (still, moving):
        assert all(1 <= row[LOAD] <= 2 for row in read_metrics(draft.metrics))


@pytest.mark.parametrize("method", ["sft", "grpo"])
def test_biases_come_through_an_interruption_bit_by_bit(method: str, tiny: Path, tmp_path: Path) -> None:
    def run(draft: Draft) -> None:
        if method == "sft":
            sft(tiny, draft, RATE)
        else:
            problems = runs.problems(GRPO.problems)
            train_grpo(tiny, problems, "chat", {"digits": runs.digits}, {"digits": 1.0}, GRPO, runs.RUNTIME, draft)

    class Interrupt(runs.Observer):
        def stepped(self, name: str, step: int, total: int, metrics: object) -> None:
            if step == 5:
                raise KeyboardInterrupt

    whole, cut = bare_draft(tmp_path / "whole"), bare_draft(tmp_path / "cut")
    run(whole)
    cut.observer = Interrupt()
    with pytest.raises(KeyboardInterrupt):
        run(cut)
    cut.observer = runs.Observer()
    run(cut)
    assert runs.digests(cut.path) == runs.digests(whole.path)
    loads = [[row[LOAD] for row in read_metrics(draft.metrics)] for draft in (whole, cut)]
    assert loads[0] == loads[1] and len(loads[0]) == 6


def test_a_refreshed_reference_routes_as_the_policy_does(tiny: Path, tmp_path: Path) -> None:
    policy, reference = unbalanced(), unbalanced()
    getattr(routers(policy)[0], BIAS).copy_(torch.tensor([0.0, 0.5, 0.0, 0.25]))
    copy_biases(policy, reference)
    assert getattr(routers(reference)[0], BIAS).tolist() == [0.0, 0.5, 0.0, 0.25]
    draft = bare_draft(tmp_path)
    problems = runs.problems(GRPO.problems)
    train_grpo(tiny, problems, "chat", {"digits": runs.digits}, {"digits": 1.0}, GRPO, runs.RUNTIME, draft)
    last = load_file(draft.scratch / "checkpoint-6" / "reference.safetensors")
    [kept] = [tensor for name, tensor in last.items() if name.endswith(BIAS)]
    assert kept.tolist() == biases(draft.path)  # refreshed at step 6, the last
