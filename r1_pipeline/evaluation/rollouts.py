"""Rewards and advantages of stored rollouts, computed again from the scores of the parts and the recipe.

Audits compare them with what was stored; `r1 regrade` computes what they would be under today's verifiers.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.records import Record
from r1_pipeline.rewards.rubric import Rubric
from r1_pipeline.training.advantages import DIVISOR

if TYPE_CHECKING:
    import polars as pl


class RewardChanges(Record):
    """The rewards that a reinforced model would have got under other verdicts."""

    rollouts: int
    """The number of rollouts with another reward."""
    groups: int
    """The number of groups with such a rollout."""
    all_groups: int
    advantage: float | None
    """The sum of the absolute changes of advantages, as a share of the sum of the absolute advantages.

    None if an advantage depends on rollouts that are not stored, or all are 0."""


def rubric_of(model: Checkpoint) -> Rubric:
    """Returns the rubric of a reinforced model."""
    return Rubric.model_validate(model.manifest.payload["recipe"]["rubric"])


def with_rewards(rollouts: "pl.LazyFrame", rubric: Rubric) -> "pl.LazyFrame":
    """Adds the columns `again`, the reward computed from the parts, and `accuracy`, the score of that part.

    Rewards are those of the weights at the step of each rollout.
    """
    import polars as pl

    def part(name: str) -> "pl.Expr":
        named = pl.element().filter(pl.element().struct.field("part") == name)
        return pl.col("parts").list.eval(named.struct.field("score")).list.first()

    terms = {name: part(name) * weight for name, weight in _weights(rubric).items()}
    applies = pl.any_horizontal(term.is_not_null() for term in terms.values())
    total = pl.when(applies).then(pl.sum_horizontal(term.fill_null(0.0) for term in terms.values()))
    return rollouts.with_columns(again=total, accuracy=part("accuracy"))


def _weights(rubric: Rubric) -> "dict[str, pl.Expr]":
    """Returns the weight of each part at the column `step`."""
    import polars as pl

    def at(name: str, weight: float) -> "pl.Expr":
        moved = {each.part: each for each in rubric.annealed}.get(name)
        if moved is None:
            return pl.lit(weight)
        done = ((pl.col("step") - moved.begin) / (moved.end - moved.begin)).clip(0.0, 1.0)
        return weight + done * (moved.to - weight)

    return {name: at(name, weight) for name, weight in rubric.weights.items()}


def group_divisor(model: Checkpoint) -> "pl.Expr | None":
    """Returns the number that divides a reward's distance from its group's mean (paper, equation 3).

    None if advantages depend on a whole rollout, which may not be stored, on parts before they are summed, or on a
    critic.
    """
    import polars as pl

    grpo = model.manifest.payload["recipe"]["grpo"]
    if grpo.get("critic"):
        return None
    objective = grpo.get("objective", {})
    scaling, baseline = objective.get("scale_rewards", "group"), objective.get("baseline", "group")
    if scaling in ("batch", "centred") or baseline == "batch" or objective.get("parts", "summed") == "decoupled":
        return None
    reward = pl.col("reward")
    divisors = {
        "group": reward.std().over("prompt") + DIVISOR,
        "mean": reward.mean().over("prompt"),
        "none": pl.lit(1.0),
    }
    if baseline == "others":  # r - mean of the others is n / (n - 1) times r - mean of all
        return divisors[scaling] * (1 - 1 / reward.count().over("prompt"))
    return divisors[scaling]


def reward_changes(model: Checkpoint, scores: Mapping[str, float | None]) -> RewardChanges:
    """Returns what changes if the rollouts with these ids had these accuracies; None stands for no verdict.

    A rollout without a verdict has no reward at all, as in training.
    """
    import polars as pl

    rows = with_rewards(model.rollouts(), rubric_of(model))
    new = pl.DataFrame(
        {"rollout_id": list(scores), "new": list(scores.values())},
        schema={"rollout_id": pl.String, "new": pl.Float64},
    ).with_columns(changed=True)
    weight = _weights(rubric_of(model)).get("accuracy", pl.lit(0.0))
    moved = pl.col("reward") + weight * (pl.col("new") - pl.col("accuracy"))
    joined = rows.join(new.lazy(), on="rollout_id", how="left").with_columns(
        then=pl.col("reward"), reward=pl.when(pl.col("changed")).then(moved).otherwise(pl.col("reward"))
    )
    other = (pl.col("then") - pl.col("reward")).abs() > 0
    other |= pl.col("then").is_null() != pl.col("reward").is_null()
    divisor = group_divisor(model)
    after = (pl.col("reward") - pl.col("reward").mean().over("prompt")) / (pl.lit(1.0) if divisor is None else divisor)
    table = joined.with_columns(other=other.fill_null(value=False), after=after.fill_null(0.0).fill_nan(0.0)).collect()
    total = float(table["advantage"].abs().sum())
    shift = float((table["after"] - table["advantage"]).abs().filter(table["prompt"].is_in(_prompts(table))).sum())
    return RewardChanges(
        rollouts=int(table["other"].sum()),
        groups=len(_prompts(table)),
        all_groups=table["prompt"].n_unique(),
        advantage=None if divisor is None or not total else shift / total,
    )


def _prompts(table: "pl.DataFrame") -> list[int]:
    """Returns the numbers of the prompts with another reward."""
    return table.filter("other")["prompt"].unique().to_list()
