"""The scores of a judged benchmark: three-way shares, win rates over a baseline, and mean grades.

The length-controlled win rate follows Dubois et al. 2024 (AlpacaEval 2): a logistic regression explains each preference
by the model and by tanh of the standardized difference in length, and the win rate is predicted at equal length. Not
covered: the regression's term for the difficulty of each instruction, which needs the verdicts on many other models,
and weights of preferences by the probabilities of the judge's tokens.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from r1_pipeline.evaluation.judging import Case, by_case
from r1_pipeline.generation.judge_protocol import Combined, JudgeRecipe, Opinion, Protocol, combined
from r1_pipeline.records import Record

RIDGE = 1e-3
"""The weight of the squared coefficients in the regression, which keeps them finite if all preferences are equal."""


class JudgedScores(Record):
    """The scores of one model that judges gave."""

    protocol: Protocol
    answered_by: dict[str, str | None]
    """The model that answered for each judge, as its server reported it."""
    judged: int
    """The number of replies about which the judges have a combined opinion."""
    grades: dict[str, int]
    """The number of replies by three-way grade."""
    correct_given_attempted: float | None
    """The share of correct replies among those that are correct or incorrect."""
    f_score: float | None
    """The harmonic mean of the shares of correct replies among all and among the attempted ones."""
    win_rate: float | None
    """The mean preference over the baseline's replies, in [0, 1]; ties count half."""
    length_controlled_win_rate: float | None
    """The win rate predicted at equal length of both replies, in [0, 1]."""
    mean_grade: float | None
    """The mean grade, from 1 to 10."""
    by_turn: dict[int, float]
    """The mean grade of each turn of conversations, from turn 1."""
    standard_error: float | None
    """The standard error of the win rate or the mean grade, clustered by problem; None for one problem."""
    unanimous: float | None
    """The share of replies about which all judges agree; None for a single judge."""


def judged_scores(judge: JudgeRecipe, cases: Sequence[Case], opinions: Sequence[Opinion], samples: int) -> JudgedScores:
    """Computes the scores from the opinions; `samples` is the number of samples of each turn."""
    by_key = by_case(opinions)
    found = [(case, combined(judge, by_key[case.key])) for case in cases if case.key in by_key]
    heard = [(case, each) for case, each in found if each.grade is not None or each.value is not None]
    grades = Counter(each.grade for _, each in heard if each.grade)
    attempted = grades["correct"] + grades["incorrect"]
    precision = grades["correct"] / attempted if attempted else None
    share = grades["correct"] / grades.total() if grades else 0.0
    valued = [(case, each.value, each.weight or 1.0) for case, each in heard if each.value is not None]
    mean = _mean(valued)
    pairs = [(value, len(case.replies[-1]), len(case.problem.answer or "")) for case, value, _ in valued]
    return JudgedScores(
        protocol=judge.protocol,
        answered_by={each.judge: each.answered_by for each in opinions},
        judged=len(heard),
        grades=dict(sorted(grades.items())),
        correct_given_attempted=precision,
        f_score=2 * share * precision / (share + precision) if precision else precision,
        win_rate=mean if judge.protocol == "pairwise" else None,
        length_controlled_win_rate=length_controlled(pairs) if judge.protocol == "pairwise" and pairs else None,
        mean_grade=mean if judge.protocol == "grade" else None,
        by_turn=_by_turn(valued, samples) if judge.protocol == "grade" else {},
        standard_error=_standard_error(valued),
        unanimous=_unanimous(judge, [by_key[case.key] for case, _ in heard]),
    )


Valued = Sequence[tuple[Case, float, float]]
"""Cases with their value and its weight."""


def _mean(valued: Valued) -> float | None:
    if not valued:
        return None
    return math.fsum(weight * value for _, value, weight in valued) / math.fsum(weight for *_, weight in valued)


def _by_turn(valued: Valued, samples: int) -> dict[int, float]:
    ordered = sorted(valued, key=lambda each: each[0].completion.sample_index // samples)
    turns = groupby(ordered, key=lambda each: each[0].completion.sample_index // samples)
    return {turn + 1: mean for turn, part in turns if (mean := _mean(list(part))) is not None}


def _standard_error(valued: Valued) -> float | None:
    """Returns the standard error of the weighted mean, where the replies to one problem are one cluster."""
    mean = _mean(valued)
    off: dict[str, float] = {}
    for case, value, weight in valued:
        assert mean is not None
        off[case.problem.id] = off.get(case.problem.id, 0.0) + weight * (value - mean)
    if len(off) < 2:
        return None
    total = math.fsum(weight for *_, weight in valued)
    return math.sqrt(len(off) / (len(off) - 1) * math.fsum(each * each for each in off.values())) / total


def _unanimous(judge: JudgeRecipe, heard: Sequence[Sequence[Opinion]]) -> float | None:
    if len(judge.models) < 2 or not heard:
        return None
    alone = [judge.model_copy(update={"models": (name,)}) for name in judge.models]
    return sum(_agree(combined(one, opinions) for one in alone) for opinions in heard) / len(heard)


def _agree(each: Iterable[Combined]) -> bool:
    return len({(found.grade, found.value) for found in each}) == 1


def length_controlled(pairs: Sequence[tuple[float, int, int]]) -> float:
    """Returns the win rate at equal length; `pairs` has preference, length of the reply, length of the baseline's.

    The regression is p = σ(θ + φ tanh((l - l') / s)), with s the standard deviation of l - l'; the result is σ(θ). The
    lengths are characters, as in AlpacaEval.
    """
    preferences = np.array([each[0] for each in pairs])
    gaps = np.array([float(mine - theirs) for _, mine, theirs in pairs])
    spread = gaps.std()
    features = np.stack([np.ones(len(gaps)), np.tanh(gaps / spread) if spread > 0 else np.zeros(len(gaps))], axis=1)
    coefficients = np.zeros(2)
    for _ in range(200):
        predicted = 1 / (1 + np.exp(-features @ coefficients))
        gradient = features.T @ (preferences - predicted) - RIDGE * coefficients
        curvature = (features * (predicted * (1 - predicted))[:, None]).T @ features + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        coefficients += step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-10:
            break
    return float(1 / (1 + np.exp(-coefficients[0])))
