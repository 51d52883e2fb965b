"""Laws of profiles that choose prompts by difficulty: the nodes, their edges, their identity, and the plan's words."""

from dataclasses import replace

import pytest

from r1_pipeline.data.difficulty import ByDifficulty
from r1_pipeline.errors import GraphError, RecipeError
from r1_pipeline.graph.bound import changed
from r1_pipeline.graph.node import AssetName
from r1_pipeline.planning.plan import plan
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.profiles.difficulty import with_difficulty, with_rollout_difficulty
from r1_pipeline.recipe import canonical_value
from r1_pipeline.training.objectives import OBJECTIVES

MIDDLE = ByDifficulty(lowest=0.1, highest=0.9)


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_profile("smoke", 0)


def test_the_policy_is_measured_before_it_is_reinforced(profile: Profile) -> None:
    bound = with_difficulty(profile, "dev2", MIDDLE, {"math": 8}, samples=4).bound
    assert bound.inputs(AssetName("dev2_difficulty_answers")) == {
        "model": AssetName("dev1"),
        "problems": AssetName("reasoning_problems"),
    }
    assert bound.inputs(AssetName("dev2"))["difficulty"] == AssetName("dev2_difficulty")
    asked = bound.recipe(AssetName("dev2_difficulty_answers"))
    grpo = profile.recipes["dev2"].grpo
    assert (asked.samples, asked.problems, asked.sampling.temperature) == (4, {"math": 8}, grpo.temperature)
    assert bound.graph.node("dev2").role("difficulty") == "selects"
    assert bound.graph.node("dev2_difficulty").role("answers") == "measures"


def test_nodes_with_the_same_recipe_read_the_difficulty_too(profile: Profile) -> None:
    bound = with_difficulty(profile, "dev2", MIDDLE, {"math": 8}, samples=4).bound
    assert bound.inputs(AssetName("dev2_no_language_reward"))["difficulty"] == AssetName("dev2_difficulty")


def test_an_ablation_alone_may_choose(profile: Profile) -> None:
    graph = profile.graph.deriving("r1_zero_chosen", "r1_zero", {}, "R1-Zero, chosen.")
    bound = with_difficulty(replace(profile, graph=graph), "r1_zero_chosen", MIDDLE, {"math": 8}, samples=4).bound
    assert bound.recipe(AssetName("r1_zero_chosen")).schedule.difficulty == MIDDLE
    assert bound.recipe(AssetName("r1_zero")) == profile.recipes["r1_zero"]
    assert "difficulty" not in bound.inputs(AssetName("r1_zero"))


def test_rollouts_of_an_earlier_model_measure_without_sampling(profile: Profile) -> None:
    bound = with_rollout_difficulty(profile, "dev2", MIDDLE, of="r1_zero", from_step=1).bound
    assert bound.inputs(AssetName("dev2_difficulty"))["rollouts"] == AssetName("r1_zero")
    with pytest.raises(GraphError, match="cycle"):
        with_rollout_difficulty(profile, "r1_zero", MIDDLE, of="dev2", from_step=1)


def test_what_cannot_be_is_refused_in_one_line(profile: Profile) -> None:
    with pytest.raises(RecipeError, match="dev1 is not reinforced"):
        with_difficulty(profile, "dev1", MIDDLE, {"math": 8}, samples=4)
    once = with_difficulty(profile, "r1_zero", MIDDLE, {"math": 8}, samples=4)
    with pytest.raises(RecipeError, match="r1_zero has a difficulty already"):
        with_difficulty(once, "r1_zero", MIDDLE, {"math": 8}, samples=4)
    without = changed(profile.recipes["r1_zero"], "schedule.difficulty", MIDDLE)
    with pytest.raises(GraphError, match="r1_zero is given none of the inputs difficulty, and its recipe takes dif"):
        assert profile.with_recipes({"r1_zero": without}).bound
    graph = once.graph
    with pytest.raises(GraphError, match="r1_zero is given difficulty of the inputs difficulty, and its recipe takes"):
        assert replace(profile, graph=graph).with_recipes({**once.recipes, "r1_zero": profile.recipes["r1_zero"]}).bound


@pytest.mark.parametrize("name", ["reinforce_pp", "reinforce_pp_baseline", "gdpo"])
def test_advantages_of_a_whole_rollout_and_replaced_groups_do_not_go_together(profile: Profile, name: str) -> None:
    whole = changed(profile.recipes["r1_zero"], "grpo.objective", OBJECTIVES[name])
    with pytest.raises(GraphError, match="the advantages of this objective depend on the whole rollout"):
        changed(whole, "schedule.resample", 1)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo", "gspo", "rloo", "maxrl"])
def test_objectives_of_single_groups_may_replace_some(profile: Profile, name: str) -> None:
    single = changed(profile.recipes["r1_zero"], "grpo.objective", OBJECTIVES[name])
    assert changed(single, "schedule.resample", 1).schedule.resample == 1


def test_the_settings_enter_the_identity_and_their_absence_does_not(profile: Profile) -> None:
    zero = profile.recipes["r1_zero"]
    assert canonical_value(zero)["schedule"].keys() == {"shares", "general_steps", "general_share", "seed"}
    chosen = changed(changed(zero, "schedule.difficulty", MIDDLE), "schedule.resample", 2)
    schedule = canonical_value(chosen)["schedule"]
    assert schedule["difficulty"]["lowest"] == 0.1 and schedule["resample"] == 2


def test_the_plan_says_what_is_chosen_and_what_it_can_cost_at_most(profile: Profile) -> None:
    plain = plan(profile, None, compare=False)
    chosen = with_difficulty(profile, "r1_zero", MIDDLE, {"math": 8, "stem": 4}, samples=4)
    recipe = changed(chosen.recipes["r1_zero"], "schedule.resample", 2)
    told = plan(chosen.with_recipes({"r1_zero": recipe}), None, compare=False)
    assert plain.choices == ()
    assert told.choices == (
        (
            "r1_zero asks problems with pass rates of 0.1 to 0.9, which r1_zero_difficulty measures on 4 answers of "
            "base to each of at most 8 math, 4 stem problems"
        ),
        "r1_zero replaces a flat group up to 2 times: its samples, tokens and hours here are the most that it can take",
    )
    assert told.stages["r1_zero_difficulty_answers"].samples == 48
    assert told.stages["r1_zero"].samples == 3 * plain.stages["r1_zero"].samples
