"""LoRA trains what it says, nothing else, and publishes the sum; what cannot be is refused before training."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch
import training_runs as runs
from safetensors.torch import load_file

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.errors import RecipeError, RequirementError
from r1_pipeline.recipe import canonical_json
from r1_pipeline.settings.launchers import Torchrun
from r1_pipeline.training.lora import Lora, adapter_arguments, layers_in, lora_statistics, merged_weights
from r1_pipeline.training.model_shape import shape_in

PEFT = runs.needs_peft
ATTENTION = ("kv_a_proj_with_mqa", "kv_b_proj", "o_proj", "q_proj")
TRAINABLE = 4 * 2 * ((32 + 32) + (32 + 24) + (16 + 48) + (32 + 32))
"""Adapters of rank 4 in 2 layers of the tiny model: queries, latent, keys and values, output."""
METHODS = ("sft_lora", "grpo_lora", "reward_model_lora")


@pytest.fixture(scope="module", params=METHODS)
def trained(request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Draft]:
    """The method and its finished run, last checkpoint included."""
    draft = bare_draft(tmp_path_factory.mktemp(request.param))
    runs.RUNS[request.param](tiny, draft)
    return request.param, draft


@PEFT
def test_the_published_weights_are_those_of_the_base_plus_the_scaled_product(
    trained: tuple[str, Draft], tiny: Path
) -> None:
    """W + alpha / rank * B A, with alpha 8 and rank 4; what has no adapter is as it was, bit by bit."""
    method, draft = trained
    before, after = load_file(tiny / "model.safetensors"), load_file(draft.path / "model.safetensors")
    adapters = load_file(draft.scratch / "checkpoint-6" / "adapter_model.safetensors")
    moved = {name for name in before if name in after and not after[name].equal(before[name])}
    assert {name.split(".")[-2] for name in moved} == set(ATTENTION)
    assert len(moved) == 2 * len(ATTENTION)
    for name in moved:
        a, b = (adapters[f"base_model.model.{name.removesuffix('weight')}lora_{side}.weight"] for side in "AB")
        assert (after[name] - (before[name] + 8 / 4 * b @ a)).abs().max() < 1e-6
    whole = {name.removeprefix("base_model.model.") for name in adapters if "lora" not in name}
    assert whole == ({"score.weight"} if method == "reward_model_lora" else set())


@PEFT
def test_the_manifest_says_what_was_trained(trained: tuple[str, Draft]) -> None:
    """The scalar head of a reward model, 32 wide, is trained whole."""
    method, draft = trained
    task = "SEQ_CLS" if method == "reward_model_lora" else "CAUSAL_LM"
    said = lora_statistics(runs.LORA, draft.path, task)["lora"]  # type: ignore[arg-type]
    adapters = load_file(draft.scratch / "checkpoint-6" / "adapter_model.safetensors")
    assert said["trainable_parameters"] == sum(tensor.numel() for tensor in adapters.values())
    assert said["trainable_parameters"] == TRAINABLE + (32 if task == "SEQ_CLS" else 0)
    assert said["modules"] == list(ATTENTION)
    assert (said["rank"], said["alpha"]) == (4, 8.0)


@PEFT
def test_the_reference_of_a_policy_is_the_model_without_its_adapters(trained: tuple[str, Draft]) -> None:
    """The adapters add nothing at first, so the policy is its reference; then it moves away."""
    method, draft = trained
    if method != "grpo_lora":
        pytest.skip("only reinforcement has a reference")
    first, *later = (row["kl"] for row in read_metrics(draft.metrics))
    assert first == 0
    assert all(kl > 0 for kl in later)


@PEFT
@pytest.mark.parametrize("method", ["sft", "grpo"])
def test_recomputed_activations_give_the_same_losses(method: str, tiny: Path, tmp_path: Path) -> None:
    recipe = {"sft": runs.SFT.model_copy(update={"lora": runs.LORA}), "grpo": runs.GRPO_LORA}[method]
    run: Callable[..., None] = {"sft": runs.run_sft, "grpo": runs.run_grpo}[method]
    losses = []
    for recompute in (False, True):
        draft = bare_draft(tmp_path / str(recompute))
        run(tiny, draft, recipe, runs.RUNTIME.model_copy(update={"recompute": recompute}))
        losses.append([row["loss"] for row in read_metrics(draft.metrics)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert len(set(losses[0])) > 1


def test_a_plan_counts_the_adapters_that_training_has(tiny: Path) -> None:
    assert runs.LORA.trainable(shape_in(tiny).linears) == TRAINABLE
    assert runs.LORA.trainable(layers_in(tiny)) == TRAINABLE
    named = runs.LORA.model_copy(update={"modules": ("q_proj", "o_proj")})
    assert named.trainable(shape_in(tiny).linears) == 4 * 2 * ((32 + 32) + (32 + 32))


def test_recipes_without_lora_keep_their_fingerprints() -> None:
    for recipe in (runs.SFT, runs.GRPO, runs.REWARD_MODEL):
        assert "lora" not in canonical_json(recipe)
        assert '"lora":{"alpha":8.0' in canonical_json(recipe.model_copy(update={"lora": runs.LORA}))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "rank 0": (lambda: Lora(rank=0, alpha=1.0), "rank must be at least 1"),
    "dropout 1": (lambda: Lora(rank=1, alpha=1.0, dropout=1.0), "dropout from 0 to below 1"),
    "no modules": (lambda: Lora(rank=1, alpha=1.0, modules=()), "no modules to adapt"),
    "FP8": (lambda: runs.again(runs.SFT, lora=runs.LORA, precision="float8"), "no FP8 products"),
    "moving biases": (lambda: runs.again(runs.SFT, lora=runs.LORA, expert_bias_rate=0.1), "freezes the routers"),
    "moving biases in RL": (
        lambda: runs.again(runs.GRPO_LORA, expert_bias_rate=0.1),
        "freezes the routers",
    ),
    "a refreshed reference": (lambda: runs.again(runs.GRPO, lora=runs.LORA), "set reference_sync_steps to None"),
    "a policy with dropout": (
        lambda: runs.again(runs.GRPO_LORA, lora=Lora(rank=1, alpha=1.0, dropout=0.1)),
        "set dropout of lora to 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_recipe_that_cannot_hold_is_refused_when_it_is_made(case: str) -> None:
    make, reason = REFUSED[case]
    with pytest.raises(ValueError, match=reason):  # pydantic's, around ours
        make()


@PEFT
def test_modules_that_the_model_lacks_are_refused_with_those_that_it_has(tiny: Path) -> None:
    """A mixture's experts are one fused tensor: they have no layers by the name that a dense model's have."""
    lora = runs.LORA.model_copy(update={"modules": ("q_proj", "down_proj")})
    with pytest.raises(RecipeError, match=f"adapt down_proj and the model has only {', '.join(ATTENTION)}; choose"):
        adapter_arguments(lora, tiny, "CAUSAL_LM", runs.RUNTIME)
    with pytest.raises(RecipeError, match="the model has none"):
        lora.trainable([])


def test_ranks_that_share_a_model_otherwise_are_refused(tiny: Path) -> None:
    runtime = runs.RUNTIME.model_copy(update={"launcher": Torchrun(processes=2, sharding="zero3")})
    with pytest.raises(RequirementError, match="not tried with zero3; set the launcher's sharding to ddp or fsdp2"):
        adapter_arguments(runs.LORA, tiny, "CAUSAL_LM", runtime)


def test_weights_gathered_from_ranks_are_merged_by_hand() -> None:
    """The sum of [[1, 0], [0, 1]] and 2 * [[1], [3]] [[5, 7]] is [[11, 14], [30, 43]]; the head is the trained one."""
    gathered = {
        "q_proj.base_layer.weight": torch.eye(2),
        "q_proj.base_layer.bias": torch.tensor([1.0, 2.0]),
        "q_proj.lora_A.default.weight": torch.tensor([[5.0, 7.0]]),
        "q_proj.lora_B.default.weight": torch.tensor([[1.0], [3.0]]),
        "norm.weight": torch.tensor([3.0]),
        "score.original_module.weight": torch.tensor([4.0]),
        "score.modules_to_save.default.weight": torch.tensor([5.0]),
    }
    merged = {name: tensor.tolist() for name, tensor in merged_weights(gathered, 2.0).items()}
    others = {"q_proj.bias": [1, 2], "norm.weight": [3], "score.weight": [5]}
    assert merged == {"q_proj.weight": [[11, 14], [30, 43]], **others}


def test_without_peft_lora_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("r1_pipeline.training.lora.metadata.version", absent)
    with pytest.raises(RequirementError, match="LoRA needs peft; install it"):
        adapter_arguments(runs.LORA, tiny, "CAUSAL_LM", runs.RUNTIME)
