"""Every profile can be planned, every stage that computes is in the plan, and that of the paper is near its bill."""

import json
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from dagster_defs.cli import app
from r1_pipeline.cli.plan import summary
from r1_pipeline.engines import Transformers
from r1_pipeline.errors import RecipeError, RequirementError, UnknownNameError
from r1_pipeline.graph.bound import changed
from r1_pipeline.graph.node import AssetName
from r1_pipeline.planning.fit import misfits, require_memory
from r1_pipeline.planning.plan import PUBLISHED, plan
from r1_pipeline.planning.work import work_of
from r1_pipeline.profiles import PROFILES, Profile, load_profile
from r1_pipeline.settings.engines import Colocated
from r1_pipeline.training.lora import Lora

NEEDS_NO_ACCELERATOR = {
    *("reasoning_problems", "heldout_problems", "general_prompts", "preference_pairs"),
    *("cold_start_data", "reasoning_traces", "general_traces", "sft_corpus", "report"),
}
NOT_PLANNED = {"preference_scores"}
"""Two reward models read some hundred replies: too little to plan."""


@pytest.mark.parametrize("row", PUBLISHED)
def test_the_paper_is_estimated_within_a_factor_of_two_of_each_published_figure(row: str) -> None:
    figure = plan(load_profile("paper", 0), None, compare=True).published[row]
    assert 0.5 < figure.estimate / figure.hours < 2


@pytest.mark.parametrize(("field", "factor"), [("zero", 1.5), ("zero", 0.67), ("reasoning", 1.5), ("reasoning", 0.67)])
def test_the_estimate_holds_when_the_lengths_read_off_figures_are_off_by_half(field: str, factor: float) -> None:
    paper = load_profile("paper", 0)
    forecast = paper.forecast.model_copy(update={field: factor * getattr(paper.forecast, field)})
    for figure in plan(replace(paper, forecast=forecast), None, compare=True).published.values():
        assert 0.5 < figure.estimate / figure.hours < 2


def test_shares_of_a_published_figure_add_up_to_it() -> None:
    stages = plan(load_profile("paper", 0), None, compare=True).stages
    assert sum(stage.published_gpu_hours or 0 for stage in stages.values()) == pytest.approx(147_000)
    assert stages["r1_zero"].published_gpu_hours == pytest.approx(101_000)


@pytest.mark.parametrize("name", PROFILES)
def test_every_asset_that_computes_is_planned(name: str) -> None:
    profile = load_profile(name, 0)
    planned = set(plan(profile, None, compare=False).stages)
    adopted = set() if name in ("smoke", "tiny") else {"base", "student_base"}
    scored = {f"evaluation/{model}" for model in profile.graph.checkpoints}
    assert planned == set(profile.graph.nodes) - NEEDS_NO_ACCELERATOR - NOT_PLANNED - scored - adopted
    assert {f"answers/{model}" for model in profile.graph.checkpoints} < planned


@pytest.mark.parametrize("name", ["small", "node"])
def test_a_profile_fits_the_machine_that_it_is_made_for(name: str) -> None:
    assert misfits(plan(load_profile(name, 0), None, compare=False)) == []
    require_memory(load_profile(name, 0))


def test_the_paper_on_its_own_machines_is_refused_for_its_experts_and_its_reward_models() -> None:
    """Each device gathers a layer of 256 experts, and holds a whole reward model of 671 billion parameters."""
    training, scoring = misfits(plan(load_profile("paper", 0), None, compare=False))
    assert "r1_zero (94 GiB)" in training
    assert "in training: a whole layer is gathered on every device" in training
    assert scoring.startswith("does not fit into 72 GiB a device: r1 (1,288 GiB) in scoring: ")
    with pytest.raises(RequirementError, match="a reward model is whole on every rank, so train it from a smaller"):
        require_memory(load_profile("paper", 0))


def with_runtime_of(profile: Profile, **settings: Any) -> Profile:
    return replace(profile, runtime=profile.runtime.model_copy(update=settings))


def test_the_embedded_engine_in_place_of_vllm_is_planned_as_what_it_is() -> None:
    """The batch is 1,024 texts of Qwen2.5-7B, each of 4,096 new tokens and a prompt of 150, in float32: 114,688 bytes
    a token are 499 GB of cache next to 30.5 GB of weights; one device of eight works."""
    node = load_profile("node", 0)
    unbounded = with_runtime_of(node, generation_batch=1024, generation_tokens=None, cluster=None)
    stage = plan(unbounded.with_engine(Transformers()), None, compare=False).stages["answers/base"]
    assert stage.kv_cache_gib * 2**30 == 1024 * 4246 * 114_688
    assert stage.weights_gib * 2**30 == 4 * 7_615_616_512
    assert "set generation_tokens or lower generation_batch" in stage.remedy
    whole = plan(node, None, compare=False).stages["answers/base"]
    assert stage.gpu_hours > 8 * whole.gpu_hours


def test_bounded_tokens_bound_the_cache_of_the_embedded_engine() -> None:
    """A bound of 131,072 tokens holds 30 texts of 4,246."""
    node = load_profile("node", 0).with_engine(Transformers(dtype="bfloat16"))
    stage = plan(node, None, compare=False).stages["answers/base"]
    assert stage.kv_cache_gib * 2**30 == 30 * 4246 * 57_344


