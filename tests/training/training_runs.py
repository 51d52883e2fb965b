"""Small training runs that the tests share; as a script (METHOD BASE DIRECTORY STEP), one that kills itself."""

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.manifest import list_files
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.tables import read_table
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.records import Completion, PreferencePair, Problem
from r1_pipeline.rewards.rubric import Log
from r1_pipeline.training.callbacks import Guards
from r1_pipeline.training.grpo import GrpoRecipe, train_grpo
from r1_pipeline.training.lora import Lora
from r1_pipeline.training.reward_model import RewardModelRecipe, train_reward_model
from r1_pipeline.training.rollout_log import RolloutLog
from r1_pipeline.training.sft import Row, SftRecipe, train_sft

RUNTIME = Runtime(threads=1)
ROWS = [Row(f"User: {i}+1=?\nAssistant:", f"<think>{i}</think>\\boxed{{{i + 1}}}", "test") for i in range(12)]
SFT = SftRecipe(
    epochs=2,
    batch=4,
    learning_rate=1e-2,
    final_learning_rate=1e-3,
    warmup_steps=0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    max_tokens=64,
    save_steps=2,
    seed=0,
)
GRPO = GrpoRecipe(
    steps=6,
    prompts_per_step=2,
    group_size=4,
    steps_per_generation=2,
    num_iterations=1,
    learning_rate=1e-2,
    schedule="constant_with_warmup",
    warmup_steps=0,
    epsilon=10.0,
    beta=0.1,
    reference_sync_steps=2,
    temperature=1.0,
    top_p=1.0,
    max_completion_tokens=12,
    max_grad_norm=1.0,
    weight_decay=0.0,
    save_steps=2,
    seed=0,
    guards=Guards(),
)
REWARD_MODEL = RewardModelRecipe(
    epochs=2, batch=4, learning_rate=1e-2, max_grad_norm=1.0, max_tokens=64, save_steps=2, seed=0
)
LORA = Lora(rank=4, alpha=8.0)
GRPO_LORA = GRPO.model_copy(update={"lora": LORA, "reference_sync_steps": None})


needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")


def again(recipe: Recipe, **changes: object) -> Recipe:
    """Returns a recipe with some fields changed, and checked."""
    return type(recipe)(**{**dict(recipe), **changes})


def problems(count: int) -> list[Problem]:
    return [
        Problem(
            id=f"{i:016x}",
            question=f"{i}+{i}=?",
            answer=str(2 * i),
            tests=(),
            domain="math",
            language="en",
            source="test",
            licence="CC0-1.0",
        )
        for i in range(count)
    ]


def pairs(count: int) -> list[PreferencePair]:
    """Replies that say yes are preferred to those that say no."""
    return [
        PreferencePair(
            id=f"{i:016x}",
            prompt=f"{i}?",
            chosen=f"yes{i}",
            rejected=f"no{i}",
            kind="helpful",
            language="en",
            source="test",
            licence="CC0-1.0",
        )
        for i in range(count)
    ]


def digits(_: Sequence[Problem], completions: Sequence[Completion], __: Log) -> list[float | None]:
    """A part: the share of characters that are digits."""
    return [sum(c.isdigit() for c in done.text) / max(len(done.text), 1) for done in completions]


def replies(asked: Sequence[Problem]) -> list[Completion]:
    """Returns one reply to each problem, four samples a problem."""
    return [
        Completion(
            problem_id=problem.id,
            sample_index=index % 4,
            seed=0,
            text=f"<think>{index}</think>",
            token_ids=(5, 6, 2),
            finish_reason="stop",
            engine="trl",
        )
        for index, problem in enumerate(asked)
    ]


def run_sft(base: Path, draft: Draft, recipe: SftRecipe = SFT, runtime: Runtime = RUNTIME) -> None:
    train_sft(base, [ROWS], recipe, runtime, draft)


def run_grpo(base: Path, draft: Draft, recipe: GrpoRecipe = GRPO, runtime: Runtime = RUNTIME) -> None:
    kept = RolloutLog(draft, "chat")
    train_grpo(
        base, problems(recipe.problems), "chat", {"digits": digits}, {"digits": 1.0}, recipe, runtime, draft,
        rollouts=kept,
    )  # fmt: skip


def digits_unless_even(asked: Sequence[Problem], completions: Sequence[Completion], log: Log) -> list[float | None]:
    """A part that is the same for all completions of an even problem among the first twelve."""
    shares = digits(asked, completions, log)
    numbers = [int(problem.id, 16) for problem in asked]
    return [
        0.5 if number < 12 and number % 2 == 0 else share + done.sample_index / 100
        for number, share, done in zip(numbers, shares, completions, strict=True)
    ]


def run_grpo_resampled(base: Path, draft: Draft) -> None:
    """Runs GRPO with two replacements at most, of which even problems need one and odd ones none."""
    train_grpo(
        base, problems(3 * GRPO.problems), "chat", {"digits": digits_unless_even}, {"digits": 1.0}, GRPO, RUNTIME,
        draft, rollouts=RolloutLog(draft, "chat", replaces=True), resample=2,
    )  # fmt: skip


def run_reward_model(
    base: Path, draft: Draft, recipe: RewardModelRecipe = REWARD_MODEL, runtime: Runtime = RUNTIME
) -> None:
    train_reward_model(base, pairs(12), recipe, runtime, draft)


def run_sft_lora(base: Path, draft: Draft) -> None:
    """Runs SFT with LoRA and dropout, so that a resumed run must draw what the uninterrupted one drew."""
    run_sft(base, draft, SFT.model_copy(update={"lora": LORA.model_copy(update={"dropout": 0.1})}))


def run_grpo_lora(base: Path, draft: Draft) -> None:
    run_grpo(base, draft, GRPO_LORA)


def run_reward_model_lora(base: Path, draft: Draft) -> None:
    run_reward_model(base, draft, REWARD_MODEL.model_copy(update={"lora": LORA}))


RUNS: dict[str, Callable[[Path, Draft], None]] = {
    "sft": run_sft,
    "grpo": run_grpo,
    "grpo_resampled": run_grpo_resampled,
    "reward_model": run_reward_model,
    "sft_lora": run_sft_lora,
    "grpo_lora": run_grpo_lora,
    "reward_model_lora": run_reward_model_lora,
}


def rollouts(draft: Draft) -> pl.DataFrame:
    """Returns the rollouts that a run has kept so far."""
    directory = draft.scratch / "published"
    directory.mkdir(exist_ok=True)
    RolloutLog(draft, "chat").publish(directory)
    return pl.concat(map(read_table, sorted(directory.glob("*.parquet"))))


def digests(directory: Path) -> dict[str, str]:
    return {entry.path: entry.sha256 for entry in list_files(directory)}


class Killer(Observer):
    """A callback that kills this process with signal 9 once a step has been logged."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, name: str, step: int, total: int, metrics: object) -> None:
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    method, base, directory, step = sys.argv[1:]
    draft = bare_draft(Path(directory))
    draft.observer = Killer(int(step))
    RUNS[method](Path(base), draft)
