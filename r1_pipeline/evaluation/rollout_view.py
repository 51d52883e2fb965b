"""This module prepares a model's rollouts for pages: series by step for plots, and examples with texts cut to a length.

The report, Dagster's metadata and MLflow show the same measures under the same names.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from r1_pipeline.artifacts.kinds import Checkpoint
from r1_pipeline.evaluation.rollout_health import Example, Health, examples, health
from r1_pipeline.records import Record

EXAMPLE_TITLES: dict[Example, str] = {
    "best": "Ten best",
    "worst": "Ten worst",
    "longest": "Ten longest",
    "unearned": "Ten rewarded most without a correct answer",
}
SHOWN_CHARACTERS = 1200
"""The number of characters of a rollout's text that a page shows: its first and its last half of them."""
MEASURES = (
    ("reward", "Reward", 2),
    ("tokens", "Tokens a rollout", 1),
    ("truncated", "Share cut off", 2),
    ("flat", "Share in groups of equal rewards", 2),
    ("empty_think", "Share without reasoning", 2),
    ("repetition", "Share of repetition", 2),
    ("language", "Words in the right language", 2),
    ("entropy", "Entropy, nats a token", 2),
    ("clipped", "Share of clipped ratios", 3),
    ("sampler_gap", "Gap to the sampler, nats a token", 3),
)
"""The name, title, and decimals of each measure of `rollout_health.Period`."""


@dataclass(frozen=True)
class Series:
    """One measure of a run, by the first steps of its periods."""

    name: str
    title: str
    decimals: int
    points: tuple[tuple[int, float], ...]


class ShownRollout(Record):
    """A rollout as a page shows it."""

    rollout_id: str
    step: int
    domain: str
    outcome: str
    """The outcome of grading in words; `no verdict` without one."""
    reward: float | None
    tokens: int
    text: str
    """The text, cut in the middle if it is long."""


class ShownRollouts(Record):
    """The health and the examples of one model's rollouts."""

    health: Health
    examples: dict[Example, tuple[ShownRollout, ...]]


def shown_rollouts(model: Checkpoint) -> ShownRollouts:
    """Returns what pages show of the rollouts of a reinforced model."""
    rows = model.rollouts()
    return ShownRollouts(
        health=health(rows, model.metrics()),
        examples={kind: tuple(map(_shown, examples(rows, kind).iter_rows(named=True))) for kind in get_args(Example)},
    )


def series(found: Health) -> Iterator[Series]:
    """Yields every measure that is known in some period, then the parts of the reward but `language`."""
    for name, title, decimals in MEASURES:
        values = ((each.step, getattr(each, name)) for each in found.periods)
        yield from _known(name, title, decimals, values)
    for part in dict.fromkeys(part for each in found.periods for part in each.parts if part != "language"):
        values = ((each.step, each.parts.get(part)) for each in found.periods)
        yield from _known(f"reward/{part}", f"Reward: {part.replace('_', ' ')}", 2, values)


def _known(name: str, title: str, decimals: int, values: Iterator[tuple[int, float | None]]) -> Iterator[Series]:
    if points := tuple((step, value) for step, value in values if value is not None):
        yield Series(name, title, decimals, points)


def _shown(row: dict[str, Any]) -> ShownRollout:
    return ShownRollout(
        outcome=(row["outcome"] or "no verdict").replace("_", " "),
        tokens=len(row["token_ids"]),
        text=cut(row["text"]),
        **{name: row[name] for name in ("rollout_id", "step", "domain", "reward")},
    )


def cut(text: str) -> str:
    """Returns a text of at most about `SHOWN_CHARACTERS`, which says how many characters it leaves out."""
    left_out = len(text) - SHOWN_CHARACTERS
    half = SHOWN_CHARACTERS // 2
    return text if left_out <= 0 else f"{text[:half]} [… {left_out:,} characters …] {text[-half:]}"
