"""The law of approval: nothing expensive re-runs automatically, and its cost is shown before a user approves it."""

from pathlib import Path

import pytest

from dagster_defs.cli.status import AssetState, asset_states, summary
from dagster_defs.code_location import code_location
from dagster_defs.settings import Settings
from r1_pipeline.profiles import PROFILES, load_profile
from r1_pipeline.settings.reruns import Rerun, Reruns, When


def by_itself(tmp_path: Path, profile: str) -> set[str]:
    """Returns the assets that re-run without a user."""
    graph = code_location(Settings(tmp_path, profile, 0, tracking_uri="unused")).resolve_asset_graph()
    keys = graph.materializable_asset_keys
    return {key.to_user_string() for key in keys if graph.get(key).automation_condition is not None}


def test_a_group_that_is_named_goes_by_its_name_and_any_other_by_its_cost() -> None:
    reruns = Reruns(groups={"corpus": Rerun(when="in a window", cron="0 1 * * *", hours=5)}, approve_above=2.0)
    assert reruns.of("corpus", 100.0).when == "in a window"
    assert reruns.of("reasoning", 2.0).when == "at once"
    assert reruns.of("reasoning", 2.1).when == "on approval"


def test_the_toy_world_follows_at_once_and_no_training_of_the_paper_does(tmp_path: Path) -> None:
    assert {"base", "r1_zero", "report", "evaluation/r1"} <= by_itself(tmp_path, "tiny")
    followed = by_itself(tmp_path, "paper")
    assert {"reasoning_problems", "preference_pairs", "sft_corpus", "report"} <= followed
    trained = {"r1_zero", "dev1", "dev2", "dev3", "helpful_rm", "safety_rm", "r1", "distilled", "student_rl_only"}
    assert not followed & (trained | {"cold_start_answers", "reasoning_answers"})
    assert {"cold_start_data", "reasoning_traces"} <= followed  # what was sampled is judged again without a device


def test_status_says_what_an_asset_costs_and_what_its_approval_would_draw_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("R1_HOME", "R1_PROFILE", "R1_SEED", "R1_SOURCES", "DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")  # `asset_states` sets them
    states = {each.asset: each for each in asset_states(Settings(tmp_path, "node", 0, tracking_uri="unused"))}
    assert states["r1_zero"].state == "missing"
    assert states["r1_zero"].follows == "on approval"
    assert states["report"].hours == states["report"].hours_below == 0
    r1, answers = states["r1"], states["answers/r1"]
    assert r1.hours > 1
    assert answers.hours > states["evaluation/r1"].hours == 0
    assert r1.hours_below == pytest.approx(answers.hours + states["preference_scores"].hours)


def test_the_summary_names_the_price_and_the_command_that_approves() -> None:
    def state(asset: str, follows: When, hours: float) -> AssetState:
        return AssetState(
            asset=asset,
            select=asset,
            state="stale",
            digest=None,
            made=None,
            age=None,
            overrides=(),
            why=(),
            follows=follows,
            hours=hours,
            hours_below=0,
        )

    said = list(summary([state("r1_zero", "on approval", 9.5), state("report", "at once", 0.5)], PROFILES["node"](0)))
    assert load_profile("node", 0).machine.accelerator == "h100"  # at 2.50 USD an hour
    assert said == [
        "2 out of date, 10 device hours as planned on h100, 25.00 USD",
        "waits for approval: r1 run --select r1_zero, or Materialize in r1 ui",
    ]
