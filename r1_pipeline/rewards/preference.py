"""Preference scores of general replies: the reward models' interface, and their calibration.

A `Scorer` (`training.reward_model`) returns any real number, the log-odds of being preferred. The raw score is the
reward, as in the paper (equation 10): a logistic function of it would be flat where replies are already good. For
comparisons of models, `squash` maps it to (0, 1).
Each general problem belongs to the helpful or the safety set, by its `kind`, and gets the score of that set's model
only (paper, section on reward models). The helpful model sees the final summary only, the safety model the whole reply.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from r1_pipeline.records import PreferenceKind, Problem, Record


class Scorer(Protocol):
    """The interface of a reward model: it scores replies, and higher is better."""

    def score(self, prompts: Sequence[str], replies: Sequence[str]) -> list[float]:
        """Returns one score for each reply, in order; `prompts` and `replies` have equal lengths."""
        ...


def preference_kind(problem: Problem) -> PreferenceKind:
    """Returns the set of a general problem: `safety` for a harmful or seemingly harmful request, else `helpful`."""
    return "helpful" if problem.kind in (None, "helpful") else "safety"


def squash(score: float) -> float:
    """Returns the logistic function of a score; large scores saturate instead of overflowing."""
    return 0.5 * (1.0 + math.tanh(score / 2.0))


class Confidence(Record):
    """One bin of a calibration curve: pairs on which a reward model is about equally confident."""

    predicted: float
    """The mean probability that the model assigns to the reply it prefers, in [0.5, 1]."""
    observed: float
    """The share of the pairs in which people prefer that reply too."""
    pairs: int
    """The number of pairs in the bin."""


def calibration(margins: Sequence[float], bins: int) -> list[Confidence]:
    """Returns a reward model's calibration curve, in `bins` equal bins of [0.5, 1] without the empty ones.

    `margins` are the score of the preferred reply minus that of the other, one for each pair.
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
    """Returns the expected calibration error: the mean over pairs of |predicted - observed| of their bin."""
    total = sum(group.pairs for group in groups)
    return math.fsum(group.pairs * abs(group.predicted - group.observed) for group in groups) / total
