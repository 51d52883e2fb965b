"""Laws of overrides: what `--set` names is what changes, nothing else, and what a recipe refuses is refused."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from r1_pipeline.errors import RecipeError, UnknownNameError
from r1_pipeline.graph.bound import changed
from r1_pipeline.graph.node import AssetName
from r1_pipeline.home import HomeSettings
from r1_pipeline.profiles import load_profile
from r1_pipeline.profiles.overrides import parsed, with_overrides
from r1_pipeline.recipe import fingerprint

SMOKE = load_profile("smoke", 0)


def fingerprints(profile: object) -> dict[str, str]:
    return {str(name): fingerprint(profile.bound.recipe(name)) for name in profile.bound.names.values()}  # type: ignore[attr-defined]


def test_a_field_is_set_as_an_edit_of_the_profile_would_set_it() -> None:
    """The text 5e-4 is the number 0.0005, and only R1-Zero's recipe has another fingerprint."""
    found = with_overrides(SMOKE, parsed(["r1_zero.grpo.learning_rate=5e-4"]))
    edited = changed(SMOKE.recipes["r1_zero"], "grpo.learning_rate", 0.0005)
    assert found.recipes["r1_zero"] == edited
    before, after = fingerprints(SMOKE), fingerprints(found)
    assert {name for name in before if before[name] != after[name]} == {"r1_zero"}
    assert [str(each) for each in found.overrides_of(AssetName("r1_zero"))] == [
        "r1_zero.grpo.learning_rate 0.0003 → 0.0005"
    ]
    assert not found.overrides_of(AssetName("dev2"))


def test_the_profiles_own_value_changes_nothing_however_it_is_spelled() -> None:
    steps = SMOKE.recipes["r1_zero"].grpo.steps  # type: ignore[union-attr]
    found = with_overrides(SMOKE, parsed([f"r1_zero.grpo.steps={steps}", "r1_zero.grpo.learning_rate=3e-4"]))
    assert fingerprints(found) == fingerprints(SMOKE)
    assert found.overrides == ()


def test_one_partition_or_all_of_them() -> None:
    one = with_overrides(SMOKE, {"distilled/qwen.epochs": 7})
    assert [one.bound.recipe(AssetName("distilled", part)).epochs for part in ("qwen", "llama")] == [7, 1]  # type: ignore[union-attr]
    both = with_overrides(SMOKE, {"distilled.epochs": 7})
    assert [both.bound.recipe(AssetName("distilled", part)).epochs for part in ("qwen", "llama")] == [7, 7]  # type: ignore[union-attr]
    assert [str(each) for each in one.overrides] == ["distilled/qwen.epochs 1 → 7"]
    assert not one.overrides_of(AssetName("distilled", "llama"))
    assert both.overrides_of(AssetName("distilled", "llama"))


def test_a_derived_node_follows_the_recipe_that_it_derives_from() -> None:
    found = with_overrides(SMOKE, {"dev2.grpo.learning_rate": 0.5})
    assert found.bound.recipe(AssetName("dev2_no_language_reward")).grpo.learning_rate == 0.5  # type: ignore[union-attr]
    assert found.overrides_of(AssetName("dev2_no_language_reward")) == list(found.overrides)


def test_fields_that_must_change_together_are_set_together() -> None:
    """One sample of a problem has no pass@2, so `samples` alone cannot be set."""
    found = with_overrides(SMOKE, {"evaluation.ask.samples": 1, "evaluation.grade.ks": [1]})
    assert found.recipes["evaluation"].grade.ks == (1,)  # type: ignore[union-attr]
    with pytest.raises(RecipeError, match="must be in 1"):
        with_overrides(SMOKE, {"evaluation.ask.samples": 1})


def test_of_two_overrides_of_a_field_the_later_counts_and_the_profiles_value_is_told() -> None:
    twice = with_overrides(with_overrides(SMOKE, {"r1_zero.grpo.steps": 5}), {"r1_zero.grpo.steps": 6})
    assert [str(each) for each in twice.overrides] == ["r1_zero.grpo.steps 2 → 6"]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("r1_zero.grpo.learning_rat=1", "did you mean learning_rate?"),
        ("r1_zero.grpo.steps=many", "steps cannot be 'many'"),
        ("r1_zero.grpo.steps=1.5", "steps cannot be 1.5"),
        ("r1_zero.grpo.learning_rate=nan", "only finite numbers"),
        ("r1_zero.grpo.steps.of=1", "it is no record"),
        ("evaluation.ask.problems.maths=1", "did you mean math?"),
        ("evaluation/r1.ask.samples=1", "set evaluation"),
        ("dev2_no_language_reward.grpo.steps=1", "set dev2"),
        ("preference_scores.x=1", "it takes none"),
        ("r1_zero=1", "r1_zero.FIELD=VALUE"),
        ("r1_zero.grpo.steps", "NODE.FIELD=VALUE"),
        ("=1", "NODE.FIELD=VALUE"),
        ("r1_zero.grpo.steps=", "NODE.FIELD=VALUE"),
    ],
)
def test_what_cannot_be_set_is_refused_in_words(assignment: str, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        with_overrides(SMOKE, parsed([assignment]))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_node_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean r1_zero\?"):
        with_overrides(SMOKE, {"r1-zero.grpo.steps": 1})


def test_processes_below_see_the_overrides(tmp_path: Path) -> None:
    """The code server and the ranks of a stage are processes that have the environment of this one."""
    settings = HomeSettings(tmp_path, "smoke", 0, overrides=("r1_zero.grpo.steps=3", "dev1.epochs=2"))
    program = "from r1_pipeline.home import HomeSettings; print(HomeSettings.from_environment().load().overrides)"
    before = dict(os.environ)
    try:
        settings.announce()
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert HomeSettings.from_environment() == settings
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert ended.stdout.strip() == str(settings.load().overrides)
    assert len(settings.load().overrides) == 2


def test_a_recipe_file_sets_fields_and_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from r1_pipeline.profiles.overrides import with_overrides\n"
        'extend = lambda profile: with_overrides(profile, {"r1_zero.grpo.steps": 9, "dev1.epochs": 4})\n',
        encoding="utf-8",
    )
    settings = HomeSettings(tmp_path, "smoke", 0, recipe=file)
    assert settings.load().recipes["r1_zero"].grpo.steps == 9  # type: ignore[union-attr]
    both = replace(settings, overrides=("r1_zero.grpo.steps=3",)).load()
    assert [str(each) for each in both.overrides] == ["r1_zero.grpo.steps 2 → 3", "dev1.epochs 1 → 4"]
