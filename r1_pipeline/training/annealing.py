"""Reward weights that move while a policy is reinforced.

TRL joins the parts of a reward by weights that it keeps; they are set before each step, from its number alone, so that
a resumed run has those of a run that was never interrupted. A rollout is rewarded by the weights of the step
that samples it. Not covered: the course of a weight (`rewards.rubric`).
"""

from typing import TYPE_CHECKING, Any

from r1_pipeline.rewards.rubric import Rubric, weights_at

if TYPE_CHECKING:
    from transformers import TrainerCallback
    from trl import GRPOTrainer

LOGGED = "weight/"
"""The beginning of the metric that says the weight of a part."""


def annealing(trainer: "GRPOTrainer", rubric: Rubric) -> "TrainerCallback":
    """Returns a callback that sets the weights of the parts before each step, and logs those that move."""
    import torch
    from transformers import TrainerCallback

    class Annealing(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            now = weights_at(rubric, state.global_step)
            trainer.reward_weights = torch.tensor([now[name] for name in trainer.reward_func_names])
            for each in rubric.annealed:
                trainer._metrics["train"][LOGGED + each.part].append(now[each.part])

    return Annealing()
