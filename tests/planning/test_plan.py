"""Every profile can be planned, every stage that computes is in the plan, and that of the paper is near its bill."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from dagster_defs.cli import app
from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.graph.bound import changed
from r1_pipeline.graph.node import AssetName
from r1_pipeline.planning.plan import PUBLISHED, plan
from r1_pipeline.planning.work import work_of
from r1_pipeline.profiles import PROFILES, load_profile
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


@pytest.mark.parametrize("name", ["small", "node", "paper"])
def test_a_profile_fits_the_machine_that_it_is_made_for(name: str) -> None:
    planned = plan(load_profile(name, 0), None, compare=False)
    assert max(stage.memory_gib_per_device for stage in planned.stages.values()) <= planned.memory_gib


def test_a_stage_with_lora_is_planned_with_gradients_and_moments_of_its_adapters() -> None:
    """SmolLM2 in rank 8: 16 bytes for each of 8 * 30 * (2 * 1152 + 2 * 768 + 3 * 2112) numbers of the adapters."""
    small, adapters = load_profile("small", 0), 8 * 30 * (2 * 1152 + 2 * 768 + 3 * 2112)
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