def test_rollouts_of_the_trainers_own_model_keep_all_texts_of_a_rank_unless_portions_bound_them() -> None:
    """A rollout has 32 * 16 * 4 / 8 = 256 texts of 4,246 tokens on a rank: 62 GB next to the shards."""
    node = load_profile("node", 0)
    own = node.with_recipes({"r1_zero": changed(node.recipes["r1_zero"], "grpo.rollouts", Transformers())})
    stage = plan(with_runtime_of(own, generation_tokens=None), None, compare=False).stages["r1_zero"]
    assert stage.kv_cache_gib * 2**30 == 256 * 4246 * 57_344
    bounded = plan(own, None, compare=False).stages["r1_zero"]
    assert bounded.kv_cache_gib * 2**30 == 30 * 4246 * 57_344


def test_a_colocated_vllm_and_the_trainers_weights_share_the_card() -> None:
    """Qwen2.5-1.5B: 12 bytes a parameter stay between steps, vLLM takes 0.35 of 80 GiB."""
    small = load_profile("small", 0)
    stage = plan(small, None, compare=False).stages["r1_zero"]
    assert stage.memory_gib_per_device == pytest.approx(12 * 1_543_714_304 / 2**30 + 0.35 * 80)
    assert stage.fullest == "sampling"
    greedy = with_runtime_of(small, rollouts=Colocated(memory_share=0.7, sleeps=False))
    line, _ = misfits(plan(greedy, None, compare=False))
    assert "r1_zero (" in line and "sleeps = true" in line


def test_a_model_that_its_share_of_the_card_cannot_hold_is_refused_with_the_share_as_remedy() -> None:
    node = with_runtime_of(load_profile("node", 0), rollouts=Colocated(memory_share=0.15))
    [line] = misfits(plan(node, None, compare=False))
    assert "r1_zero (" in line and "raise devices, or the share" in line


def test_reward_models_are_planned_in_the_stage_that_asks_them() -> None:
    """Both are of 7 billion parameters in 16 bits; one at a time is on a device, with 131,072 tokens to score."""
    stage = plan(load_profile("node", 0), None, compare=False).stages["r1"]
    inside = 3584 + 4 * 3584 + 2 * 28 * 256 + 3 * 18_944
    scored = 2 * (7_615_616_512 + 131_072 * inside) + 14 * 7_615_616_512 / 8
    assert (stage.memory_gib_per_device, stage.fullest) == (pytest.approx(scored / 2**30), "scoring")


def test_a_plan_ends_with_what_others_report_for_the_base() -> None:
    [line] = [line for line in summary(plan(load_profile("small", 0), None, compare=False)) if "others" in line]
    assert "GSM8K 55.7 -> 74.4 (SimpleRL-Zoo, arXiv 2503.18892)" in line


def test_a_stage_with_lora_is_planned_with_gradients_and_moments_of_its_adapters() -> None:
    """Qwen2.5-1.5B in rank 8, 28 layers: queries and output 3072 each, keys and values 1792, three of 10,496."""
    small, adapters = load_profile("small", 0), 8 * 28 * (2 * 3072 + 2 * 1792 + 3 * 10_496)
    adapted = small.with_recipes({"dev1": changed(small.recipes["dev1"], "lora", Lora(rank=8, alpha=16.0))})
    before, after = (plan(profile, None, compare=False).stages["dev1"] for profile in (small, adapted))
    assert after.optimizer_gib * 2**30 == pytest.approx(8 * adapters)
    spared = (before.weights_gib - after.weights_gib) * 2**30
    assert spared == pytest.approx(4 * before.parameters - 8 * adapters)
    assert after.activations_gib == before.activations_gib
    assert after.gpu_hours < before.gpu_hours


def test_a_plan_refuses_lora_for_modules_that_the_base_lacks() -> None:
    small, lora = load_profile("small", 0), Lora(rank=8, alpha=16.0, modules=("qkv_proj",))
    adapted = small.with_recipes({"dev1": changed(small.recipes["dev1"], "lora", lora)})
    with pytest.raises(RecipeError, match="adapt qkv_proj and the model has only down_proj, gate_proj, k_proj"):
        plan(adapted, None, compare=False)


def test_counts_are_those_of_the_recipe() -> None:
    """R1-Zero: 10,400 steps of 512 outputs, of 6,000 tokens; trained on with prompts of 200."""
    zero = work_of(load_profile("paper", 0))[AssetName("r1_zero")]
    assert zero.sampled and zero.trained
    assert zero.sampled.completions == 5_324_800
    assert zero.sampled.at_once == 8192
    assert zero.tokens == 5_324_800 * (6000 + 6200)


def test_student_rl_is_planned_within_its_budget_of_tokens() -> None:
    work = work_of(load_profile("paper", 0))
    budget = work[AssetName("distilled", "qwen")].tokens
    assert work[AssetName("student_rl_only")].tokens == pytest.approx(budget, rel=1e-3)


def test_json_has_exactly_the_promised_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R1_PROFILE", "tiny")
    printed = json.loads(CliRunner().invoke(app, ["plan", "--profile", "paper", "--json"]).stdout)
    assert set(printed) == {"stages", "accelerator", "cost_usd"}
    keys = {"gpu_hours", "tokens", "memory_gib_per_device", "published_gpu_hours"}
    assert {frozenset(stage) for stage in printed["stages"].values()} == {frozenset(keys)}
    assert printed["accelerator"] == "h800"
    hours = sum(stage["gpu_hours"] for stage in printed["stages"].values())
    assert printed["cost_usd"] == pytest.approx(2 * hours)


def test_an_unknown_accelerator_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match="valid: h800, h100"):
        plan(load_profile("tiny", 0), "abacus", compare=False)
