"""Laws of a graph with recipes: what does not fit is named before any work, and every artifact knows what it reads."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dagster_defs.code_location import code_location
from dagster_defs.settings import Settings
from r1_pipeline import profiles
from r1_pipeline.errors import GraphError, UnknownNameError
from r1_pipeline.graph.bound import bind, changed
from r1_pipeline.graph.node import AssetName, Graph, Node
from r1_pipeline.planning.plan import planned_hours
from r1_pipeline.planning.work import work_of
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.registry import Registry
from r1_pipeline.verbs import curate

SMOKE = load_profile("smoke", 0)
GRAPH, RECIPES = SMOKE.graph, SMOKE.recipes


def without(name: str) -> Mapping[str, Any]:
    return {each: recipe for each, recipe in RECIPES.items() if each != name}


def refused(match: str, recipes: Mapping[str, Any], graph: Graph = GRAPH) -> None:
    with pytest.raises(GraphError, match=match):
        bind(graph, recipes)


def test_a_missing_recipe_is_named() -> None:
    refused(r"^the profile has no recipe for dev1, r1; add one to its recipes$", {
        name: recipe for name, recipe in RECIPES.items() if name not in ("dev1", "r1")
    })  # fmt: skip


def test_a_recipe_that_no_node_takes_is_named_with_those_there_are() -> None:
    refused(r"^the profile has a recipe for dev9, and no node takes it; there are base, .*student_rl_only", {
        **RECIPES, "dev9": RECIPES["dev1"],
    })  # fmt: skip


def test_a_derived_node_takes_no_recipe_of_its_own() -> None:
    refused("has a recipe for dev2_no_language_reward, and no node takes it", {
        **RECIPES, "dev2_no_language_reward": RECIPES["dev2"],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("name", "other", "said"),
    [
        (
            "dev1",
            "r1",
            r"^dev1 has a recipe of type ReinforceRecipe, and finetune takes SftRecipe; correct the profile$",
        ),
        ("r1", "dev1", r"^r1 has a recipe of type SftRecipe, and reinforce takes ReinforceRecipe; correct"),
        ("report", "dev1", r"^report has a recipe of type SftRecipe.* takes ReportRecipe; correct"),
        # Its answers come first, and take a part of it.
        (
            "cold_start_data",
            "dev1",
            r"^cold_start_answers: its recipe is cold_start_data\.ask .* has SftRecipe there; c",
        ),
        ("dev1", "distilled", r"^dev1: its recipe is dev1 of the profile, which has several, by key there; correct"),
    ],
)
def test_a_recipe_of_another_type_is_named_with_the_node_and_the_type_that_its_verb_takes(
    name: str, other: str, said: str
) -> None:
    refused(said, {**RECIPES, name: RECIPES[other]})


def test_one_partition_of_another_type_is_named() -> None:
    students = RECIPES["distilled"]
    assert isinstance(students, Mapping)
    refused(r"^distilled/llama has a recipe of type PretrainRecipe, and distill takes SftRecipe", {
        **RECIPES, "distilled": {**students, "llama": RECIPES["base"]},
    })  # fmt: skip


def test_a_changed_field_that_does_not_exist_is_named_with_the_derived_node_and_the_fields_there_are() -> None:
    def ablated(change: Mapping[str, Any]) -> Graph:
        return GRAPH.deriving("dev2_other", "dev2", change, "Another Dev2.")

    refused(
        r"^dev2_other: Rubric has no field 'languages'; did you mean language\? it has .*language",
        RECIPES,
        ablated({"rubric.languages": 0}),
    )
    refused(
        r"^dev2_other: ReinforceRecipe has no field 'rubrik'; did you mean rubric\? it has template",
        RECIPES,
        ablated({"rubrik": 0}),
    )
    refused(r"^dev2_other: float has no field 'of'; it is no record", RECIPES, ablated({"rubric.language.of": 1}))
    refused(r"^dev2_other: GrpoRecipe\.steps cannot be 'many': ", RECIPES, ablated({"grpo.steps": "many"}))


def test_a_derived_recipe_is_the_other_with_that_field_changed_and_the_other_stays() -> None:
    ablation, dev2 = (SMOKE.bound.recipe(AssetName(name)) for name in ("dev2_no_language_reward", "dev2"))
    assert dev2 == RECIPES["dev2"]
    assert ablation != dev2
    assert changed(ablation, "rubric.language", dev2.rubric.language) == dev2  # type: ignore[union-attr]
    assert ablation.rubric.language == 0.0  # type: ignore[union-attr]


def test_partitions_that_differ_between_nodes_are_refused() -> None:
    bases = RECIPES["student_base"]
    assert isinstance(bases, Mapping)
    alone = {"llama": bases["llama"]}
    said = r"^distilled has recipes for qwen, llama, other nodes of students for llama; give each of them the same"
    refused(said, {**RECIPES, "student_base": alone})
    refused(
        r"give each of them the same keys, in the same order",
        {**RECIPES, "student_base": dict(reversed(bases.items()))},
    )


def test_a_node_that_is_cut_into_what_nobody_names_is_refused() -> None:
    cut = replace(GRAPH.node("dev1"), each="halves")
    refused(
        r"^dev1 has partitions halves, and the profile names none; give recipes by key$", RECIPES, GRAPH.replacing(cut)
    )


def test_a_hundred_partitions_are_too_many() -> None:
    traces = RECIPES["reasoning_traces"]
    assert isinstance(traces, Mapping)
    many = {**RECIPES, "reasoning_traces": {f"math.{index}": traces["math"] for index in range(100)}}
    refused(r"^reasoning_answers has 100 partitions or more; cut it into fewer$", many)


def test_inputs_are_the_same_partition_the_first_or_all_of_them() -> None:
    bound = SMOKE.bound
    qwen, llama = (AssetName("student_base", part) for part in ("qwen", "llama"))
    assert bound.inputs(AssetName("distilled", "llama")) == {"base": llama, "corpus": AssetName("sft_corpus")}
    assert bound.inputs(AssetName("student_rl_only"))["policy"] == qwen
    assert bound.inputs(AssetName("student_rl_only"))["budget"] == AssetName("distilled", "qwen")
    assert bound.inputs(AssetName("sft_corpus"))["parts"] == {
        **{part: AssetName("reasoning_traces", part) for part in ("math", "code", "stem", "logic")},
        "general": AssetName("general_traces"),
    }
    assert bound.reads(AssetName("evaluation/distilled", "qwen")) == [
        AssetName("answers/distilled", "qwen"), AssetName("heldout_problems"),
    ]  # fmt: skip


def test_names_are_spelled_with_the_partition_and_others_are_refused() -> None:
    assert SMOKE.bound.name("evaluation/distilled/qwen") == AssetName("evaluation/distilled", "qwen")
    for wrong in ("distilled", "distilled/third", "r1/qwen"):
        with pytest.raises(UnknownNameError, match=rf"unknown asset '{wrong}'; .*valid: .*distilled/qwen"):
            SMOKE.bound.name(wrong)


def test_every_artifact_is_named_after_all_that_it_reads() -> None:
    seen: set[AssetName] = set()
    for name in SMOKE.bound.names.values():
        assert set(SMOKE.bound.reads(name)) <= seen, name
        seen.add(name)


@pytest.fixture
def examined() -> Profile:
    """`smoke` with one more benchmark, on problems of its own."""
    problems = Node("exam_problems", curate, {}, "problems", "An exam.", "exam_problems")
    recipes = {"exam_problems": RECIPES["heldout_problems"], "exam": RECIPES["evaluation"]}
    return replace(SMOKE, graph=GRAPH.with_benchmark("exam", problems)).with_recipes(recipes)


def test_a_benchmark_reaches_the_corpus_and_the_plan(examined: Profile) -> None:
    exam = AssetName("exam_problems")
    assert examined.bound.inputs(AssetName("sft_corpus"))["benchmarks"] == {"exam": exam}
    models = examined.bound.checkpoints
    assert len(models) == 12
    asked = {AssetName(f"exam_answers/{model.asset}", model.partition): model for model in models}
    work = work_of(examined)
    for name, model in asked.items():
        assert work[name] == work[AssetName(f"answers/{model.asset}", model.partition)]  # as many, of the same model
    assert set(work) - set(work_of(SMOKE)) == set(asked)
    assert planned_hours(examined)["exam_answers/r1"] == planned_hours(examined)["answers/r1"] > 0


def test_a_benchmark_reaches_dagster(examined: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Registry("profile", {**profiles.PROFILES, "examined": lambda _: examined})
    monkeypatch.setattr(profiles, "PROFILES", there)
    graph = code_location(Settings(tmp_path, "examined", 0, tracking_uri="unused")).resolve_asset_graph()
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert parents["exam_answers/r1"] == {"r1", "exam_problems"}
    assert parents["exam/r1"] == {"exam_answers/r1", "exam_problems"}
    assert "exam_problems" in parents["sft_corpus"]
    assert {f"{kind}/{model}" for kind in ("exam", "exam_answers") for model in GRAPH.checkpoints} <= parents["report"]


def test_a_benchmark_changes_no_fingerprint_but_those_of_training_sets_and_below(examined: Profile) -> None:
    """Stated without anything that was made: verb, version, recipe and the names of inputs."""

    def stated(profile: Profile) -> dict[str, object]:
        bound = profile.bound
        return {str(name): (bound.recipe(name), bound.inputs(name)) for name in bound.names.values()}

    before, after = stated(SMOKE), stated(examined)
    screened = {"reasoning_problems", "general_prompts", "preference_pairs", "sft_corpus"}
    assert {name for name in before if before[name] != after[name]} == {*screened, "report"}
