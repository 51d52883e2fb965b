"""The law of automation: after a change, exactly the assets whose inputs really changed are made again.

A home of the profile `smoke` is made once. Each case copies it, changes one thing, and lets automation request and this
process materialize until nothing more is requested. Each row of the table was worked out by hand from the graph.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from homes import Automation, changed, smoke_settings

from dagster_defs.cli.status import asset_states
from dagster_defs.staleness.resolver import StalenessResolver
from r1_pipeline import verbs
from r1_pipeline.generation.rejection import RejectionRecipe
from r1_pipeline.graph.bound import NodeRecipe
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import Profile, load_profile
from r1_pipeline.rewards import maths
from r1_pipeline.settings.reruns import ON_APPROVAL, Rerun

pytestmark = pytest.mark.slow


def with_recipe(name: str, change: Callable[[Any], NodeRecipe]) -> Callable[[Profile], Profile]:
    return lambda made: made.with_recipes({name: change(made.recipes[name])})


def test_without_a_change_nothing_is_requested(home: Path) -> None:
    assert Automation(home).settle() == []


BELOW_DEV3 = {
    "dev3", "helpful_rm", "safety_rm", "r1", "answers/dev3", "answers/r1", "evaluation/dev3", "evaluation/r1",
    "preference_scores", "report",
}  # fmt: skip
BELOW_CORPUS = BELOW_DEV3 | {
    "sft_corpus", "student_rl_only",  # which its budget does not bind here: trained again to the same bytes
    *(f"{kind}distilled/{student}" for kind in ("", "answers/", "evaluation/") for student in ("qwen", "llama")),
}  # fmt: skip


def learning_rate(name: str, rate: float) -> Callable[[Profile], Profile]:
    """Returns the profile with another learning rate for one stage."""
    return with_recipe(name, lambda recipe: recipe.model_copy(update={"learning_rate": rate}))


def test_a_recipe_number_reruns_its_stage_and_what_reads_it_once_each(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(monkeypatch, learning_rate("dev3", 1e-5))
    done = Automation(home).settle()
    assert set(done) == BELOW_DEV3
    assert len(done) == len(set(done))


def test_a_recipe_change_that_makes_the_same_bytes_stops_where_it_began(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def more(recipe: verbs.GeneralRecipe) -> verbs.GeneralRecipe:
        return recipe.model_copy(update={"rows": recipe.rows + 10**6})

    changed(monkeypatch, with_recipe("general_traces", more))
    assert Automation(home).settle() == ["general_traces"]


def test_a_stage_version_reruns_its_stage_and_nothing_where_the_bytes_stay(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(verbs.VERSIONS, "merge", verbs.VERSIONS["merge"] + 1)  # type: ignore[arg-type]
    assert Automation(home).settle() == ["sft_corpus"]


def test_a_verifier_version_reruns_what_judges_and_what_trains_on_rows_that_it_judged(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verdicts name the verifier, so training rows change with its version.

    Reinforcement from an unchanged policy ends in the same bytes, so nothing that reads those models is made again, and
    no unchanged model is sampled again.
    """
    monkeypatch.setattr(maths, "RULES", "another")
    done = set(Automation(home).settle())
    judged = {"reasoning_problems", "heldout_problems", "cold_start_data", "reasoning_traces/math"}
    reinforced = {"r1_zero", "dev2", "dev2_no_language_reward", "r1", "student_rl_only"}
    trained = {"dev1", *(name for name in BELOW_CORPUS if not name.startswith("evaluation/"))}
    assert {name for name in done if not name.startswith("evaluation/")} == judged | reinforced | trained
    assert {name for name in done if name.startswith("evaluation/")} == {
        f"evaluation/{model}"
        for model in (
            "base", "r1_zero", "dev1", "dev2", "dev2_no_language_reward", "dev3", "r1", "student_rl_only",
            "student_base/qwen", "student_base/llama", "distilled/qwen", "distilled/llama",
        )
    }  # fmt: skip


