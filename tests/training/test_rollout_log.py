"""Laws of the rollout log: every rollout is kept once, with what it was rewarded for, also through kills."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import training_runs as runs

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.records import Outcome, Verdict
from r1_pipeline.rewards.rubric import Rubric, part_functions
from r1_pipeline.rewards.verifier import Grader
from r1_pipeline.training.rollout_log import RolloutLog, rollout_id, weighted_sum


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Draft:
    """A run that was not interrupted: 6 steps of 2 prompts and 4 samples, 2 steps a rollout."""
    draft = bare_draft(tmp_path_factory.mktemp("whole"))
    runs.run_grpo(tiny, draft)
    return draft


def test_every_rollout_is_kept_in_order_of_step_prompt_and_sample(whole: Draft) -> None:
    rows = runs.rollouts(whole)
    assert rows["step"].to_list() == [0] * 16 + [2] * 16 + [4] * 16
    assert rows["prompt"].to_list() == [prompt for prompt in range(12) for _ in range(4)]
    assert rows["sample_index"].to_list() == [0, 1, 2, 3] * 12
    assert rows["problem_id"].to_list() == [problem.id for problem in runs.problems(12) for _ in range(4)]
    assert rows["template"].unique().to_list() == ["chat"]


def test_rewards_follow_from_the_text_and_advantages_from_the_rewards(whole: Draft) -> None:
    rows = runs.rollouts(whole)
    digits = [sum(c.isdigit() for c in text) / max(len(text), 1) for text in rows["text"]]
    assert rows["reward"].to_list() == pytest.approx(digits)
    assert [parts[0] for parts in rows["parts"].to_list()] == [{"part": "digits", "score": share} for share in digits]
    groups = np.array(digits).reshape(12, 4)
    spread = groups.std(axis=1, ddof=1, keepdims=True)
    expected = (groups - groups.mean(axis=1, keepdims=True)) / (spread + 1e-4)
    assert rows["advantage"].to_list() == pytest.approx(expected.flatten().tolist(), abs=1e-4)
    assert rows["flat"].to_list() == np.repeat(spread == 0, 4).tolist()


def test_an_id_is_the_hash_of_its_row(whole: Draft) -> None:
    rows = runs.rollouts(whole).to_dicts()
    assert [rollout_id(row) for row in rows] == [row["rollout_id"] for row in rows]
    assert len({row["rollout_id"] for row in rows}) == 48
    assert rollout_id(rows[0] | {"advantage": 7.0}) != rows[0]["rollout_id"]


@pytest.mark.slow
def test_killed_five_times_every_rollout_is_kept_exactly_once(tiny: Path, whole: Draft, tmp_path: Path) -> None:
    script = Path(runs.__file__)
    for step in (1, 2, 3, 4, 5):
        command = [sys.executable, str(script), "grpo", str(tiny), str(tmp_path), str(step)]
        killed = subprocess.run(command, cwd=script.parents[2], capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    draft = bare_draft(tmp_path)
    runs.run_grpo(tiny, draft)
    assert runs.rollouts(draft).equals(runs.rollouts(whole))


def test_a_resumed_run_removes_what_it_samples_again(whole: Draft, tmp_path: Path) -> None:
    folder = tmp_path / "scratch" / "rollouts"
    folder.mkdir(parents=True)
    for name in ("00000000.00000.parquet", "00000002.00000.parquet", "00000004.00000.parquet.partial"):
        (folder / name).touch()
    (folder / "00000004.00001.parquet").touch()  # another rank removes its own
    RolloutLog(bare_draft(tmp_path), "chat").rewind(2)
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["00000000.00000.parquet", "00000004.00001.parquet"]


def test_a_share_keeps_whole_groups(tmp_path: Path) -> None:
    problems = [problem for problem in runs.problems(40) for _ in range(4)]
    log = RolloutLog(bare_draft(tmp_path), "chat", share=0.5)
    log.rewarded("digits", [i // 4 for i in range(160)], problems, runs.replies(problems), [1.0] * 160)
    log.keep(0, {"digits": 1.0}, [0.0] * 160, None)
    log.write()
    (tmp_path / "out").mkdir()
    kept = log.publish(tmp_path / "out")
    rows = pl.read_parquet(tmp_path / "out" / "rollouts-00000.parquet")
    assert kept == rows.height
    assert 10 < rows["prompt"].n_unique() < 30
    assert set(rows["prompt"].value_counts()["count"]) == {4}
    assert rows["flat"].all()


def test_a_reward_is_the_weighted_sum_over_the_parts_that_apply() -> None:
    assert (
        weighted_sum(
            {"accuracy": 1.0, "format": 0.5, "language": None}, {"accuracy": 1.0, "format": 0.1, "language": 1.0}
        )
        == 1.05
    )
    assert weighted_sum({"accuracy": None}, {"accuracy": 1.0}) is None


def test_verdicts_are_kept_next_to_the_rewards(tmp_path: Path) -> None:
    class Given(Grader):
        def grade_all(self, pairs, template):  # type: ignore[no-untyped-def]
            return [
                Verdict(outcome=Outcome.CORRECT, score=1.0, extracted="2", detail="2 = 2", verifier="maths@1")
                for _ in pairs
            ]

    problems = runs.problems(2)
    problems[1] = problems[1].model_copy(update={"domain": "general"})
    log = RolloutLog(bare_draft(tmp_path), "chat")
    rubric = Rubric(accuracy=1.0, format=0.0, language=0.0, preference=0.0)
    replies = runs.replies(problems)
    scores = part_functions(rubric, Given.__new__(Given), "chat", {}, log.judged)["accuracy"](
        problems, replies, lambda *_: None
    )
    log.rewarded("accuracy", [0, 1], problems, replies, scores)
    log.keep(3, {"accuracy": 1.0}, [0.5, 0.0], [0.25, 0.0])
    log.write()
    (tmp_path / "out").mkdir()
    log.publish(tmp_path / "out")
    rows = pl.read_parquet(tmp_path / "out" / "rollouts-00000.parquet")
    assert rows["outcome"].to_list() == ["correct", None]
    assert rows["detail"].to_list() == ["2 = 2", None]
    assert rows["reward"].to_list() == [1.0, None]
    assert rows["sampler_gap"].to_list() == [0.25, 0.0]
    assert rows["step"].to_list() == [3, 3]
