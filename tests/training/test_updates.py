"""Laws of an update: advantage, ratio, clip, KL, loss and gradient of real training are those of the papers.

Real runs of `train_grpo` on rollouts that are fixed beforehand, of several lengths, some cut off, with prompts padded;
in every second step the policy is one step ahead of the one that sampled. Each step is computed once more, from the
weights that it started from, by numpy (`reference_objectives`). In double precision, so that 1e-6 says something.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_objectives as paper
import torch
import training_runs as runs
from transformers import AutoModelForCausalLM, PreTrainedModel
from trl import GRPOTrainer

from r1_pipeline.artifacts.draft import bare_draft
from r1_pipeline.artifacts.metrics import read_metrics
from r1_pipeline.records import Completion, Problem
from r1_pipeline.rewards.rubric import Log, PartFn
from r1_pipeline.training.grpo import train_grpo
from r1_pipeline.training.objectives import OBJECTIVES, Objective

EQUAL = 1e-6
RECIPE = runs.GRPO.model_copy(update={"steps": 4, "epsilon": 0.1})
MINIBATCHES, GROUP, LIMIT = RECIPE.steps_per_generation, RECIPE.group_size, RECIPE.max_completion_tokens
END = 2


@dataclass
class Step:
    """One minibatch as the trainer received it, and its results."""

    inputs: dict[str, torch.Tensor]
    weights: dict[str, torch.Tensor]
    old: dict[str, torch.Tensor]
    """The weights that sampled."""
    reference: dict[str, torch.Tensor]
    loss: float
    gradient: dict[str, torch.Tensor]


@dataclass
class Record:
    """The record of a run."""

    steps: list[Step] = field(default_factory=list)
    rollouts: list[list[list[int]]] = field(default_factory=list)
    sampled: dict[str, torch.Tensor] = field(default_factory=dict)
    reference: dict[str, torch.Tensor] = field(default_factory=dict)


def copied(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def drawn(rollout: int, row: int) -> list[int]:
    """Every fifth reply is cut off at the limit."""
    chance = random.Random(rollout * 1000 + row)
    if row % 5 == 0:
        return [chance.randrange(3, 60) for _ in range(LIMIT)]
    return [*(chance.randrange(3, 60) for _ in range(chance.randrange(3, 10))), END]


def paid(ids: Sequence[int]) -> float:
    """Returns a reward that float32 represents exactly."""
    return sum(ids) % 5 / 4


def first(ids: Sequence[int]) -> float:
    """Returns another one, with less spread."""
    return ids[0] % 3 / 16


def rewarding(score: Callable[[Sequence[int]], float]) -> PartFn:
    def reward(_: Sequence[Problem], completions: Sequence[Completion], __: Log) -> list[float | None]:
        return [score(done.token_ids) for done in completions]

    return reward


PARTS = {"paid": (paid, 1.0), "first": (first, 0.5)}
"""Part of the reward -> its function and weight."""


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    """Draws fixed replies, trains in double precision, and records every step."""
    seen, load, compute = Record(), PreTrainedModel.from_pretrained.__func__, GRPOTrainer.compute_loss

    def double(kind: type, *where: Any, **options: Any) -> Any:
        exact = {"dtype": torch.float64, "experts_implementation": "eager"}  # torch groups experts in single precision
        return load(kind, *where, **options | exact)

    def draw(trainer: Any, prompts: list[Any], *_: Any, **__: Any) -> tuple[list[list[int]], None]:
        seen.rollouts.append([drawn(len(seen.rollouts), row) for row in range(len(prompts))])
        seen.sampled, seen.reference = copied(trainer.model), copied(trainer.ref_model)
        return seen.rollouts[-1], None

    def keep(trainer: Any, model: Any, inputs: dict[str, torch.Tensor], *_: Any, **__: Any) -> torch.Tensor:
        weights = copied(model)
        loss = compute(trainer, model, inputs)
        named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        slopes = torch.autograd.grad(loss, [weight for _, weight in named], retain_graph=True, allow_unused=True)
        gradient = {name: slope for (name, _), slope in zip(named, slopes, strict=True) if slope is not None}
        seen.steps.append(Step(dict(inputs), weights, seen.sampled, seen.reference, loss.item(), gradient))
        return loss

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(double))
    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", draw)
    monkeypatch.setattr(GRPOTrainer, "compute_loss", keep)
    return seen


@dataclass(frozen=True)
class Batch:
    """A minibatch for the papers' formulas."""

    logp: paper.Array
    log_ratio: paper.Array
    log_reference: paper.Array
    """The logarithm of the ratio of policy to reference."""
    advantage: paper.Array
    mask: paper.Array
    tokens: float
    """The number of tokens that count in the rollout, for each of its minibatches."""

    @property
    def ratio(self) -> paper.Array:
        return np.exp(self.log_ratio)