def test_a_domain_sampled_anew_leaves_the_other_domains(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_seed(traces: Mapping[str, RejectionRecipe]) -> Mapping[str, RejectionRecipe]:
        ask = traces["math"].ask
        return {
            **traces,
            "math": traces["math"].model_copy(update={"ask": ask.model_copy(update={"seed": ask.seed + 1})}),
        }

    changed(monkeypatch, with_recipe("reasoning_traces", other_seed))
    assert set(Automation(home).settle()) == BELOW_CORPUS | {"reasoning_answers/math", "reasoning_traces/math"}


def test_a_materialization_by_hand_of_what_is_fresh_requests_nothing(home: Path) -> None:
    automation = Automation(home)
    assert automation.tick() == set()
    automation.materialize({AssetName("dev1")})
    assert automation.settle() == []


def test_an_artifact_that_somebody_moved_away_is_missing_and_is_made_again_alone(home: Path) -> None:
    shutil.rmtree(home / "artifacts" / "checkpoint" / "dev1")
    before = {each.asset: each for each in asset_states(smoke_settings(home))}
    assert before["dev1"].state == "missing" and before["dev1"].why[0].endswith("is gone")
    assert before["dev2"].why == ("waits for dev1",)
    assert Automation(home).settle() == ["dev1"]
    assert {each.state for each in asset_states(smoke_settings(home))} == {"fresh"}


def test_nothing_follows_a_failed_gate_until_its_cause_is_mended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeless(made: Profile) -> Profile:
        return replace(made, gates=made.gates.model_copy(update={"preference_accuracy": 2.0}))

    automation = Automation(home)
    changed(monkeypatch, lambda made: hopeless(learning_rate("helpful_rm", 1e-5)(made)))
    assert automation.settle() == ["helpful_rm", "report"]  # which shows the new limit with the old model
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        drifts = StalenessResolver(home, load_profile("smoke", 0), instance)
        assert drifts.of(AssetName("helpful_rm")).state == "failed gate"
    changed(monkeypatch, learning_rate("helpful_rm", 2e-5))
    done = automation.settle()
    assert done[0] == "helpful_rm"
    assert {"r1", "preference_scores", "report"} <= set(done)
    assert "safety_rm" not in done and "dev3" not in done and len(done) == len(set(done))


def test_a_group_on_approval_waits_for_a_person_and_what_is_below_follows(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careful(made: Profile) -> Profile:
        reruns = made.reruns.model_copy(update={"groups": {"alignment": ON_APPROVAL}})
        return replace(learning_rate("dev3", 1e-5)(made), reruns=reruns)

    changed(monkeypatch, careful)
    automation = Automation(home)
    assert automation.settle() == []
    automation.materialize({AssetName("dev3")})
    assert automation.settle() == ["answers/dev3", "evaluation/dev3", "preference_scores", "report"]


@pytest.mark.parametrize(("cron", "requested"), [("* * * * *", {"dev3"}), ("0 0 29 2 *", set())])
def test_a_window_lets_through_only_inside(
    cron: str, requested: set[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_night(made: Profile) -> Profile:
        window = Rerun(when="in a window", cron=cron, hours=1.0)
        reruns = made.reruns.model_copy(update={"groups": {"alignment": window}})
        return replace(learning_rate("dev3", 1e-5)(made), reruns=reruns)

    changed(monkeypatch, at_night)
    assert set(map(str, Automation(home).tick())) == requested


def test_a_failed_attempt_is_not_repeated_until_something_changes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, learning_rate("dev3", 1e-5))
    automation = Automation(home)
    assert set(map(str, automation.tick())) == {"dev3"}
    assert automation.tick() == set()  # nobody made it
    changed(monkeypatch, learning_rate("dev3", 2e-5))
    assert set(map(str, automation.tick())) == {"dev3"}


ADD_A_STUDENT = """
import json, sys
from pathlib import Path
from r1_pipeline.profiles.toy_world import STUDENTS
STUDENTS["third"] = STUDENTS["qwen"]
sys.path.insert(0, sys.argv[2])
from homes import Automation
print(json.dumps(Automation(Path(sys.argv[1])).settle()))
"""


def test_a_new_student_is_made_and_the_others_stay(home: Path) -> None:
    """The test runs in a process of its own, because partitions are fixed when the code location is loaded."""
    command = [sys.executable, "-c", ADD_A_STUDENT, str(home), str(Path(__file__).parent)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert sorted(json.loads(ran.stdout.splitlines()[-1])) == [
        "answers/distilled/third", "answers/student_base/third", "distilled/third", "evaluation/distilled/third",
        "evaluation/student_base/third", "report", "student_base/third",
    ]  # fmt: skip
