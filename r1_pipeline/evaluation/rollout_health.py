"""The health of a reinforcement run, from its stored rollouts: measures by step, what they warn of, and examples.

Numbers come from all rollouts; measures of text from a sample of one step of each period, because a long run has
gigabytes of it. Rows are stored in order of step, so that a step is read without the others.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from r1_pipeline.records import Record
from r1_pipeline.rewards.format_check import empty_think
from r1_pipeline.rewards.language import language_share
from r1_pipeline.rewards.repetition import repetition

if TYPE_CHECKING:
    import polars as pl

PERIODS = 20
"""The maximum number of periods, of equally many steps each, that a run is divided into."""
TEXTS = 64
"""The number of rollouts of a period whose text is measured, those of its middle step with the smallest ids."""
LANGUAGE_TEXTS, LANGUAGE_END = 16, 2000
"""The number of those texts whose language is identified, by their last characters, since that takes longest."""
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
    replaced: float | None = None
    """The share that was not trained on, since another group took its place; None in a run that replaces none."""
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
    language: float
    """The mean share of words in the language of the problem: of all rollouts if the rubric has this part, weighted or
    watched, else of the ends of measured texts."""
    entropy: float | None = None
    """The mean entropy of the policy in the updates by these rollouts, in nats per token; None if it is not known."""
    clipped: float | None = None
    """The mean share of tokens whose ratio was clipped in these updates; None if it is not known."""


class Health(Record):
    """The health of one run."""

    rollouts: int
    periods: tuple[Period, ...]
    warnings: tuple[str, ...]
    """One sentence a fault, with its likely cause and a remedy."""


def health(rollouts: "pl.LazyFrame", metrics: Iterable[Mapping[str, Any]] = ()) -> Health:
    """Measures rows of `records.Rollout`, in a pass over their numbers and one over a sample of their texts.

    `metrics` are the step metrics of the run (`Checkpoint.metrics`), of which the entropy and the clipped share are
    taken.
    """
    import polars as pl

    known = rollouts.select(pl.col("step").unique()).collect(engine="streaming")["step"].sort().to_list()
    first, last = known[0], known[-1]
    width = max(1, -(-(last - first + 1) // PERIODS))
    steps: dict[int, list[int]] = {}
    for step in known:
        steps.setdefault((step - first) // width, []).append(step)
    updates: dict[int, list[Mapping[str, Any]]] = {}
    for row in metrics:  # of an update by the rollouts that were sampled last
        sampled = known[max(0, bisect_left(known, row["step"]) - 1)]
        updates.setdefault((sampled - first) // width, []).append(row)
    replaced = {"replaced": (~pl.col("trained")).mean()} if "trained" in rollouts.collect_schema() else {}
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
            **replaced,
        )
        .sort("period")
        .collect(engine="streaming")
    )
    scores = (
        rows.select("period", "parts").explode("parts").unnest("parts").group_by("period", "part", maintain_order=True)
    )
    parts = scores.agg(pl.col("score").mean()).collect(engine="streaming")
    outcomes = rows.drop_nulls("outcome").group_by("period", "outcome").agg(count=pl.len()).collect(engine="streaming")
    means = {
        period: dict(found.select("part", "score").iter_rows())
        for (period,), found in parts.group_by("period", maintain_order=True)
    }
    periods = tuple(
        Period(
            **{name: value for name, value in row.items() if name != "period"},
            parts=means[row["period"]],
            outcomes=dict(outcomes.filter(period=row["period"]).sort("outcome").select("outcome", "count").iter_rows()),
            entropy=_mean_of(updates.get(row["period"], ()), "entropy"),
            clipped=_mean_of(updates.get(row["period"], ()), "clipped"),
            **_of_texts(rollouts, steps[row["period"]], means[row["period"]].get("language")),
        )
        for row in numbers.iter_rows(named=True)
    )
    return Health(rollouts=sum(each.rollouts for each in periods), periods=periods, warnings=tuple(warnings(periods)))


def _of_texts(rollouts: "pl.LazyFrame", steps: Sequence[int], language: float | None) -> dict[str, Any]:
    """Returns the measures of text for a period with these steps; `language` is its consistency if that is known."""
    import polars as pl

    middle = rollouts.filter(pl.col("step") == steps[len(steps) // 2])
    drawn = middle.select("rollout_id", "text", "language").bottom_k(TEXTS, by="rollout_id").collect(engine="streaming")
    texts = drawn["text"].to_list()
    if language is None:
        ends = [text[-LANGUAGE_END:] for text in texts[:LANGUAGE_TEXTS]]
        language = fmean(map(language_share, ends, drawn["language"]))
    return {
        "empty_think": fmean(map(empty_think, texts)),
        "repetition": fmean(map(repetition, texts)),
        "language": language,
    }


def _mean_of(rows: Iterable[Mapping[str, Any]], name: str) -> float | None:
    values = [float(row[name]) for row in rows if name in row]
    return fmean(values) if values else None


def warnings(periods: tuple[Period, ...]) -> list[str]:
    """Returns what the measures warn of, each with its likely cause and a remedy."""
    return [*_of_rewards(periods), *_of_replies(periods[0], periods[-1]), *_of_updates(periods[0], periods[-1])]


def _of_rewards(periods: tuple[Period, ...]) -> list[str]:
    last = periods[-1]
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
    return found


def _of_replies(first: Period, last: Period) -> list[str]:
    found: list[str] = []
    if last.truncated > 0.5:
        found.append(
            f"{last.truncated:.0%} of the last rollouts are cut off; raise max_completion_tokens, or set a stop"
        )
    if last.empty_think > max(0.3, first.empty_think + 0.1):
        found.append(f"{last.empty_think:.0%} of the last rollouts skip their reasoning; check the format reward")
    if last.repetition > max(0.3, first.repetition + 0.1):
        found.append(f"{last.repetition:.0%} of the last texts is repetition; weigh the part repetition")
    if last.language < first.language - 0.1:
        found.append(
            f"language consistency fell from {first.language:.2f} to {last.language:.2f}; weigh the part language"
        )
    return found


def _of_updates(first: Period, last: Period) -> list[str]:
    found: list[str] = []
    if first.entropy and last.entropy is not None and last.entropy < 0.1 * first.entropy:
        found.append(
            f"entropy fell from {first.entropy:.2f} to {last.entropy:.3f} nats per token: samples become alike, and "
            "little is explored; lower the learning rate, raise beta, or stop earlier"
        )
    if last.clipped is not None and last.clipped > 0.3:
        found.append(
            f"the ratio of {last.clipped:.0%} of the last tokens was clipped, which gives them no gradient; take fewer "
            "updates of a rollout (steps_per_generation), or lower the learning rate"
        )
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
    keys = rows.select("rollout_id", "step", order=order).drop_nulls("order")
    chosen = keys.sort("order", "rollout_id", descending=[descending, False]).head(count).collect(engine="streaming")
    steps = [  # one at a time, since a table is ordered by step
        rollouts.filter(pl.col("step") == step, pl.col("rollout_id").is_in(ids)).collect(engine="streaming")
        for step, ids in chosen.group_by("step").agg("rollout_id").iter_rows()
    ]
    wanted = pl.concat(steps) if steps else rollouts.head(0).collect()
    return chosen.drop("step").join(wanted, on="rollout_id", how="left", maintain_order="left").drop("order")
