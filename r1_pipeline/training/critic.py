"""A critic for reinforcement learning: PPO with generalized advantage estimation, in place of a group's mean.

The critic is a second model, with the body of the policy that training starts from and a scalar head that begins at 0.
It estimates the reward of a reply from each of its tokens; a token's advantage says how much better the reply went than
was expected of it (Schulman et al. 2016, equation 16). Rewards, rollouts, clip and KL term are those of GRPO, the KL as
a term of the loss. In the paper's comparison on MATH, PPO with lambda 0.95 is clearly worse than GRPO, and with 1.0
close to it (supplement A.3). One process only. Shapes: B replies of T tokens.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from r1_pipeline.errors import RecipeError
from r1_pipeline.generation.device import load_options
from r1_pipeline.recipe import Recipe, Runtime
from r1_pipeline.training.scored import scored

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import TrainerCallback
    from trl import GRPOTrainer

WEIGHTS, OPTIMIZER = "critic.safetensors", "critic_optimizer.pt"
"""The files of a critic in a training checkpoint."""


class Critic(Recipe):
    """The recipe of a critic."""

    gae_lambda: float = Field(ge=0, le=1)
    """The weight of longer returns against the critic's own estimates; 1 takes only returns [0.95 and 1.0 in
    supplement A.3]."""
    discount: float = Field(gt=0, le=1)
    """The factor by which a reward loses value with each token before it; not published [1.0 in Open-Reasoner-Zero]."""
    learning_rate: float = Field(gt=0)
    """The constant learning rate of the critic's AdamW; not published [1e-5, ten times the policy's, in TinyZero]."""
    warmup_steps: int = Field(ge=0)
    """The number of optimizer steps at the beginning in which only the critic learns; not published."""
    value_clip: float | None = Field(gt=0)
    """The range by which a new estimate may leave that of the rollout and still gain, as in PPO; None for no clip."""
    whiten: bool
    """Advantages get mean 0 and deviation 1 over the tokens of a rollout if true, as is usual in PPO."""


def gae(
    rewards_BT: "Tensor", values_BT: "Tensor", mask_BT: "Tensor", discount: float, gae_lambda: float
) -> "tuple[Tensor, Tensor]":
    """Returns the advantages and the returns of tokens, both 0 where the mask is.

    A_t = d_t + discount * lambda * A_(t+1) with d_t = r_t + discount * V_(t+1) - V_t; there is no value after the last
    token, also where a reply was cut off. Returns are advantages plus values.
    """
    import torch

    advantages_BT = torch.zeros_like(values_BT)
    after_B = next_B = torch.zeros_like(values_BT[:, 0])
    for place in reversed(range(values_BT.shape[1])):
        seen_B = mask_BT[:, place]
        delta_B = rewards_BT[:, place] + discount * next_B - values_BT[:, place]
        after_B = (delta_B + discount * gae_lambda * after_B) * seen_B
        next_B = values_BT[:, place] * seen_B
        advantages_BT[:, place] = after_B
    return advantages_BT, (advantages_BT + values_BT) * mask_BT


def whitened(values_BT: "Tensor", mask_BT: "Tensor") -> "Tensor":
    """Returns the values with mean 0 and standard deviation 1 over the tokens that count."""
    count = mask_BT.sum().clamp(min=1)
    mean = (values_BT * mask_BT).sum() / count
    variance = ((values_BT - mean).square() * mask_BT).sum() / count
    found: Tensor = (values_BT - mean) / (variance + 1e-8).sqrt() * mask_BT
    return found


def value_loss(
    values_BT: "Tensor", old_BT: "Tensor", returns_BT: "Tensor", mask_BT: "Tensor", clip: float | None
) -> "Tensor":
    """Returns half the mean squared error over the tokens that count; with a clip, the larger of it and that of the
    clipped estimate."""
    error_BT = (values_BT - returns_BT).square()
    if clip is not None:
        bound_BT = old_BT + (values_BT - old_BT).clamp(-clip, clip)
        error_BT = error_BT.maximum((bound_BT - returns_BT).square())
    found: Tensor = (error_BT * mask_BT).sum() / mask_BT.sum().clamp(min=1) / 2
    return found


def explained(returns_BT: "Tensor", values_BT: "Tensor", mask_BT: "Tensor") -> float:
    """Returns the share of the variance of returns that the estimates explain; 0 where returns do not vary."""
    seen = mask_BT.bool()
    returns, apart = returns_BT[seen], (returns_BT - values_BT)[seen]
    spread = returns.var(unbiased=False).item() if len(returns) else 0.0
    return 1 - apart.var(unbiased=False).item() / spread if spread else 0.0


class ValueModel:
    """The critic's model and optimizer."""

    def __init__(self, policy: Path, recipe: Critic, runtime: Runtime) -> None:
        """Loads the body of the model in `policy`; the head begins at 0."""
        import torch
        from transformers import AutoModel

        self.recipe = recipe
        body = AutoModel.from_pretrained(policy, dtype="float32", **load_options(runtime))
        head = torch.nn.Linear(body.config.hidden_size, 1, dtype=body.dtype, device=body.device)
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
        self.model = torch.nn.ModuleDict({"body": body, "head": head}).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=recipe.learning_rate, weight_decay=0.0)

    def values(self, rollout: "dict[str, Tensor]") -> "Tensor":
        """Returns the value of each token of the replies: the estimate of the reward before the token is known."""
        import torch

        tokens, seen = (
            torch.cat([rollout[f"prompt_{what}"], rollout[f"completion_{what}"]], dim=1) for what in ("ids", "mask")
        )
        hidden = self.model["body"](input_ids=tokens, attention_mask=seen, use_cache=False).last_hidden_state
        length = rollout["completion_ids"].shape[1]
        estimates: Tensor = self.model["head"](hidden[:, -length - 1 : -1]).squeeze(-1)
        return estimates

    def step(self, max_norm: float) -> None:
        """Makes one optimizer step."""
        import torch

        torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def save(self, checkpoint: Path) -> None:
        """Writes weights and optimizer into a training checkpoint."""
        import torch
        from safetensors.torch import save_model

        save_model(self.model, str(checkpoint / WEIGHTS))
        torch.save(self.optimizer.state_dict(), checkpoint / OPTIMIZER)

    def load(self, checkpoint: Path) -> None:
        """Reads weights and optimizer from a training checkpoint."""
        import torch
        from safetensors.torch import load_model

        load_model(self.model, str(checkpoint / WEIGHTS))
        self.optimizer.load_state_dict(torch.load(checkpoint / OPTIMIZER, weights_only=True))


