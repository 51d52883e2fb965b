"""This module trains a tiny dense model for 20 steps by SFT, as a reward model and by GRPO on stored rollouts.

As a script, it writes the losses and the rollouts that `test_trajectories` compares with (`tests/golden`).
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import torch
import training_runs as runs
from tiny_model import make_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.training.reward_model import train_reward_model
from r1_pipeline.training.sft import train_sft

GOLDEN = Path(__file__).parents[1] / "golden"
LOSSES, ROLLOUTS = GOLDEN / "trajectories.json", GOLDEN / "rollouts.parquet"
STEPS = 20
GRPO = runs.GRPO.model_copy(
    update={
        "steps": STEPS, "save_steps": STEPS, "epsilon": 0.2, "learning_rate": 3e-3, "reference_sync_steps": 10,
        "steps_per_generation": 1, "num_iterations": 2,
    }
)  # fmt: skip
"""Each rollout is a minibatch of its own, because which rollouts share one is drawn after sampling; two epochs make
ratios other than 1."""
SFT = runs.SFT.model_copy(update={"epochs": 7, "batch": 4, "learning_rate": 3e-3, "save_steps": STEPS})
REWARD_MODEL = runs.REWARD_MODEL.model_copy(update={"epochs": 7, "learning_rate": 3e-3, "save_steps": STEPS})
MEASURES = ("loss", "grad_norm", "kl", "reward")


def make_llama(directory: Path) -> Path:
    """Writes a dense model, in which rounding sends no token to another expert."""
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=512,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def replayed(rollouts: pl.DataFrame, run: Callable[[], None]) -> None:
    """Calls `run`, a GRPO run in which the policy samples nothing: it gets the tokens of stored rollouts."""
    from trl import GRPOTrainer

    def stored(trainer: Any, prompts: list[Any], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        rows = rollouts.filter(pl.col("step") == trainer.state.global_step)
        assert rows.height == len(prompts)
        return rows["token_ids"].to_list(), None

    sampled, GRPOTrainer._generate_single_turn = GRPOTrainer._generate_single_turn, stored
    try:
        run()
    finally:
        GRPOTrainer._generate_single_turn = sampled


def run_grpo(base: Path, draft: Draft) -> None:
    runs.run_grpo(base, draft, GRPO)


def trajectory(draft: Draft) -> list[dict[str, float]]:
    """Returns the measures of every step that has them."""
    return [{name: row[name] for name in MEASURES if name in row} for row in read_metrics(draft.metrics)]


def trained(base: Path, directory: Path, rollouts: pl.DataFrame) -> dict[str, list[dict[str, float]]]:
    """Runs the three trainers and returns the trajectory of each."""
    drafts = {name: bare_draft(directory / name) for name in ("sft", "reward_model", "grpo")}
    train_sft(base, [runs.ROWS], SFT, runs.RUNTIME, drafts["sft"])
    train_reward_model(base, runs.pairs(12), REWARD_MODEL, runs.RUNTIME, drafts["reward_model"])
    replayed(rollouts, lambda: run_grpo(base, drafts["grpo"]))
    return {name: trajectory(draft) for name, draft in drafts.items()}


def main() -> None:
    """Samples the rollouts, trains on them, and writes both."""
    with tempfile.TemporaryDirectory() as folder:
        base, draft = make_llama(Path(folder) / "base"), bare_draft(Path(folder) / "sampled")
        run_grpo(base, draft)
        rollouts = runs.rollouts(draft)
        rollouts.write_parquet(ROLLOUTS)
        found = trained(base, Path(folder), rollouts)
        LOSSES.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{LOSSES.name}, {ROLLOUTS.name}\n")


if __name__ == "__main__":
    main()
