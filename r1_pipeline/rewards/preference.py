"""Preference scores of general replies, and how they become a reward.

A `Scorer` (`training.reward_model`) gives any real number: the log-odds of being preferred. It is the reward as it
stands, as in the paper (equation 10): a logistic function of it would be flat just where replies are already good. For
comparisons of models `squash` maps it to (0, 1).
Each general problem belongs to the helpful or the safety set and gets only that set's score (paper, reward-model
section), by its `kind`. The helpful model sees the final summary only, the safety model the whole reply.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from r1_pipeline.records import PreferenceKind, Problem, Record


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


class Confidence(Record):
    """Pairs on which a reward model is about equally sure."""

    predicted: float
    """Mean probability that it gives to the reply which it prefers, in [0.5, 1]."""
    observed: float
    """Share of the pairs in which people prefer that reply."""
    pairs: int


def calibration(margins: Sequence[float], bins: int) -> list[Confidence]:
    """How often a reward model is right, by how sure it is: in `bins` equal parts of [0.5, 1], empty ones left out.

    `margins` are the scores of the preferred replies less those of the others.
    """
    found: dict[int, list[tuple[float, bool]]] = {}
    for margin in margins:
        sure = squash(abs(margin))
        found.setdefault(min(bins - 1, int((sure - 0.5) * 2 * bins)), []).append((sure, margin > 0))
    return [
        Confidence(
            predicted=math.fsum(sure for sure, _ in group) / len(group),
            observed=sum(right for _, right in group) / len(group),
            pairs=len(group),
        )
        for _, group in sorted(found.items())
    ]


def calibration_error(groups: Sequence[Confidence]) -> float:
    """Expected calibration error: the mean over pairs of how far predicted and observed share are apart."""
    total = sum(group.pairs for group in groups)
    return math.fsum(group.pairs * abs(group.predicted - group.observed) for group in groups) / total
