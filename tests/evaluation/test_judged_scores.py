"""Laws of the judged scores, on values worked out by hand."""

import math

import pytest

from r1_pipeline.evaluation.judged_scores import length_controlled


def logit(share: float) -> float:
    return math.log(share / (1 - share))


def test_at_equal_lengths_the_controlled_win_rate_is_the_win_rate() -> None:
    pairs = [(1.0, 50, 50)] * 30 + [(0.5, 80, 80)] * 10 + [(0.0, 10, 10)] * 60
    assert length_controlled(pairs) == pytest.approx(0.35, abs=1e-4)


def test_two_lengths_are_controlled_by_the_mean_of_their_log_odds() -> None:
    """Replies are 100 characters longer (80% preferred) or shorter (30%): the model is saturated, θ ± φ t."""
    pairs = [(1.0, 200, 100)] * 80 + [(0.0, 200, 100)] * 20 + [(1.0, 100, 200)] * 30 + [(0.0, 100, 200)] * 70
    theta = (logit(0.8) + logit(0.3)) / 2
    assert length_controlled(pairs) == pytest.approx(1 / (1 + math.exp(-theta)), abs=1e-4)


def test_longer_replies_that_win_by_length_alone_lose_their_lead() -> None:
    """A model that wins 90% of the comparisons with longer replies and 50% of the others gains from length."""
    pairs = [(1.0, 900, 100)] * 81 + [(0.0, 900, 100)] * 9 + [(1.0, 100, 100)] * 5 + [(0.0, 100, 100)] * 5
    plain = 86 / 100
    assert length_controlled(pairs) == pytest.approx(0.5, abs=0.01)
    assert sum(preference for preference, *_ in pairs) / len(pairs) == plain


def test_a_model_that_always_wins_has_a_finite_regression() -> None:
    assert length_controlled([(1.0, 90 + 20 * (n % 2), 100) for n in range(200)]) > 0.999
    assert length_controlled([(0.0, 90 + 20 * (n % 2), 100) for n in range(200)]) < 0.001
