"""Laws of the critic: advantages, returns and value loss by hand and by the sum formula; real PPO runs, resumed."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_runs as runs
from trl import GRPOTrainer

from r1_pipeline.artifacts.draft import Draft, bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.errors import RecipeError
from r1_pipeline.records import Completion, Problem
from r1_pipeline.rewards.rubric import Log
from r1_pipeline.settings.launchers import Torchrun
from r1_pipeline.training.critic import WEIGHTS, Critic, ValueModel, explained, gae, value_loss, whitened
from r1_pipeline.training.grpo import GrpoRecipe, train_grpo
from r1_pipeline.training.objectives import OBJECTIVES

CRITIC = Critic(gae_lambda=0.95, discount=1.0, learning_rate=1e-2, warmup_steps=0, value_clip=None, whiten=False)
PPO = runs.GRPO.model_copy(update={"steps": 4, "critic": CRITIC})
ONE = torch.ones(1, 3, dtype=torch.float64)
REWARDS = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
VALUES = torch.tensor([[0.5, 0.25, 0.75]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("discount", "gae_lambda", "advantages", "returns"),
    [
        (1.0, 0.5, [0.0625, 0.625, 0.25], [0.5625, 0.875, 1.0]),
        (1.0, 1.0, [0.5, 0.75, 0.25], [1.0, 1.0, 1.0]),
        (1.0, 0.0, [-0.25, 0.5, 0.25], [0.25, 0.75, 1.0]),
        (0.5, 1.0, [-0.25, 0.25, 0.25], [0.25, 0.5, 1.0]),
    ],
)
def test_advantages_are_those_worked_out_by_hand(
    discount: float, gae_lambda: float, advantages: list[float], returns: list[float]
) -> None:
    found = gae(REWARDS, VALUES, ONE, discount, gae_lambda)
    assert [each[0].tolist() for each in found] == [pytest.approx(advantages), pytest.approx(returns)]


def by_sum(reward: float, values: Sequence[float], discount: float, gae_lambda: float) -> list[float]:
    """Computes equation 16 of the GAE paper as a sum over later tokens; the reward comes with the last."""
    last = len(values) - 1
    delta = [
        (reward if t == last else 0.0) + discount * (values[t + 1] if t < last else 0.0) - values[t]
        for t in range(last + 1)
    ]
    return [
        sum((discount * gae_lambda) ** (later - t) * delta[later] for later in range(t, last + 1))
        for t in range(last + 1)
    ]


def test_padding_changes_no_advantage() -> None:
    chance = np.random.default_rng(0)
    lengths, width = (7, 1, 4), 7
    values, mask, rewards = (torch.zeros(3, width, dtype=torch.float64) for _ in range(3))
    for row, length in enumerate(lengths):
        values[row] = torch.from_numpy(chance.normal(size=width))  # also where nothing counts
        mask[row, :length], rewards[row, length - 1] = 1.0, row + 0.5
    advantages, returns = gae(rewards, values, mask, 0.9, 0.8)
    for row, length in enumerate(lengths):
        expected = by_sum(row + 0.5, values[row, :length].tolist(), 0.9, 0.8)
        assert advantages[row].tolist() == pytest.approx([*expected, *[0.0] * (width - length)], abs=1e-12)
        assert returns[row, :length].tolist() == pytest.approx((values[row, :length] + torch.tensor(expected)).tolist())


def test_the_value_loss_is_half_the_mean_square_and_a_clip_keeps_the_larger() -> None:
    values, old, returns = (torch.tensor([row]) for row in ([1.0, 0.0, 9.0], [0.5, 0.5, 0.0], [2.0, 0.0, 0.0]))
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    assert value_loss(values, old, returns, mask, None).item() == pytest.approx((1.0 + 0.0) / 2 / 2)
    # clipped to 0.7 and 0.3: errors 1.69 and 0.09 are the larger ones
    assert value_loss(values, old, returns, mask, 0.2).item() == pytest.approx((1.69 + 0.09) / 2 / 2)


def test_whitened_and_explained_count_only_what_the_mask_counts() -> None:
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    assert whitened(torch.tensor([[1.0, 3.0, 100.0]]), mask)[0].tolist() == pytest.approx([-1.0, 1.0, 0.0])
    returns = torch.tensor([[0.0, 2.0, 9.0]])
    assert explained(returns, returns, mask) == 1.0
    assert explained(returns, torch.tensor([[0.5, 1.5, 0.0]]), mask) == pytest.approx(0.75)
    assert explained(torch.ones(1, 3), returns, mask) == 0.0


def test_a_critic_has_one_body_more_and_its_head_begins_at_nothing(tiny: Path) -> None:
    from transformers import AutoModelForCausalLM

    policy, critic = AutoModelForCausalLM.from_pretrained(tiny), ValueModel(tiny, CRITIC, runs.RUNTIME)
    body = sum(weight.numel() for weight in policy.parameters())  # its output layer is tied to the embedding
    assert sum(weight.numel() for weight in critic.model.parameters()) == body + policy.config.hidden_size + 1
    rollout = {
        **{"prompt_ids": torch.tensor([[3, 4]]), "prompt_mask": torch.ones(1, 2, dtype=torch.long)},
        **{"completion_ids": torch.tensor([[5, 6, 2]]), "completion_mask": torch.ones(1, 3, dtype=torch.long)},
    }
    assert critic.values(rollout).tolist() == [[0.0, 0.0, 0.0]]
    torch.nn.init.ones_(critic.model["head"].weight)
    other = {**rollout, "completion_ids": torch.tensor([[5, 6, 9]])}
    assert critic.values(rollout)[0].tolist() == pytest.approx(critic.values(other)[0].tolist())  # not yet known
    assert len(set(critic.values(rollout)[0].tolist())) == 3


def paid(_: Sequence[Problem], completions: Sequence[Completion], __: Log) -> list[float | None]:
    return [sum(done.token_ids) % 5 / 4 for done in completions]


def train(base: Path, directory: Path, recipe: GrpoRecipe = PPO) -> Draft:
    draft = bare_draft(directory)
    problems = runs.problems(recipe.problems)
    train_grpo(base, problems, "chat", {"paid": paid}, {"paid": 1.0}, recipe, runs.RUNTIME, draft)
    return draft


def test_a_run_uses_the_critics_advantages_and_resumes_to_the_same_bytes(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute, seen = GRPOTrainer.compute_loss, []

    def keep(trainer: Any, model: Any, inputs: dict[str, torch.Tensor], *_: Any, **__: Any) -> torch.Tensor:
        loss = compute(trainer, model, inputs)
        seen.append(({name: each for name, each in inputs.items() if torch.is_tensor(each)}, loss.item()))
        return loss

    monkeypatch.setattr(GRPOTrainer, "compute_loss", keep)
    whole = train(tiny, tmp_path / "whole")
    assert len(seen) == 4
    for inputs, _ in seen:
        for ids, mask, values, advantages in zip(
            *(inputs[name] for name in ("completion_ids", "completion_mask", "old_values", "advantages")), strict=True
        ):
            length = int(mask.sum())
            expected = by_sum(sum(ids[:length].tolist()) % 5 / 4, values[:length].tolist(), 1.0, 0.95)
            assert advantages[:length].tolist() == pytest.approx(expected, abs=1e-6)
    inputs, loss = seen[0]  # the ratio is 1, and the policy is its reference
    by_reply = (inputs["advantages"] * inputs["completion_mask"]).sum(1) / inputs["completion_mask"].sum(1)
    assert loss == pytest.approx(-by_reply.mean().item(), abs=1e-5)
    assert any(
        inputs["old_values"].abs().max() > 0 for inputs, _ in seen
    )  # the critic has learned by the second rollout
    rows = read_metrics(whole.metrics)
    assert all(row["value_loss"] > 0 for row in rows) and "explained_variance" in rows[0]

    resumed = bare_draft(tmp_path / "resumed")
    shutil.copytree(whole.scratch, resumed.scratch, dirs_exist_ok=True)
    (resumed.scratch / "checkpoint-4" / WEIGHTS).unlink()  # so it is rejected, and step 2 is used
    train(tiny, tmp_path / "resumed")
    assert runs.digests(resumed.path) == runs.digests(whole.path)
    assert len(seen) == 6


def test_the_policy_waits_until_the_critic_is_warm(tiny: Path, tmp_path: Path) -> None:
    warm = PPO.model_copy(update={"critic": CRITIC.model_copy(update={"warmup_steps": 2})})
    made = train(tiny, tmp_path, warm)
    rows = read_metrics(made.metrics)
    assert [row["grad_norm"] > 0 for row in rows] == [False, False, True, True]
    assert all(row["value_loss"] > 0 for row in rows)


def test_what_a_critic_cannot_do_is_refused(tiny: Path, tmp_path: Path) -> None:
    for fields, words in (
        ({"objective": OBJECTIVES["rloo"]}, "leave importance, baseline, scale_rewards and parts"),
        ({"critic": CRITIC.model_copy(update={"warmup_steps": 4})}, "warms up for 4 of 4 steps"),
        ({"lora": runs.LORA, "reference_sync_steps": None}, "a critic is trained whole, and lora is set"),
    ):
        with pytest.raises(ValueError, match=words):
            runs.again(PPO, **fields)
    with pytest.raises(RecipeError, match="a critic also learns from groups of equal rewards"):
        train_grpo(
            tiny,
            runs.problems(2 * PPO.problems),
            "chat",
            {"p": paid},
            {"p": 1.0},
            PPO,
            runs.RUNTIME,
            bare_draft(tmp_path),
            resample=1,
        )
    ranks = runs.RUNTIME.model_copy(update={"launcher": Torchrun(processes=2, sharding="ddp")})
    with pytest.raises(RecipeError, match="a critic trains in one process, and the launcher starts 2; take inline"):
        train_grpo(tiny, runs.problems(PPO.problems), "chat", {"p": paid}, {"p": 1.0}, PPO, ranks, bare_draft(tmp_path))