def value_model(policy: Path, recipe: Critic | None, runtime: Runtime, resample: int) -> ValueModel | None:
    """Returns the critic of a run that has one; raises `RecipeError` for several ranks, and for flat groups that are
    replaced."""
    if recipe is None:
        return None
    if (ranks := runtime.launcher.ranks) > 1:
        raise RecipeError(f"a critic trains in one process, and the launcher starts {ranks}; take inline")
    if resample:
        raise RecipeError("a critic also learns from groups of equal rewards, so none is replaced; set resample to 0")
    return ValueModel(policy, recipe, runtime)


def criticized(trainer: "type[GRPOTrainer]", value_model: ValueModel | None) -> "type[GRPOTrainer]":
    """Returns the trainer with advantages by the critic, which learns in the same steps."""
    if value_model is None:
        return trainer
    import torch

    critic, recipe = value_model, value_model.recipe

    class CriticTrainer(scored(trainer)):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            output = super()._generate_and_score_completions(inputs)
            rewards_B = self.rewards_N.nan_to_num(0.0)
            mask_BT = output["completion_mask"] * (~self.rewards_N.isnan()).to(rewards_B).unsqueeze(1)
            last_B = output["completion_mask"].sum(1).long().clamp(min=1) - 1
            values_BT = self._values(output) * mask_BT
            rewards_BT = torch.zeros_like(values_BT).scatter(
                1, last_B.unsqueeze(1), rewards_B.to(values_BT).unsqueeze(1)
            )
            advantages_BT, returns_BT = gae(rewards_BT, values_BT, mask_BT, recipe.discount, recipe.gae_lambda)
            self._metrics["train"]["explained_variance"].append(explained(returns_BT, values_BT, mask_BT))
            output["advantages"] = whitened(advantages_BT, mask_BT) if recipe.whiten else advantages_BT
            return output | {"returns": returns_BT, "old_values": values_BT, "value_mask": mask_BT}

        def _values(self, rollout: dict[str, Any]) -> Any:
            """Returns the values of the whole rollout, computed in parts."""
            parts = range(0, len(rollout["completion_ids"]), self.args.per_device_train_batch_size)
            size = self.args.per_device_train_batch_size
            columns = [f"{side}_{what}" for side in ("prompt", "completion") for what in ("ids", "mask")]
            with torch.no_grad():
                found = [critic.values({name: rollout[name][at : at + size] for name in columns}) for at in parts]
            return torch.cat(found)

        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
            loss = super()._compute_loss(model, inputs)
            error = value_loss(
                critic.values(inputs), inputs["old_values"], inputs["returns"], inputs["value_mask"], recipe.value_clip
            )
            (error / self.current_gradient_accumulation_steps).backward()
            self._metrics["train"]["value_loss"].append(error.item())
            if self.accelerator.sync_gradients:
                critic.step(self.args.max_grad_norm)
            return loss * 0.0 if self.state.global_step < recipe.warmup_steps else loss

    return CriticTrainer


def keep_critic(critic: ValueModel) -> "TrainerCallback":
    """Returns a callback that carries the critic through checkpoints."""
    from transformers import TrainerCallback

    def checkpoint(args: Any, state: Any) -> Path:
        return Path(args.output_dir) / f"checkpoint-{state.global_step}"

    class KeepCritic(TrainerCallback):  # type: ignore[misc]
        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            critic.save(checkpoint(args, state))

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step:
                critic.load(checkpoint(args, state))

    return KeepCritic()
