"""This module makes a reinforced model with the real store, the real verifier and the real log of its rollouts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.artifacts.store import BuildResult, Spec
from r1_pipeline.artifacts.tables import read_table, write_table
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.records import Completion
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.rubric import Annealed, Rubric, part_functions
from r1_pipeline.training.objectives import Objective
from r1_pipeline.training.rollout_log import RolloutLog
from tests.lineage.lineage_world import Shop, problem

RUBRIC = Rubric(
    accuracy=1.0, format=0.1, language=0.0, preference=0.0, annealed=(Annealed(part="format", to=0.3, begin=0, end=4),)
)
"""Accuracy and a weight of format that moves from 0.1 at step 0 to 0.2 at step 2."""
ANSWERS = {0: ("2", "3", "2", "2"), 1: ("4", "5", "6", "7"), 2: ("6", "6", "6", "6"), 3: ("8", "9", "8", "9")}
"""Prompt -> the answers of its group to `prompt + 1` twice; prompts 0 and 1 are sampled at step 0, the others at 2."""


class Updates(Recipe):
    objective: Objective = Objective()


class Reinforced(Recipe):
    rubric: Rubric = RUBRIC
    grpo: Updates = Updates()


def reinforced(home: Path, change: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows) -> Checkpoint:
    """Makes `r1_zero`, whose rows were changed by `change` before they were stored."""
    shop = Shop(home)
    problems = shop.problems("reasoning_problems", [problem(n) for n in range(1, 5)])
    base = shop.model("base", "pretrain", "b")

    def make(draft: Draft) -> BuildResult:
        log = RolloutLog(draft, "chat")
        with default_grader(Runtime(threads=1)) as grader:
            parts = part_functions(RUBRIC, grader, "chat", {}, log.judged)
            for step, prompts, format_weight in ((0, (0, 1), 0.1), (2, (2, 3), 0.2)):
                numbers = [prompt for prompt in prompts for _ in range(4)]
                asked = [problems.problems()[prompt] for prompt in numbers]
                replies = [
                    completion(about.id, sample, ANSWERS[prompt][sample])
                    for about, prompt, sample in zip(asked, numbers, [0, 1, 2, 3] * 2, strict=True)
                ]
                for name, part in parts.items():
                    log.rewarded(name, numbers, asked, replies, part(asked, replies, lambda *_: None))
                right = np.array([ANSWERS[p][i] == str(2 * p + 2) for p in prompts for i in range(4)], float).reshape(
                    2, 4
                )
                spread = right.std(axis=1, ddof=1, keepdims=True)
                advantages = (right - right.mean(axis=1, keepdims=True)) / (spread + 1e-4)
                log.keep(step, {"accuracy": 1.0, "format": format_weight}, advantages.flatten().tolist(), None)
                log.write()
        count = log.publish(draft.path)
        table = draft.path / "rollouts-00000.parquet"
        write_table(table, change(read_table(table)))
        (draft.path / "model.safetensors").write_text("z")
        return BuildResult({"steps": 4, "tokens": {"trained": 7}, "template": "chat", "rollouts": count})

    inputs = {"policy": base, "problems": problems}
    return shop.store.build(Checkpoint, Spec("r1_zero", "reinforce", 8, Reinforced(), inputs), make)


def completion(problem_id: str, sample: int, answer: str) -> Completion:
    return Completion(
        problem_id=problem_id,
        sample_index=sample,
        seed=0,
        text=f"<think>try {sample}</think>\n\nIt is \\boxed{{{answer}}}.",
        token_ids=tuple(range(5 + sample)),
        finish_reason="stop",
        engine="trl",
    )
