"""Preference scores of general replies, and how they become a reward.

A `Scorer` (`training.reward_model`) gives any real number. `squash` maps it to (0, 1) by the logistic function, so that
a reward model which has gone astray cannot outshout format and language; the paper states no scaling.
Each general problem belongs to the helpful or the safety set and gets only that set's score (paper, reward-model
section): `preference_kind` reads it off the problem's source. The helpful model sees the final summary only, the safety
model the whole reply.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from r1_pipeline.data.origin import Origin
from r1_pipeline.records import PreferenceKind, Problem


class Scorer(Protocol):
    """A reward model, or anything that scores replies; higher is better."""

    def score(self, prompts: Sequence[str], replies: Sequence[str]) -> list[float]:
        """One number for each reply, in order; batched inside."""
        ...


def preference_kind(problem: Problem) -> PreferenceKind:
    """`safety` where the row that the source names (after its `#`) begins with `harm`, else `helpful`."""
    return "safety" if Origin.of(problem.source).fact.startswith("harm") else "helpful"


def squash(score: float) -> float:
    """The logistic function; saturates instead of overflowing."""
    return 0.5 * (1.0 + math.tanh(score / 2.0))
