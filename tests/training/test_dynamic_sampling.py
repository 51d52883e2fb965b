"""Laws of dynamic sampling: flat groups are replaced, kept, paid for, and not trained on."""

import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import training_runs as runs

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Completion, Problem
from r1_pipeline.rewards.rubric import Log
from r1_pipeline.settings.launchers import Torchrun
from r1_pipeline.training.dynamic_sampling import is_flat, put_rows, require_whole_groups, weighted_means
from r1_pipeline.training.grpo import tokens_spent, train_grpo
from r1_pipeline.training.rollout_log import RolloutLog

NAN = math.nan


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Draft:
    """A run of 6 steps, 4 prompts and 16 completions a rollout, 2 steps a rollout; 2 of the 4 groups are flat."""
    draft = bare_draft(tmp_path_factory.mktemp("whole"))
    runs.run_grpo_resampled(tiny, draft)
    return draft


def test_flat_groups_are_replaced_by_the_prompts_of_their_places(whole: Draft) -> None:
    rows = runs.rollouts(whole)
    assert rows["step"].to_list() == [0] * 24 + [2] * 24 + [4] * 24
    places = {0: range(4), 2: range(4, 8), 4: range(8, 12)}
    for step, asked in places.items():
        ours = rows.filter(step=step)
        assert ours["prompt"].unique().to_list() == [*asked, *(place + 12 for place in asked if place % 2 == 0)]
        trained = ours.filter(pl.col("trained"))
        assert sorted(set(trained["prompt"])) == sorted(place + 12 if place % 2 == 0 else place for place in asked)
        assert not trained["flat"].any() and ours.filter(~pl.col("trained"))["flat"].all()


def test_what_was_replaced_is_paid_for_and_not_trained_on(whole: Draft) -> None:
    rows, log = runs.rollouts(whole), read_metrics(whole.metrics)
    sampled = [row for row in log if "sampled" in row]
    assert [(row["sampled"], row["replaced_groups"], row["flat_groups"]) for row in sampled] == [(24, 2, 0.0)] * 3
    spent = tokens_spent(log, runs.GRPO)
    tokens = rows.with_columns(tokens=pl.col("token_ids").list.len())
    assert spent["generated"] == tokens["tokens"].sum()
    assert spent["trained"] == log[-2]["tokens"] > tokens.filter(pl.col("trained"))["tokens"].sum()