Formula = Callable[[Batch], tuple[paper.Term, paper.Array]]
"""The loss and derivative of each token, and the weight of each token in the mean."""
FORMULAS: dict[str, tuple[Objective, Formula]] = {
    "grpo": (
        OBJECTIVES["grpo"],
        lambda b: (paper.clipped(b.ratio, b.advantage, 0.1, 0.1), paper.mean_of_replies(b.mask)),
    ),
    "dr_grpo": (
        OBJECTIVES["dr_grpo"],
        lambda b: (paper.clipped(b.ratio, b.advantage, 0.1, 0.1), b.mask / (len(b.mask) * LIMIT)),
    ),
    "dapo": (
        OBJECTIVES["dapo"],
        lambda b: (paper.clipped(b.ratio, b.advantage, 0.2, 0.28), b.mask / b.tokens),
    ),
    "gspo": (
        OBJECTIVES["gspo"],
        lambda b: (
            paper.by_reply(b.log_ratio, b.mask, lambda s: paper.clipped(s, b.advantage, 3e-4, 4e-4)),
            paper.mean_of_replies(b.mask),
        ),
    ),
    "luspo": (
        OBJECTIVES["luspo"],
        lambda b: (
            paper.by_reply(b.log_ratio, b.mask, lambda s: paper.clipped(s, b.advantage, 3e-4, 4e-4)),
            b.mask / len(b.mask),
        ),
    ),
    "cispo": (
        OBJECTIVES["cispo"].but(epsilon_high=1.1),
        lambda b: (paper.weighted(np.minimum(b.ratio, 1.1), b.advantage, b.logp), b.mask / b.tokens),
    ),
    "sapo": (
        OBJECTIVES["sapo"],
        lambda b: (paper.gated(b.ratio, b.advantage, 1.0, 1.05), paper.mean_of_replies(b.mask)),
    ),
    "vespo": (
        OBJECTIVES["vespo"],
        lambda b: (
            paper.weighted(paper.gamma(b.log_ratio, b.mask, b.advantage), b.advantage, b.logp),
            b.mask / b.tokens,
        ),
    ),
    "gdpo": (
        OBJECTIVES["gdpo"],
        lambda b: (paper.clipped(b.ratio, b.advantage, 0.1, 0.1), paper.mean_of_replies(b.mask)),
    ),
    "printed": (OBJECTIVES["printed"], lambda b: (whole_clipped(b), paper.mean_of_replies(b.mask))),
    "rloo": (OBJECTIVES["rloo"], lambda b: (whole_clipped(b), paper.mean_of_replies(b.mask))),
    "reinforce_pp": (
        OBJECTIVES["reinforce_pp"],
        lambda b: (paper.clipped(b.ratio, b.advantage, 0.1, 0.1), b.mask / b.tokens),
    ),
    "reinforce_pp_baseline": (
        OBJECTIVES["reinforce_pp_baseline"],
        lambda b: (paper.clipped(b.ratio, b.advantage, 0.1, 0.1), b.mask / b.tokens),
    ),
    "maxrl": (
        OBJECTIVES["maxrl"],
        lambda b: (paper.clipped(b.ratio, b.advantage, 0.1, 0.1), b.mask / (len(b.mask) * LIMIT)),
    ),
    "k1": (
        Objective(kl="k1", unbiased_kl=True),
        lambda b: (paper.clipped(b.ratio, b.advantage, 0.1, 0.1), paper.mean_of_replies(b.mask)),
    ),
    "k2 of whole replies": (
        Objective(importance="product", kl="k2", epsilon_high=0.2, ratio_ceiling=1.5),
        lambda b: (whole_clipped(b, 0.2, 1.5), paper.mean_of_replies(b.mask)),
    ),
    "k2 by gspo": (
        OBJECTIVES["gspo"].but(kl="k2", mask_truncated=True),
        lambda b: (
            paper.by_reply(b.log_ratio, b.mask, lambda s: paper.clipped(s, b.advantage, 3e-4, 4e-4)),
            paper.mean_of_replies(b.mask),
        ),
    ),
}


