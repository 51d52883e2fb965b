"""Laws of the definitions: the edges are the paper's, every asset has a description, and loading them is cheap."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from dagster_defs.asset_keys import asset_key, node_name
from dagster_defs.code_location import code_location
from dagster_defs.settings import Settings
from dagster_defs.staleness.execution_plan import dependencies, planned_runs, select_nodes
from r1_pipeline.errors import UnknownNameError
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import load_profile


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    home = tmp_path_factory.mktemp("home")
    return code_location(Settings(home=home, profile="smoke", seed=0, tracking_uri="unused"))


def parents(graph: dg.Definitions, name: str) -> set[str]:
    return {key.to_user_string() for key in graph.resolve_asset_graph().get(dg.AssetKey(name)).parent_keys}


def test_loading_imports_no_heavy_library() -> None:
    program = (
        "import sys, dagster_defs.definitions;"
        "print([m for m in ('torch', 'transformers', 'trl', 'mlflow', 'datasets', 'matplotlib') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_both_sft_stages_restart_from_the_base(graph: dg.Definitions) -> None:
    assert parents(graph, "dev1") == {"base", "cold_start_data"}
    assert parents(graph, "dev3") == {"base", "sft_corpus"}


def children(graph: dg.Definitions, name: str) -> set[str]:
    return {key.to_user_string() for key in graph.resolve_asset_graph().get(asset_key(name)).child_keys}


def test_r1_zero_feeds_only_the_cold_start_and_its_own_evaluation(graph: dg.Definitions) -> None:
    assert children(graph, "r1_zero") == {"cold_start_answers", "answers/r1_zero", "report"}
    assert children(graph, "cold_start_answers") == {"cold_start_data", "report"}


def test_dev2_hands_on_data_and_never_weights(graph: dg.Definitions) -> None:
    assert children(graph, "dev2") == {"reasoning_answers", "answers/dev2", "report"}
    assert children(graph, "reasoning_answers") == {"reasoning_traces", "report"}


def test_r1_gets_both_reward_models_and_general_prompts(graph: dg.Definitions) -> None:
    assert parents(graph, "r1") == {"dev3", "reasoning_problems", "general_prompts", "helpful_rm", "safety_rm"}


def test_students_learn_from_the_corpus_alone(graph: dg.Definitions) -> None:
    assert parents(graph, "distilled") == {"student_base", "sft_corpus"}


def test_no_training_asset_reads_held_out_problems(graph: dg.Definitions) -> None:
    readers = children(graph, "heldout_problems")
    assert {name for name in readers if not name.startswith(("answers/", "evaluation/"))} == {
        "sft_corpus",
        "preference_scores",
        "report",
    }
    for name in readers:
        if name.startswith("answers/"):
            model = name.removeprefix("answers/")
            assert children(graph, name) == {f"evaluation/{model}", "report"}


def test_every_asset_tells_what_it_is(graph: dg.Definitions) -> None:
    asset_graph = graph.resolve_asset_graph()
    for key in asset_graph.get_all_asset_keys():
        node = asset_graph.get(key)
        assert node.description, key
        assert node.group_name != "default", key
        assert node.owners == ["team:r1"], key
        assert node.kinds, key
        assert node.code_version or not node.is_materializable, key


def test_what_loads_a_model_is_in_the_pool_of_the_device_and_nothing_else(graph: dg.Definitions) -> None:
    asset_graph = graph.resolve_asset_graph()
    light = {"reasoning_problems", "heldout_problems", "general_prompts", "preference_pairs"}
    light |= {"cold_start_data", "reasoning_traces", "general_traces", "sft_corpus", "report"}
    for key in asset_graph.materializable_asset_keys:
        name = key.to_user_string()
        needs_none = name in light or name.startswith("evaluation/")
        assert asset_graph.get(key).pools == (set() if needs_none else {"device"}), key
    checks = graph.asset_checks or []
    assert {check.node_def.name for check in checks if check.node_def.pool == "device"} == {
        "r1_zero_beats_base", "r1_zero_format_rate", "dev2_language_consistency", "r1_language_consistency",
        "dev2_no_regression", "r1_no_regression", "distilled_no_regression", "student_rl_only_no_regression",
    }  # fmt: skip


def test_what_a_schedule_makes_anew_is_overdue_when_it_has_not_been(graph: dg.Definitions) -> None:
    asset_graph = graph.resolve_asset_graph()
    watched = {key for key in asset_graph.materializable_asset_keys if asset_graph.get(key).freshness_policy}
    made_anew = dg.AssetSelection.groups("evaluation", "problems").resolve(asset_graph)
    assert watched == made_anew


def test_code_versions_change_with_the_recipe_and_only_there(tmp_path: Path) -> None:
    def versions(seed: int) -> dict[str, str | None]:

        made = code_location(Settings(home=tmp_path, profile="smoke", seed=seed, tracking_uri="unused"))
        asset_graph = made.resolve_asset_graph()
        return {k.to_user_string(): asset_graph.get(k).code_version for k in asset_graph.materializable_asset_keys}

    zero, one = versions(0), versions(1)
    changed = {name for name in zero if zero[name] != one[name]}
    assert "r1_zero" in changed
    assert "reasoning_problems" not in changed
    assert zero == versions(0)


def test_waves_put_parents_first_and_cover_everything_once(graph: dg.Definitions) -> None:
    units = dependencies(load_profile("smoke", 0).bound, select_nodes(graph, None))
    order = list(planned_runs(units, units))
    done: set[AssetName] = set()
    for planned_run in order:
        bundle = {AssetName(node, planned_run.partition) for node in planned_run.nodes}
        for unit, parents in units.items():
            if unit in bundle:
                assert parents <= done | bundle
        assert not bundle & done
        done |= bundle
    assert done == set(units)
    nodes = {node_name(key) for key in graph.resolve_asset_graph().materializable_asset_keys}
    assert {unit.asset for unit in units} == nodes
    assert len(order) <= 14


def test_a_selection_takes_names_upstream_and_refuses_what_does_not_exist(graph: dg.Definitions) -> None:
    assert select_nodes(graph, "r1_zero,dev1") == {"r1_zero", "dev1"}
    assert select_nodes(graph, "+r1_zero") == {"base", "reasoning_problems", "r1_zero"}
    with pytest.raises(UnknownNameError, match=r"unknown asset 'r1zero'; did you mean r1_zero\? valid: .*r1_zero"):
        select_nodes(graph, "r1zero")


def test_unknown_profiles_are_refused_with_the_valid_ones(tmp_path: Path) -> None:

    with pytest.raises(UnknownNameError, match="unknown profile 'huge'; valid: smoke, tiny"):
        code_location(Settings(home=tmp_path, profile="huge", seed=0, tracking_uri="unused"))