def test_it_trains_like_a_run_that_asked_the_final_prompts_at_once(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed(monkeypatch)
    first, second = bare_draft(tmp_path / "first"), bare_draft(tmp_path / "second")
    runs.run_grpo_resampled(tiny, first)
    asked = [number + 12 if number % 2 == 0 else number for number in range(12)]
    every = runs.problems(24)
    train_grpo(
        tiny, [every[number] for number in asked], "chat", {"digits": runs.digits_unless_even}, {"digits": 1.0},
        runs.GRPO, runs.RUNTIME, second, rollouts=RolloutLog(second, "chat"),
    )  # fmt: skip
    ours, theirs = read_metrics(first.metrics), read_metrics(second.metrics)
    for name in ("tokens", "loss", "grad_norm", "kl"):
        one, other = ([row[name] for row in rows if name in row] for rows in (ours, theirs))
        assert one == pytest.approx(other, rel=1e-3, abs=1e-6) and len(one) >= 3
    trained = runs.rollouts(first).filter(pl.col("trained")).sort("step", "problem_id", "sample_index")
    directly = runs.rollouts(second).sort("step", "problem_id", "sample_index")
    for name in ("step", "problem_id", "token_ids", "reward"):
        assert trained[name].to_list() == directly[name].to_list()
    assert trained["advantage"].to_list() == pytest.approx(directly["advantage"].to_list())


def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets replies follow from the prompt and the number of the sample alone, so that order and count do not matter."""
    from trl import GRPOTrainer

    def replies(trainer: Any, prompts: list[list[int]], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        size = trainer.num_generations
        return [
            [5 + (sum(prompt) + 7 * index % size + place) % 20 for place in range(3 + index % size)]
            for index, prompt in enumerate(prompts)
        ], None

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", replies)


def test_a_group_that_stays_flat_is_trained_on_in_the_end(tiny: Path, tmp_path: Path) -> None:
    def alike(_: Any, completions: list[Completion], __: Log) -> list[float | None]:
        return [1.0 for _ in completions]

    draft = bare_draft(tmp_path)
    recipe = runs.again(runs.GRPO, steps=2, save_steps=2)
    train_grpo(
        tiny, runs.problems(12), "chat", {"alike": alike}, {"alike": 1.0}, recipe, runs.RUNTIME, draft,
        rollouts=RolloutLog(draft, "chat", replaces=True), resample=2,
    )  # fmt: skip
    rows = runs.rollouts(draft)
    assert rows.filter(pl.col("trained"))["prompt"].unique().to_list() == [8, 9, 10, 11]
    assert rows.height == 48 and rows["flat"].all()
    assert read_metrics(draft.metrics)[0]["flat_groups"] == 1.0


@pytest.mark.slow
def test_killed_after_every_step_every_rollout_is_kept_exactly_once(tiny: Path, whole: Draft, tmp_path: Path) -> None:
    script = Path(runs.__file__)
    for step in (1, 2, 3, 4, 5):
        command = [sys.executable, str(script), "grpo_resampled", str(tiny), str(tmp_path), str(step)]
        killed = subprocess.run(command, cwd=script.parents[2], capture_output=True, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    draft = bare_draft(tmp_path)
    runs.run_grpo_resampled(tiny, draft)
    assert runs.rollouts(draft).equals(runs.rollouts(whole))


def test_a_run_without_replacements_has_no_column_for_them(tiny: Path, tmp_path: Path) -> None:
    draft = bare_draft(tmp_path)
    runs.run_grpo(tiny, draft, runs.again(runs.GRPO, steps=2, save_steps=2))
    assert "trained" not in runs.rollouts(draft).columns
    assert not {"sampled", "replaced_groups"} & {name for row in read_metrics(draft.metrics) for name in row}


def test_groups_that_ranks_cannot_share_are_refused(tiny: Path, tmp_path: Path) -> None:
    require_whole_groups(rollout=16, group_size=4, ranks=2, times=1)
    require_whole_groups(rollout=16, group_size=4, ranks=3, times=0)
    with pytest.raises(RecipeError, match="3 ranks cannot share the 4 groups of a rollout equally"):
        require_whole_groups(rollout=16, group_size=4, ranks=3, times=1)
    with pytest.raises(RecipeError, match="8 ranks cannot share the 4 groups"):
        train_grpo(
            tiny, runs.problems(24), "chat", {"digits": runs.digits}, {"digits": 1.0}, runs.GRPO,
            Runtime(launcher=Torchrun(processes=8, sharding="ddp")), bare_draft(tmp_path), resample=1,
        )  # fmt: skip
    with pytest.raises(RecipeError, match="12 problems were given, 6 steps need 24"):
        train_grpo(
            tiny, runs.problems(12), "chat", {"digits": runs.digits}, {"digits": 1.0}, runs.GRPO, runs.RUNTIME,
            bare_draft(tmp_path), resample=1,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("rewards", "flat"),
    [([0.5, 0.5], True), ([0.5, 0.6], False), ([NAN, NAN], True), ([NAN, 1.0, 1.0], True), ([NAN, 1.0, 0.0], False)],
)
def test_a_group_is_flat_if_its_known_rewards_are_equal(rewards: list[float], flat: bool) -> None:
    assert is_flat(rewards) is flat


def test_metrics_of_several_calls_weigh_by_completions() -> None:
    calls = [(16, {"reward": [1.0], "kl": [NAN]}), (8, {"reward": [0.25], "kl": [2.0], "late": [3.0]})]
    assert weighted_means(calls) == {"reward": 0.75, "kl": 2.0, "late": 3.0}


def test_rows_are_put_in_place_and_padded_on_their_side() -> None:
    batch = {
        "prompt_ids": torch.tensor([[4], [5], [6]]),
        "completion_mask": torch.tensor([[1, 1], [1, 1], [1, 0]]),
        "advantages": torch.tensor([0.0, 0.0, 1.0]),
        "num_items_in_batch": torch.tensor(5),
    }
    other = {
        "prompt_ids": torch.tensor([[7, 8], [9, 9]]),
        "completion_mask": torch.tensor([[1], [1]]),
        "advantages": torch.tensor([3.0, 4.0]),
    }
    put_rows(batch, 1, other, start=0, count=1, pad=99)
    assert batch["prompt_ids"].tolist() == [[99, 4], [7, 8], [99, 6]]
    assert batch["completion_mask"].tolist() == [[1, 1], [1, 0], [1, 0]]
    assert batch["advantages"].tolist() == [0.0, 3.0, 1.0]
    assert batch["num_items_in_batch"].item() == 5


def test_problems_of_a_place_are_those_of_the_run(tiny: Path) -> None:
    every: list[Problem] = runs.problems(36)
    assert int(every[12].id, 16) == 12  # what `digits_unless_even` relies on
