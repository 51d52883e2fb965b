"""This module checks the rollouts of a checkpoint: identity, rewards, advantages, and verdicts.

Rewards and advantages of all rollouts are computed again from the stored scores and the recipe; ids and verdicts of a
random sample, or of all. Not covered: which rollouts there should be beyond their count, which needs the policy.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from r1_pipeline.artifacts.kinds import Checkpoint, ProblemSet
from r1_pipeline.evaluation.rejudge import BATCH, random_rows, rejudge_completions
from r1_pipeline.evaluation.rollouts import group_divisor, rubric_of, with_rewards
from r1_pipeline.lineage.integrity import Finding, finding, named_findings
from r1_pipeline.records import Domain
from r1_pipeline.rewards.verifier import Grader
from r1_pipeline.training.rollout_log import rollout_id

if TYPE_CHECKING:
    import polars as pl

EQUAL = 1e-6
"""The largest difference, in units of the reward, that rounding explains."""


def check_rollouts(
    model: Checkpoint, problem_sets: Iterable[ProblemSet], grader: Grader, domains: Iterable[Domain], rows: int | None
) -> Iterator[Finding]:
    """Yields every rollout of `model` that contradicts its recipe or itself, and every verdict that changes.

    `rows` random rollouts are hashed again, None for all; those of `domains` are graded again.
    """
    import polars as pl

    rollouts = model.rollouts()
    count = rollouts.select(pl.len()).collect(engine="streaming").item()
    if count != (stated := model.statistics.get("rollouts")):
        yield finding(model, "rollouts", f"the manifest states {stated}; the tables have {count}")
    chosen = rollouts if rows is None else random_rows(rollouts, rows)
    edited = (
        row["rollout_id"]
        for batch in chosen.collect_batches(maintain_order=True, chunk_size=BATCH)
        for row in batch.iter_rows(named=True)
        if rollout_id(row) != row["rollout_id"]
    )
    yield from named_findings(model, edited, "has been edited: its id is not the hash of its content", "rollout")
    yield from _check_numbers(model, rollouts)
    judged = chosen.filter(pl.col("outcome").is_not_null() & pl.col("domain").is_in(list(domains)))
    for each in rejudge_completions(judged, problem_sets, grader, model.template):
        if not each.agrees:
            said = f"{each.verdict.verifier} says {each.verdict.outcome}" if each.verdict else "its problem is missing"
            yield finding(model, f"rollout {each.row.sample_id}", f"was rewarded as {each.row.outcome}; {said}")


def _check_numbers(model: Checkpoint, rollouts: "pl.LazyFrame") -> Iterator[Finding]:
    """Yields the rollouts whose reward is not the sum of its parts, or whose advantage does not follow from the group's
    rewards."""
    import polars as pl

    numbers = ("rollout_id", "step", "prompt", "parts", "reward", "advantage", "outcome")
    rows = with_rewards(rollouts.select(numbers), rubric_of(model)).collect(engine="streaming")
    wrong = {
        "has a reward that is not the weighted sum of its parts": (pl.col("reward") - pl.col("again")).abs() > EQUAL,
        "has a reward, and none of its parts applies": pl.col("reward").is_null() != pl.col("again").is_null(),
        "has an accuracy that is not that of its outcome": _other_accuracy(),
    }
    if (divisor := group_divisor(model)) is not None:
        distance = pl.col("reward") - pl.col("reward").mean().over("prompt")
        apart = (pl.col("advantage") * divisor - distance).abs() > EQUAL
        alone = pl.col("reward").is_null() & (pl.col("advantage") != 0)
        wrong["has an advantage that does not follow from its group's rewards"] = apart.fill_null(value=False) | alone
    for what, fault in wrong.items():
        yield from named_findings(model, rows.filter(fault.fill_null(value=False))["rollout_id"], what, "rollout")


def _other_accuracy() -> "pl.Expr":
    import polars as pl

    right = pl.col("outcome") == "correct"
    return pl.col("accuracy").is_not_null() & (right != (pl.col("accuracy") == 1.0))
