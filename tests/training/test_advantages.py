"""Laws of advantages that TRL does not compute, worked out by hand on two groups of three rewards."""

import math
from typing import get_args

import pytest
import torch

from r1_pipeline.errors import RecipeError
from r1_pipeline.training.advantages import DIVISOR, advantages, trl_lacks
from r1_pipeline.training.objectives import OBJECTIVES, Baseline, Objective, Scale

REWARDS = torch.tensor([1.0, 0.0, 0.5, 1.0, 1.0, 1.0], dtype=torch.float64)
NAN = math.nan


def of(baseline: Baseline, scale: Scale, rewards: torch.Tensor = REWARDS) -> list[float]:
    found: list[float] = advantages(rewards, 3, baseline, scale).tolist()
    return found


def test_the_others_mean_is_the_baseline() -> None:
    assert of("others", "none") == pytest.approx([0.75, -0.75, 0.0, 0.0, 0.0, 0.0])


def test_a_mean_reward_divides_so_that_a_rare_success_weighs_more() -> None:
    assert of("group", "mean") == pytest.approx([1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    rare = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    assert of("group", "mean", rare) == pytest.approx([2.0, -1.0, -1.0, 0.5, 0.5, -1.0])


def test_a_group_without_any_reward_teaches_nothing() -> None:
    assert of("group", "mean", torch.zeros(6)) == [0.0] * 6


def test_the_whole_rollout_has_one_mean_and_one_deviation() -> None:
    mean, deviation = 0.75, math.sqrt((4 * 0.0625 + 0.5625 + 0.0625) / 5)
    expected = [(r - mean) / (deviation + DIVISOR) for r in REWARDS.tolist()]
    assert of("batch", "batch") == pytest.approx(expected)
    assert of("batch", "none") == pytest.approx([r - mean for r in REWARDS.tolist()])


def test_centred_rewards_have_another_deviation_than_rewards() -> None:
    centred = [0.5, -0.5, 0.0, 0.0, 0.0, 0.0]
    assert of("group", "centred") == pytest.approx([c / (math.sqrt(0.5 / 5) + DIVISOR) for c in centred])
    assert of("group", "batch") != pytest.approx(of("group", "centred"))


def test_a_reply_without_a_reward_moves_nobody() -> None:
    gap = torch.tensor([1.0, 0.0, NAN, 1.0, 1.0, 1.0])
    assert of("others", "none", gap) == pytest.approx([1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    assert of("group", "mean", gap) == pytest.approx([1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    assert of("batch", "none", gap) == pytest.approx([0.2, -0.8, 0.0, 0.2, 0.2, 0.2])
    assert of("group", "centred", torch.full((6,), NAN)) == [0.0] * 6


def test_a_penalty_has_no_maximum_likelihood() -> None:
    with pytest.raises(RecipeError, match=r"a reward is -0\.5, and MaxRL divides by the group's mean reward; take a"):
        of("group", "mean", torch.tensor([-0.5, 0.0, 0.0, 1.0, 1.0, 1.0]))


def test_what_trl_computes_is_left_to_it() -> None:
    ours = {name for name, objective in OBJECTIVES.items() if trl_lacks(objective)}
    assert ours == {"rloo", "reinforce_pp", "reinforce_pp_baseline", "maxrl"}
    trls = {scale for scale in get_args(Scale) if not trl_lacks(Objective(scale_rewards=scale))}
    assert trls == {"group", "batch", "none"}
