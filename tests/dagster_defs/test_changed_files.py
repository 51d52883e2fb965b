"""The law of automation for a user's own files: exactly the assets that depend on a change of files are made again.

A home of the profile `smoke` is made once, with files that replace the built-in sums and add to the built-in pairs.
Each row of the table was worked out by hand from the graph.
"""

import shutil
from pathlib import Path

import pytest
from homes import Automation, age, smoke_settings, write

from dagster_defs.cli.status import asset_states
from r1_pipeline.errors import SourceError
from r1_pipeline.graph.node import AssetName

pytestmark = pytest.mark.slow


def data_versions(home: Path) -> dict[str, str]:
    """Returns the data version of the newest version of every asset and partition."""
    return {state.asset: str(state.digest) for state in asset_states(smoke_settings(home))}


@pytest.fixture
def home(fed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    shutil.copytree(fed, home)
    monkeypatch.setenv("R1_SOURCES", "")
    for name in ("R1_HOME", "R1_PROFILE", "R1_SEED", "DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")  # `Automation` sets them; the test leaves them as they were
    return home


def test_a_file_rewritten_with_the_same_bytes_reruns_nothing(home: Path) -> None:
    file = home / "sums" / "one.jsonl"
    write(file, file.read_text(encoding="utf-8").splitlines())
    assert Automation(home).settle() == []


def test_duplicate_rows_alone_are_read_and_change_nothing_below(home: Path) -> None:
    file = home / "sums" / "one.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    write(file, [*lines, *lines[:3]])
    assert Automation(home).settle() == ["heldout_problems", "reasoning_problems"]


def test_a_new_file_reruns_whatever_asks_its_problems_and_no_score_of_what_stays(home: Path, sums: list[str]) -> None:
    """A training this short may give the same model byte for byte, which is then not sampled again."""
    before = data_versions(home)
    write(home / "sums" / "two.jsonl", sums[-3:])
    done = Automation(home).settle()
    models = ("r1_zero", "dev1", "dev2", "dev2_no_language_reward", "dev3", "r1", "student_rl_only")
    students = ("distilled/qwen", "distilled/llama")
    changed = {name for name, version in data_versions(home).items() if before[name] != version}
    assert {"reasoning_problems", "r1_zero", "r1"} <= changed
    assert set(done) == {
        "reasoning_problems", "heldout_problems", "cold_start_answers", "cold_start_data", "sft_corpus", "helpful_rm",
        "safety_rm", "preference_scores", "report",
        *(f"reasoning_{kind}/{of}" for kind in ("answers", "traces") for of in ("math", "code", "stem", "logic")),
        *models, *students,
        *(f"{kind}/{of}" for kind in ("answers", "evaluation") for of in (*models, *students) if of in changed),
    }  # fmt: skip
    assert len(done) == len(set(done))


def test_a_file_of_a_folder_deleted_takes_its_rows_along(home: Path) -> None:
    (home / "replies" / "two.jsonl").unlink()
    assert set(Automation(home).settle()) == {
        "preference_pairs", "helpful_rm", "safety_rm",  # the last to the same bytes: its pairs are of another kind
        "r1", "answers/r1", "evaluation/r1", "preference_scores", "report",
    }  # fmt: skip


def test_a_source_whose_file_is_gone_fails_the_tick_by_name_and_goes_on_when_it_is_back(home: Path) -> None:
    automation, exam = Automation(home), home / "exam.jsonl"
    exam.rename(home / "elsewhere")
    with pytest.raises(SourceError, match=r"source exam: .*exam\.jsonl does not exist"):
        automation.tick()
    (home / "elsewhere").rename(exam)
    assert automation.settle() == []


def test_another_licence_changes_the_rows_and_trains_nothing_below_the_reward_models(home: Path) -> None:
    """The licence is a column of the rows, so both reward models are trained again, to the same bytes."""
    file = home / "sources.toml"
    before, _, last = file.read_text(encoding="utf-8").rpartition('licence = "MIT"')
    file.write_text(f'{before}licence = "Apache-2.0"{last}', encoding="utf-8")
    assert set(Automation(home).settle()) == {"preference_pairs", "helpful_rm", "safety_rm", "report"}


def test_a_file_that_is_being_written_is_not_followed_yet(home: Path) -> None:
    file, automation = home / "sums" / "one.jsonl", Automation(home)
    lines = file.read_text(encoding="utf-8")
    file.write_text(lines + lines.splitlines()[0] + "\n", encoding="utf-8")
    assert automation.tick() == set()
    age(file)
    assert automation.tick() == {AssetName(f"{side}_problems") for side in ("reasoning", "heldout")}
