"""The whole graph of the profile `laptop` runs, here with the models and mathematics of `smoke`, which take seconds.

Forms, stop strings, adapters in every stage and their merging, and both students are the profile's own.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from r1_pipeline.artifacts.kinds import Artifact, Checkpoint, Corpus, RewardModel
from r1_pipeline.data.curation import CurateRecipe
from r1_pipeline.graph.bound import changed
from r1_pipeline.graph.local import run_graph
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.extended import with_prompt_forms
from r1_pipeline.recipe import Recipe
from r1_pipeline.training.import_pretrained import ImportRecipe, LocalModel, digest_of
from r1_pipeline.training.model_shape import shape_in

pytestmark = pytest.mark.slow
pytest.importorskip("peft", reason="peft is not installed")
STEPS = {"r1_zero": 2, "dev2": 2, "r1": 4, "student_rl_only": 2}


def imported(recipe: Recipe, model: Artifact) -> Recipe:
    """Returns the recipe with another model, which the runtime is to know by its digest."""
    assert isinstance(recipe, ImportRecipe)
    known = json.loads((model.path / "config.json").read_text(encoding="utf-8"))
    source = LocalModel(digest=digest_of(model.path))
    new = {"source": source, "shape": shape_in(model.path), "architecture": known["model_type"], "dtype": "float32"}
    return recipe.model_copy(update=new)


def small_laptop(made: dict[str, Artifact]) -> Profile:
    """Returns the profile with the bases in `made`, the problems of `smoke` and few steps."""
    laptop, smoke = load_profile("laptop", 0), load_profile("smoke", 0)
    recipes = dict(laptop.recipes)
    recipes["base"] = imported(laptop.recipes["base"], made["base"])  # type: ignore[arg-type]
    students = dict(laptop.recipes["student_base"])
    recipes["student_base"] = {name: imported(own, made[f"student_base/{name}"]) for name, own in students.items()}
    curated = smoke.recipes["reasoning_problems"]
    assert isinstance(curated, CurateRecipe)
    for name in ("reasoning_problems", "heldout_problems", "general_prompts"):
        recipes[name] = changed(laptop.recipes[name], "problems", curated.problems)
    recipes["preference_pairs"] = changed(laptop.recipes["preference_pairs"], "most", 12)
    for name, steps in STEPS.items():
        few = changed(laptop.recipes[name], "grpo.steps", steps)
        recipes[name] = changed(few, "grpo.max_completion_tokens", 48)
    recipes["r1"] = changed(recipes["r1"], "schedule.general_steps", 2)
    folders = {digest_of(model.path): str(model.path) for model in made.values()}
    runtime = laptop.runtime.model_copy(update={"models": folders, "threads": 1})
    profile = replace(laptop, recipes=recipes, runtime=runtime, gates=smoke.gates)
    return with_prompt_forms(profile, zero="zero", chat="chat", stop="form")  # what the models of smoke have read


def test_every_artifact_is_made_with_adapters_and_both_students(tmp_path: Path) -> None:
    smoke = load_profile("smoke", 0)
    bases = run_graph(smoke.graph, smoke, tmp_path / "smoke", ["base", "student_base"])
    models = {name: each for name, each in bases.items() if isinstance(each, Checkpoint)}
    profile = small_laptop(dict(models))
    made = run_graph(profile.graph, profile, tmp_path / "laptop")
    adapted = {name for name, each in made.items() if "lora" in each.statistics}
    assert adapted >= {"r1_zero", "dev1", "dev2", "dev3", "helpful_rm", "safety_rm", "r1", "distilled/qwen"}
    assert "distilled/llama" not in adapted
    for name in ("distilled/llama", "distilled/qwen", "dev2_no_language_reward", "student_rl_only"):
        assert isinstance(made[name], Checkpoint)
        assert made[f"evaluation/{name}"].statistics
    assert isinstance(made["safety_rm"], RewardModel)
    corpus = made["sft_corpus"]
    assert isinstance(corpus, Corpus)
    assert set(corpus.statistics["by_domain"]) == {"math", "general"}
    report = json.loads((tmp_path / "laptop" / "report" / "report.json").read_text(encoding="utf-8"))
    assert set(report["left_out"]) == {"code", "stem", "logic"}