def whole_clipped(b: Batch, high: float = 0.1, ceiling: float = np.inf) -> paper.Term:
    """Computes equation 1 as it is printed, for whole replies."""

    def term(log_ratio: paper.Array) -> paper.Term:
        ratio = np.exp(log_ratio)
        loss, slope = paper.clipped(np.minimum(ratio, ceiling), b.advantage, 0.1, high)
        return loss, np.where(ratio < ceiling, slope, 0.0)

    return paper.by_product(b.log_ratio, b.mask, term)


def kl_of(objective: Objective, b: Batch) -> paper.Term:
    """Computes the KL term of each token."""
    estimator = {"k1": paper.k1, "k2": paper.k2, "k3": paper.k3}[objective.kl]
    if objective.importance == "product":
        return paper.by_product(b.log_reference, b.mask, lambda d: estimator(d, np.zeros_like(d)))
    term = estimator(b.log_reference, np.zeros_like(b.log_reference))
    return paper.corrected(b.ratio, term) if objective.unbiased_kl else term


def advantages_by(objective: Objective, parts_KNG: paper.Array) -> paper.Array:
    """Computes the advantage of each reply of a rollout."""
    weights = np.array([weight for _, weight in PARTS.values()])
    if objective.parts == "decoupled":
        return paper.decoupled(parts_KNG, weights)
    rewards = np.tensordot(weights, parts_KNG, 1)
    own = {
        ("others", "none"): paper.less_the_others,
        ("batch", "batch"): paper.of_the_rollout,
        ("group", "centred"): paper.centred_then_scaled,
        ("group", "mean"): paper.per_mean,
    }.get((objective.baseline, objective.scale_rewards))
    return own(rewards) if own else paper.advantages(rewards, scaled=objective.scale_rewards == "group")


