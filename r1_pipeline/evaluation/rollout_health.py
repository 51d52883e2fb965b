"""The health of a reinforcement run, from its stored rollouts: measures by step, what they warn of, and examples.

Numbers come from all rollouts; measures of text from a sample of each period, because a long run has gigabytes of it.
"""

from typing import TYPE_CHECKING, Literal

from r1_pipeline.records import Record
from r1_pipeline.rewards.format_check import empty_think
from r1_pipeline.rewards.repetition import repetition

if TYPE_CHECKING:
    import polars as pl

PERIODS = 20
"""The maximum number of periods, of equally many steps each, that a run is divided into."""
TEXTS = 64
"""The number of rollouts of a period whose text is measured, drawn by the hash of their id."""
EXAMPLES = 10
"""The number of examples of each kind."""
Example = Literal["best", "worst", "longest", "unearned"]
"""Rollouts with the highest and the lowest reward, the longest, and those rewarded most without a correct answer."""


class Period(Record):
    """Measures of the rollouts of consecutive steps; shares are in [0, 1], lengths in tokens."""

    step: int
    """The first step."""
    rollouts: int
    tokens: float
    """The mean length."""
    truncated: float
    """The share that was cut off."""
    flat: float
    """The share in groups whose rewards are all equal."""
    reward: float | None
    """The mean reward; None if no rollout has one."""
    parts: dict[str, float | None]
    """The mean of each part where it applies."""
    outcomes: dict[str, int]
    """The number of verdicts by outcome."""
    sampler_gap: float | None
    """The mean absolute difference of log-probabilities between sampler and policy, in nats per token."""
    empty_think: float
    """The share, among measured texts, that skips its reasoning."""
    repetition: float
    """The mean share of repeated n-grams of measured texts."""


class Health(Record):
    """The health of one run."""

    rollouts: int
    periods: tuple[Period, ...]
    warnings: tuple[str, ...]
    """One sentence a fault, with its likely cause and a remedy."""


def health(rollouts: "pl.LazyFrame") -> Health:
    """Measures rows of `records.Rollout`, in a pass over their numbers and one over a sample of their texts."""
    import polars as pl

    first, last = rollouts.select(pl.col("step").min(), last=pl.col("step").max()).collect(engine="streaming").row(0)
    width = max(1, -(-(last - first + 1) // PERIODS))
    rows = rollouts.with_columns(period=(pl.col("step") - first) // width)
    numbers = (
        rows.group_by("period")
        .agg(
            pl.col("step").min(),
            rollouts=pl.len(),
            tokens=pl.col("token_ids").list.len().mean(),
            truncated=(pl.col("finish_reason") == "length").mean(),
            flat=pl.col("flat").mean(),
            reward=pl.col("reward").mean(),
            sampler_gap=pl.col("sampler_gap").mean(),
        )
        .sort("period")
        .collect(engine="streaming")
    )
    scores = (
        rows.select("period", "parts").explode("parts").unnest("parts").group_by("period", "part", maintain_order=True)
    )
    parts = scores.agg(pl.col("score").mean()).collect(engine="streaming")
    outcomes = rows.drop_nulls("outcome").group_by("period", "outcome").agg(count=pl.len()).collect(engine="streaming")
    drawn = rows.select("period", "text", order=pl.col("rollout_id")).group_by("period")
    texts = drawn.agg(pl.col("text").sort_by("order").head(TEXTS)).collect(engine="streaming")
    by_period = dict(texts.iter_rows())
    periods = tuple(
        Period(
            **{name: value for name, value in row.items() if name != "period"},
            parts=dict(parts.filter(period=row["period"]).select("part", "score").iter_rows()),
            outcomes=dict(outcomes.filter(period=row["period"]).sort("outcome").select("outcome", "count").iter_rows()),
            empty_think=_mean([float(empty_think(text)) for text in by_period[row["period"]]]),
            repetition=_mean([repetition(text) for text in by_period[row["period"]]]),
        )
        for row in numbers.iter_rows(named=True)
    )
    return Health(rollouts=sum(each.rollouts for each in periods), periods=periods, warnings=tuple(warnings(periods)))


def warnings(periods: tuple[Period, ...]) -> list[str]:
    """Returns what the measures warn of, each with its likely cause and a remedy."""
    first, last = periods[0], periods[-1]
    total = sum(each.rollouts for each in periods)
    found: list[str] = []
    form = [score for each in periods if (score := each.parts.get("format")) is not None]
    if form and not any(form):
        found.append(
            f"format reward is 0 for all {total:,} rollouts: the model never writes the form; warm it up, or "
            "reward parts of the form (examples/foothold.py)"
        )
    right = [score for each in periods if (score := each.parts.get("accuracy")) is not None]
    if right and not any(right):
        found.append("accuracy is 0 for all rollouts: the problems are too hard, or no answer is extracted; read some")
    if last.flat > 0.75:
        cause = "all answers are right: take harder problems" if right and right[-1] > 0.9 else "take easier problems"
        if not right or 0.1 < right[-1] <= 0.9:
            cause = "samples of a group are alike: raise the temperature, or mix problems of another difficulty"
        found.append(
            f"{last.flat:.0%} of the last rollouts are in groups of equal rewards, which have no gradient; {cause}"
        )
    if last.truncated > 0.5:
        found.append(
            f"{last.truncated:.0%} of the last rollouts are cut off; raise max_completion_tokens, or set a stop"
        )
    if last.empty_think > max(0.3, first.empty_think + 0.1):
        found.append(f"{last.empty_think:.0%} of the last rollouts skip their reasoning; check the format reward")
    if last.repetition > max(0.3, first.repetition + 0.1):
        found.append(f"{last.repetition:.0%} of the last texts is repetition; weigh the part repetition")
    begun, ended = first.parts.get("language"), last.parts.get("language")
    if begun is not None and ended is not None and ended < begun - 0.1:
        found.append(f"language consistency fell from {begun:.2f} to {ended:.2f}; weigh the part language")
    if last.sampler_gap is not None and last.sampler_gap > 0.1:
        found.append(
            f"the sampler's log-probabilities are {last.sampler_gap:.2f} nats per token away from the policy's"
        )
    return found


def examples(rollouts: "pl.LazyFrame", kind: Example, count: int = EXAMPLES) -> "pl.DataFrame":
    """Returns the `count` rollouts of this kind, the most extreme first."""
    import polars as pl

    by: dict[Example, tuple[pl.Expr, bool]] = {
        "best": (pl.col("reward"), True),
        "worst": (pl.col("reward"), False),
        "longest": (pl.col("token_ids").list.len(), True),
        "unearned": (pl.col("reward"), True),
    }
    rows = rollouts.filter(pl.col("outcome") != "correct") if kind == "unearned" else rollouts
    order, descending = by[kind]
    keys = rows.select("rollout_id", order=order).drop_nulls("order")
    chosen = keys.sort("order", "rollout_id", descending=[descending, False]).head(count).collect(engine="streaming")
    wanted = rollouts.filter(pl.col("rollout_id").is_in(chosen["rollout_id"].to_list())).collect(engine="streaming")
    return chosen.join(wanted, on="rollout_id", how="left", maintain_order="left").drop("order")


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
