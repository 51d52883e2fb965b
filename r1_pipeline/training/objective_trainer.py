"""The trainer of an objective: TRL's `GRPOTrainer`, with the losses and advantages that TRL does not have.

TRL's loss of a token is `-min(ratio * A, clip(ratio) * A)`. With the policy given as the one that sampled, it finds a
ratio of 1 without gradient, and A is set to minus our loss: the mask, the means over tokens and replies, and the
metrics therefore stay TRL's. The KL term is part of our loss then, since TRL has one estimator of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from r1_pipeline.training.advantages import advantages, trl_lacks
from r1_pipeline.training.objectives import SURROGATES, KlEstimator, Objective, Replies
from r1_pipeline.training.scored import scored

if TYPE_CHECKING:
    from torch import Tensor
    from trl import GRPOTrainer

CLIP_METRICS = "clip_ratio/"
"""The beginning of the names of TRL's metrics about the clip."""
CLIPPED_SHARE = "clip_ratio/region_mean"


def trainer_class(objective: Objective) -> "type[GRPOTrainer]":
    """Returns TRL's trainer class, or a subclass with what the objective has and TRL does not."""
    from trl import GRPOTrainer

    made: type[GRPOTrainer] = GRPOTrainer
    if trl_lacks(objective):
        made = _with_advantages(made, objective)
    if objective.surrogate is not None or objective.importance == "product" or objective.kl != "k3":
        made = _with_loss(made, objective)
    return made


def log_ratio(replies: Replies, of: "Tensor", to: "Tensor", importance: str) -> "Tensor":
    """Returns the logarithm of the ratio of probabilities `of` to `to`, of each token or of each reply."""
    apart_BT = of - to
    if importance == "token":
        return apart_BT
    total_B1 = (apart_BT * replies.mask_BT).sum(1, keepdim=True)
    if importance == "product":
        return total_B1.expand_as(apart_BT)
    return (total_B1 / replies.mask_BT.sum(1, keepdim=True).clamp(min=1)).expand_as(apart_BT)


def clipped_loss(
    ratio: "Tensor", advantages_B1: "Tensor", low: float, high: float, ceiling: float | None
) -> "tuple[Tensor, Tensor]":
    """Returns the clipped loss (paper, equation 1), and where the clip decides."""
    free = (ratio if ceiling is None else ratio.clamp(max=ceiling)) * advantages_B1
    bound = ratio.clamp(1 - low, 1 + high) * advantages_B1
    beyond = ((ratio < 1 - low) & (advantages_B1 < 0)) | ((ratio > 1 + high) & (advantages_B1 > 0))
    return -free.minimum(bound), beyond


def kl_term(log_ratio: "Tensor", estimator: KlEstimator) -> "Tensor":
    """Returns Schulman's estimate of KL(policy, reference) from the log-ratio of policy to reference."""
    if estimator == "k1":
        return log_ratio
    if estimator == "k2":
        return log_ratio.square() / 2
    found: Tensor = (-log_ratio).exp() + log_ratio - 1
    return found


def _with_advantages(trainer: "type[GRPOTrainer]", objective: Objective) -> "type[GRPOTrainer]":
    class AdvantageTrainer(scored(trainer)):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            output = super()._generate_and_score_completions(inputs)
            found = advantages(self.rewards_N, self.num_generations, objective.baseline, objective.scale_rewards)
            own = len(output["advantages"])
            first = self.accelerator.process_index * own
            output["advantages"] = found[first : first + own].to(output["advantages"])
            return output

    return AdvantageTrainer


def policy_loss(objective: Objective, replies: Replies, low: float, high: float) -> "tuple[Tensor, Tensor | None]":
    """Returns the loss of each token without the KL term, and where the clip decides; None for a surrogate."""
    if objective.surrogate is not None:
        return SURROGATES[objective.surrogate].loss_BT(replies), None
    ratio = log_ratio(replies, replies.logp_BT, replies.old_logp_BT, objective.importance).exp()
    return clipped_loss(ratio, replies.advantages_B1, low, high, objective.ratio_ceiling)


def kl_loss(objective: Objective, replies: Replies, reference_BT: "Tensor") -> "Tensor":
    """Returns the KL term of each token, that of its whole reply if the ratio is (paper, equation 2)."""
    level = "product" if objective.importance == "product" else "token"
    term = kl_term(log_ratio(replies, replies.logp_BT, reference_BT, level), objective.kl)
    if objective.unbiased_kl:
        term = term * log_ratio(replies, replies.logp_BT, replies.old_logp_BT, objective.importance).exp()
    return term


def _with_loss(trainer: "type[GRPOTrainer]", objective: Objective) -> "type[GRPOTrainer]":
    import torch

    class LossTrainer(trainer):  # type: ignore[misc]
        known: Any = None

        def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any:
            return self.known or super()._get_per_token_logps_and_entropies(*arguments, **options)

        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
            tokens, seen = (
                torch.cat([inputs[f"prompt_{what}"], inputs[f"completion_{what}"]], dim=1) for what in ("ids", "mask")
            )
            known = super()._get_per_token_logps_and_entropies(
                model,
                tokens,
                seen,
                inputs["completion_ids"].size(1),
                compute_entropy=True,
                compute_aux_loss=self.aux_loss_enabled,
            )
            logp, old = known[0], inputs.get("old_per_token_logps")
            replies = Replies(
                logp_BT=logp,
                old_logp_BT=logp.detach() if old is None else old,
                advantages_B1=inputs["advantages"].view(len(logp), -1),  # (B, T) by a critic
                mask_BT=inputs["completion_mask"],
            )
            loss_BT, beyond_BT = policy_loss(objective, replies, self.epsilon_low, self.epsilon_high)
            given = {**inputs, "old_per_token_logps": logp}
            if (weights := inputs.get("importance_sampling_ratio")) is not None:  # they are not the KL term's
                loss_BT, given["importance_sampling_ratio"] = loss_BT * weights, torch.ones_like(weights)
            if self.beta:
                reference_BT = inputs["ref_per_token_logps"]
                loss_BT = loss_BT + self.beta * kl_loss(objective, replies, reference_BT)
                by_token_BT = kl_term(logp.detach() - reference_BT, "k3")  # logged, whatever the objective takes
                _log_mean(self, "kl", by_token_BT, replies.mask_BT)
            with _only_averaging(self, known):
                loss = super()._compute_loss(model, {**given, "advantages": -loss_BT})
            if beyond_BT is not None:
                _log_mean(self, CLIPPED_SHARE, beyond_BT, replies.mask_BT)
            return loss

    return LossTrainer


def _log_mean(trainer: Any, name: str, values_BT: "Tensor", mask_BT: "Tensor") -> None:
    """Logs the mean over the tokens of all ranks, as TRL does."""
    import torch

    sums = torch.stack([(values_BT * mask_BT).sum().float(), mask_BT.sum().float()])
    total, count = trainer.accelerator.reduce(sums, reduction="sum")
    trainer._metrics["train"][name].append((total / count.clamp(min=1)).item())


@contextmanager
def _only_averaging(trainer: Any, known: Any) -> Iterator[None]:
    """Lets TRL average a finished loss: it computes no forward pass, no KL term and no share of clips."""
    metrics, beta = trainer._metrics["train"], trainer.beta
    kept = {name: list(values) for name, values in metrics.items() if name.startswith(CLIP_METRICS)}
    trainer.known, trainer.beta = known, 0.0
    try:
        yield
    finally:
        trainer.known, trainer.beta = None, beta
        for name in [each for each in metrics if each.startswith(CLIP_METRICS)]:
            del metrics[name]
        metrics.update(kept)