@pytest.mark.parametrize("name", FORMULAS)
def test_every_step_is_the_papers(name: str, record: Record, tiny: Path, tmp_path: Path) -> None:
    objective, formula = FORMULAS[name]
    draft = bare_draft(tmp_path)
    recipe = RECIPE.model_copy(update={"objective": objective})
    parts = {each: rewarding(score) for each, (score, _) in PARTS.items()}
    weights = {each: weight for each, (_, weight) in PARTS.items()}
    train_grpo(tiny, runs.problems(recipe.problems), "chat", parts, weights, recipe, runs.RUNTIME, draft)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    assert len(record.steps) == 4
    moved, cut = 0.0, 0.0
    for index, (step, logged) in enumerate(zip(record.steps, read_metrics(draft.metrics), strict=True)):
        rollout = record.rollouts[index // MINIBATCHES]
        batch = batch_of(model, step, rollout, advantages_of(rollout, objective), objective.mask_truncated)
        kl = kl_of(objective, batch)
        assert step.inputs["advantages"].numpy() == pytest.approx(batch.advantage[:, 0], abs=EQUAL)
        (loss, slope), weight = formula(batch)
        expected = float(((loss + recipe.beta * kl[0]) * weight).sum())
        assert step.loss == pytest.approx(expected, abs=EQUAL)
        for parameter, difference in gradient_of(model, step, (slope + recipe.beta * kl[1]) * weight).items():
            assert (step.gradient[parameter] - difference).abs().max() < EQUAL, parameter
        logs = paper.k3(batch.log_reference, np.zeros_like(batch.mask))[0]  # whatever estimator the loss takes
        assert logged["kl"] == pytest.approx((logs * batch.mask).sum() / batch.mask.sum(), abs=EQUAL)
        moved = max(moved, np.abs(batch.log_ratio * batch.mask).max())
        cut += logged.get("clipped", 0.0)
        if name in ("grpo", "dr_grpo"):
            beyond = np.where(batch.advantage > 0, batch.ratio > 1.1, (batch.ratio < 0.9) & (batch.advantage < 0))
            assert logged["clipped"] == pytest.approx((beyond * batch.mask).sum() / batch.mask.sum(), abs=EQUAL)
    assert moved > 0.1
    assert (cut > 0) == (name not in ("sapo", "vespo"))


def advantages_of(rollout: list[list[int]], objective: Objective) -> dict[tuple[int, ...], float]:
    """Returns the advantage of each reply in its rollout."""
    parts = np.array([[score(ids) for ids in rollout] for score, _ in PARTS.values()]).reshape(len(PARTS), -1, GROUP)
    return dict(zip(map(tuple, rollout), advantages_by(objective, parts), strict=True))


def batch_of(
    model: Any, step: Step, rollout: list[list[int]], advantage_of: dict[tuple[int, ...], float], left_out: bool
) -> Batch:
    """Returns the minibatch from the replies that were drawn."""
    rows = [tuple(row[row != 0].tolist()) for row in step.inputs["completion_ids"]]  # 0 pads, and is never drawn
    width = step.inputs["completion_ids"].shape[1]

    def counts(ids: Sequence[int]) -> bool:
        return not (left_out and ids[-1] != END)

    mask = np.array([[float(place < len(ids) and counts(ids)) for place in range(width)] for ids in rows])
    assert (step.inputs["completion_mask"].numpy() == mask).all()
    policy, old, reference = (
        logp_of(model, step, weights).detach().numpy() * mask for weights in (step.weights, step.old, step.reference)
    )
    return Batch(
        logp=policy,
        log_ratio=policy - old,
        log_reference=policy - reference,
        advantage=np.array([[advantage_of[ids]] for ids in rows]),
        mask=mask,
        tokens=sum(len(ids) for ids in rollout if counts(ids)) / MINIBATCHES,
    )


def logp_of(model: Any, step: Step, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    """Returns the log-probabilities of the replies' tokens, from the model's own logits."""
    model.load_state_dict(weights)
    tokens, seen = (
        torch.cat([step.inputs[f"prompt_{what}"], step.inputs[f"completion_{what}"]], dim=1) for what in ("ids", "mask")
    )
    replies = step.inputs["completion_ids"]
    logits = model(input_ids=tokens, attention_mask=seen).logits[:, -replies.shape[1] - 1 : -1]
    expected = paper.log_softmax(logits.detach().numpy())
    found = logits.log_softmax(-1)
    assert found.detach().numpy() == pytest.approx(expected, abs=1e-10)
    return found.gather(2, replies.unsqueeze(2)).squeeze(2)


def gradient_of(model: Any, step: Step, slope: paper.Array) -> dict[str, torch.Tensor]:
    """Returns the derivative by each weight from the derivative by each log-probability."""
    model.zero_grad()
    (logp_of(model, step, step.weights) * torch.from_numpy(slope)).sum().backward()
    return {name: weight.grad for name, weight in model.named_parameters() if name in step.gradient}
