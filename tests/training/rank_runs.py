"""Small training runs on several ranks; `torchrun rank_runs.py KEEPS BASE DIRECTORY METHOD… [STEP]`.

With a STEP the first rank kills itself once it has logged that one. accelerate 1.15 shards on accelerators only, torch
(`fully_shard`) and DeepSpeed on CPUs too: for `fsdp2` and `zero3` accelerate is told that a CPU is one.
"""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
import training_runs as runs

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.recipe import Runtime
from r1_pipeline.settings.launchers import Inline, Sharding, Torchrun
from r1_pipeline.training.grpo import train_grpo
from r1_pipeline.training.objectives import Objective
from r1_pipeline.training.reward_model import train_reward_model
from r1_pipeline.training.sft import train_sft

RANKS = 2
TWICE = runs.GRPO.model_copy(
    update={"steps_per_generation": 1, "num_iterations": 2, "learning_rate": 1e-3, "epsilon": 0.02}
)
"""A rollout is one minibatch: it does not matter who shuffles what; ratios move, and are clipped, in the second
iteration. The low rate keeps rounding from sending a token to another expert."""


def runtime_of(keeps: Sharding | None) -> Runtime:
    """Returns the runtime of `keeps`; None means one process."""
    launcher = Torchrun(processes=RANKS, sharding=keeps) if keeps else Inline()
    return runs.RUNTIME.model_copy(update={"launcher": launcher})


def sft(base: Path, draft: Draft, runtime: Runtime) -> None:
    train_sft(base, [runs.ROWS], runs.SFT, runtime, draft)


def sft_balanced(base: Path, draft: Draft, runtime: Runtime) -> None:
    """The rate is low, as in `ON_POLICY`: one of 143 tokens that goes to another expert is visible."""
    change = {"expert_bias_rate": 0.25, "learning_rate": 1e-3, "final_learning_rate": 1e-4}
    train_sft(base, [runs.ROWS], runs.SFT.model_copy(update=change), runtime, draft)


def sft_lora(base: Path, draft: Draft, runtime: Runtime) -> None:
    train_sft(base, [runs.ROWS], runs.SFT.model_copy(update={"lora": runs.LORA}), runtime, draft)


def reward_model(base: Path, draft: Draft, runtime: Runtime) -> None:
    train_reward_model(base, runs.pairs(12), runs.REWARD_MODEL, runtime, draft)


def reward_model_lora(base: Path, draft: Draft, runtime: Runtime) -> None:
    adapted = runs.REWARD_MODEL.model_copy(update={"lora": runs.LORA})
    train_reward_model(base, runs.pairs(12), adapted, runtime, draft)


def grpo(base: Path, draft: Draft, runtime: Runtime, recipe: Any = runs.GRPO) -> None:
    problems = runs.problems(recipe.problems)
    train_grpo(base, problems, "chat", {"digits": runs.digits}, {"digits": 1.0}, recipe, runtime, draft)


def grpo_lora(base: Path, draft: Draft, runtime: Runtime) -> None:
    grpo(base, draft, runtime, runs.GRPO_LORA)


def grpo_lora_on_fixed_rollouts(base: Path, draft: Draft, runtime: Runtime) -> None:
    adapted = TWICE.model_copy(update={"lora": runs.LORA, "reference_sync_steps": None})
    grpo_on_fixed_rollouts(base, draft, runtime, adapted)


def grpo_on_fixed_rollouts(base: Path, draft: Draft, runtime: Runtime, recipe: Any = TWICE) -> None:
    """The completions depend on their place in the rollout, so that they are the same for any number of ranks."""
    from trl import GRPOTrainer

    def drawn(trainer: Any, prompts: list[Any], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        first = trainer.accelerator.process_index * len(prompts)
        return [completion(trainer.state.global_step, first + row) for row in range(len(prompts))], None

    def completion(step: int, row: int) -> list[int]:
        chance = random.Random(step * 1000 + row)
        return [chance.randrange(3, 60) for _ in range(chance.randrange(4, 11))] + [2]

    sampled, GRPOTrainer._generate_single_turn = GRPOTrainer._generate_single_turn, drawn
    try:
        grpo(base, draft, runtime, recipe)
    finally:
        GRPOTrainer._generate_single_turn = sampled


def objective_on_fixed_rollouts(base: Path, draft: Draft, runtime: Runtime) -> None:
    """Everything that TRL lacks in one objective: whole replies, the rollout's mean and deviation, another KL."""
    own = Objective(importance="product", baseline="batch", scale_rewards="centred", kl="k2")
    grpo_on_fixed_rollouts(base, draft, runtime, TWICE.model_copy(update={"objective": own}))


METHODS: dict[str, Callable[[Path, Draft, Runtime], None]] = {
    each.__name__: each
    for each in (
        sft,
        sft_balanced,
        sft_lora,
        reward_model,
        reward_model_lora,
        grpo,
        grpo_lora,
        grpo_on_fixed_rollouts,
        grpo_lora_on_fixed_rollouts,
        objective_on_fixed_rollouts,
    )
}


def launch(keeps: Sharding, base: Path, directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs methods on real ranks; each leaves its draft in `directory/METHOD`."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
    command = [*torchrun, __file__, keeps, str(base), str(directory), *arguments]
    environment = {**os.environ, "DS_ACCELERATOR": "cpu"}
    return subprocess.run(command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True)


def shard_on_cpus(keeps: Sharding) -> None:
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_XPU)
    if keeps == "zero3":  # with `cpu`, accelerate would not let DeepSpeed join the ranks
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
        made = PartialState.__init__
        PartialState.__init__ = lambda self, cpu=False, **settings: made(self, **settings)


if __name__ == "__main__":
    keeps, base, directory, *methods = sys.argv[1:]
    step = int(methods.pop()) if methods[-1].isdigit() else None
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"  # as `runtime.rank` does
    dist.init_process_group("gloo")
    if keeps != "ddp":
        shard_on_cpus(keeps)  # type: ignore[arg-type]
    for method in methods:
        draft = bare_draft(Path(directory) / method)
        draft.leads = dist.get_rank() == 0
        if step is not None:
            draft.observer = runs.Killer(step)
        METHODS[method](Path(base), draft, runtime_of(keeps))  # type: ignore[arg-type]
    dist.destroy_process_group()
