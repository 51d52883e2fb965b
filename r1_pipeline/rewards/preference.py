"""Preference scores of general replies, and how they become a reward.

A `Scorer` (`training.reward_model`) gives any real number. `squash` maps it to (0, 1) by the logistic function, so that
a reward model which has gone astray cannot outshout format and language; the paper states no scaling.
Each general problem belongs to the helpful or the safety set and gets only that set's score (paper, reward-model
section), by its `kind`. The helpful model sees the final summary only, the safety model the whole reply.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from r1_pipeline.records import PreferenceKind, Problem


class Scorer(Protocol):
    """A reward model, or anything that scores replies; higher is better."""

    def score(self, prompts: Sequence[str], replies: Sequence[str]) -> list[float]:
        """One number for each reply, in order; batched inside."""
        ...


def preference_kind(problem: Problem) -> PreferenceKind:
    """The set that a general problem belongs to: `safety` for a harmful request and for what looks like one."""
    return "helpful" if problem.kind in (None, "helpful") else "safety"


def squash(score: float) -> float:
    """The logistic function; saturates instead of overflowing."""
    return 0.5 * (1.0 + math.tanh(score / 2.0))
