"""The soft over-length penalty, by hand: limit 100, margin 20."""

import pytest

from r1_pipeline.rewards.overlong import Overlong, overlong_penalty


@pytest.mark.parametrize(
    ("tokens", "penalty"), [(0, 0.0), (80, 0.0), (81, -0.05), (90, -0.5), (100, -1.0), (101, -1.0), (10**9, -1.0)]
)
def test_the_penalty_falls_linearly_over_the_margin(tokens, penalty):
    assert overlong_penalty(Overlong(weight=1.0, max_tokens=100, margin=20), tokens) == pytest.approx(penalty)


@pytest.mark.parametrize("margin", [0, -1, 101])
def test_a_margin_that_cannot_be_is_refused(margin):
    with pytest.raises(ValueError, match=f"margin is {margin}, must be in 1..100"):
        Overlong(weight=1.0, max_tokens=100, margin=margin)
