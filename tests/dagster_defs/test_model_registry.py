"""Laws of promotion and retention.

A champion passed its gates and has the best score, or is a recorded choice of a user. No ancestor of a kept artifact is
ever pruned.
"""

from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from homes import changed, smoke_settings

from dagster_defs.admin import retention
from dagster_defs.runner.run import run
from dagster_defs.tracking.model_registry import AUTOMATIC, PromotionError, journal, promote, rollback
from r1_pipeline.artifacts.kinds import peek_artifact
from r1_pipeline.artifacts.store import open_input
from r1_pipeline.graph import bound
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import Profile, load_profile

pytestmark = pytest.mark.slow
EVALUATED = 12
"""Number of checkpoints with an evaluation: eight models, and two students with two models each."""
DEV3 = "dev3,answers/dev3,evaluation/dev3"


def another_dev3(monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    def slower(made: Profile) -> Profile:
        return made.with_recipes({"dev3": bound.changed(made.recipes["dev3"], "learning_rate", rate)})

    changed(monkeypatch, slower)


def champion(home: Path, model: str) -> str:
    uri = f"sqlite:///{home / 'mlflow.db'}"
    return str(mlflow.MlflowClient(uri, uri).get_model_version_by_alias(model, "champion").version)


def test_the_first_version_that_is_evaluated_becomes_the_champion_by_itself(home: Path) -> None:
    moves = journal(smoke_settings(home))
    assert len(moves) == EVALUATED
    assert {(promotion.who, promotion.before, promotion.version) for promotion in moves} == {(AUTOMATIC, None, "1")}
    assert {promotion.why for promotion in moves} == {"the first version that passed its gates"}  # it beat nobody
    assert champion(home, "r1") == champion(home, "distilled-qwen") == "1"


def test_a_version_that_is_no_better_stays_candidate_until_a_person_insists_and_can_be_taken_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, graph = smoke_settings(home), load_profile("smoke", 0).bound
    another_dev3(monkeypatch, 0.1)  # wrecked: no better
    assert run(settings, "dev3", []) is None
    with pytest.raises(PromotionError, match="not been evaluated; run: r1 run --select answers/dev3,evaluation/dev3"):
        promote(settings, graph, AssetName("dev3"), "unseen", who="ann", even_if_worse=True)
    assert run(settings, "answers/dev3,evaluation/dev3", []) is None
    assert champion(home, "dev3") == "1"
    with pytest.raises(PromotionError, match=r"version 2 has pass@1 0\.\d+, the champion \(version 1\) 0\.\d+"):
        promote(settings, graph, AssetName("dev3"), "because", who="ann", even_if_worse=False)
    promotion = promote(settings, graph, AssetName("dev3"), "shorter", who="ann", even_if_worse=True)
    assert (promotion.version, promotion.before, promotion.who, promotion.why) == ("2", "1", "ann", "shorter")
    assert champion(home, "dev3") == "2"
    back = rollback(settings, "dev3", "too short")
    assert (back.version, back.before, back.why) == ("1", "2", "too short")
    assert champion(home, "dev3") == "1"
    assert [m.version for m in journal(settings) if m.model == "dev3"] == ["1", "2", "1"]


def test_gates_hold_for_persons_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeless(made: Profile) -> Profile:
        slower = bound.changed(made.recipes["r1_zero"], "grpo.learning_rate", 1e-9)
        gates = made.gates.model_copy(update={"format_rate": 2.0})
        return replace(made.with_recipes({"r1_zero": slower}), gates=gates)

    changed(monkeypatch, hopeless)
    settings, graph = smoke_settings(home), load_profile("smoke", 0).bound
    failure = run(settings, "r1_zero", [])
    assert failure is not None and "format_rate" in failure.reason
    with pytest.raises(PromotionError, match="version 1 is already the champion"):
        promote(settings, graph, AssetName("r1_zero"), "please", who="ann", even_if_worse=False)


def test_nothing_is_pruned_that_something_living_descends_from(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = smoke_settings(home)
    assert retention.prune_candidates(settings, 0.0) == []
    another_dev3(monkeypatch, 0.1)
    assert run(settings, DEV3, []) is None
    assert retention.prune_candidates(settings, 0.0) == []  # version 1 is the champion
    another_dev3(monkeypatch, 0.2)
    assert run(settings, DEV3, []) is None
    loose = retention.prune_candidates(settings, 0.0)
    assert sorted(entry.name for entry in loose) == ["answers/dev3", "dev3", "evaluation/dev3"]
    assert retention.prune_candidates(settings, 1.0) == []
    assert retention.prune(settings, loose) == sum(entry.bytes for entry in loose)
    left = [peek_artifact(path.parent) for path in (home / "artifacts").glob("*/**/manifest.json")]
    for artifact in left:
        for edge in artifact.manifest.inputs.values():
            open_input(home, edge)
    assert run(settings, None, []) is None


def test_what_another_seed_has_made_is_not_pruned_when_this_one_runs(home: Path) -> None:
    settings = smoke_settings(home)
    assert run(replace(settings, seed=1), "answers/base,evaluation/base", []) is None
    assert retention.prune_candidates(settings, 0.0) == []
