"""Advantages that TRL does not compute: other baselines and other divisors than those of GRPO (paper, equation 3).

Everything is a pure function of the rewards of a rollout. N replies lie in groups of G, one group after the other; a
reply without a reward is NaN, counts in no mean, and has the advantage 0. Not covered: advantages of the objectives
that TRL knows, and GDPO's, which TRL computes itself.
"""

from typing import TYPE_CHECKING

from r1_pipeline.errors import RecipeError
from r1_pipeline.training.objectives import Baseline, Objective, Scale

if TYPE_CHECKING:
    from torch import Tensor

DIVISOR = 1e-4
"""The number that TRL adds to a standard deviation before it divides by it."""


def trl_lacks(objective: Objective) -> bool:
    """Returns true if TRL has no setting for the advantages of `objective`."""
    return objective.baseline != "group" or objective.scale_rewards in ("centred", "mean")


def advantages(rewards_N: "Tensor", group: int, baseline: Baseline, scale: Scale) -> "Tensor":
    """Returns the advantage of each reply: its reward less a baseline, divided by the scale of the objective.

    Raises `RecipeError` for negative rewards if the scale is their mean.
    """
    import torch

    rewards_MG = rewards_N.view(-1, group)
    centred_MG = rewards_MG - _baseline(rewards_MG, baseline)
    if scale == "mean":
        if (rewards_MG < 0).any():
            lowest = rewards_N.nan_to_num(0.0).min().item()
            raise RecipeError(
                f"a reward is {lowest:g}, and MaxRL divides by the group's mean reward; take a rubric without penalties"
            )
        mean_M1 = rewards_MG.nanmean(1, keepdim=True)
        centred_MG = torch.where(mean_M1 > 0, centred_MG / mean_M1, 0.0)
    elif scale == "group":
        centred_MG = centred_MG / (deviation(rewards_MG, 1) + DIVISOR)
    elif scale != "none":
        spread = rewards_MG if scale == "batch" else centred_MG
        centred_MG = centred_MG / (deviation(spread.reshape(1, -1), 1) + DIVISOR)
    return centred_MG.reshape(-1).nan_to_num(0.0)


def _baseline(rewards_MG: "Tensor", baseline: Baseline) -> "Tensor":
    if baseline == "batch":
        return rewards_MG.nanmean()
    if baseline == "group":
        return rewards_MG.nanmean(1, keepdim=True)
    known_MG = ~rewards_MG.isnan()
    others_MG = known_MG.sum(1, keepdim=True) - known_MG.int()
    total_M1 = rewards_MG.nansum(1, keepdim=True)
    return (total_M1 - rewards_MG.nan_to_num(0.0)) / others_MG.clamp(min=1)


def deviation(values: "Tensor", dim: int) -> "Tensor":
    """Returns the sample standard deviation of the values that are not NaN, 0 for fewer than two, with its dimension
    kept."""
    known = (~values.isnan()).sum(dim, keepdim=True)
    squares = (values - values.nanmean(dim, keepdim=True)).square().nansum(dim, keepdim=True)
    return (squares / (known - 1).clamp(min=1)).sqrt()
