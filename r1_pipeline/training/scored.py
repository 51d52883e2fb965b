"""The trainer with the reward of each reply of its last rollout, which TRL computes and does not keep."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from trl import GRPOTrainer


def scored(trainer: "type[GRPOTrainer]") -> "type[GRPOTrainer]":
    """Returns the trainer, which keeps `rewards_N`: the weighted sum of the parts of each reply, of all ranks in order;
    NaN for a reply that no part scores."""

    class ScoredTrainer(trainer):  # type: ignore[misc]
        rewards_N: "Tensor"

        def _calculate_rewards(self, *arguments: Any) -> Any:
            scores_NP = super()._calculate_rewards(*arguments)
            rewards_N = (scores_NP * self.reward_weights.to(scores_NP.device)).nansum(1)
            self.rewards_N = rewards_N.masked_fill(scores_NP.isnan().all(1), float("nan"))
            return scores_NP

    return ScoredTrainer
