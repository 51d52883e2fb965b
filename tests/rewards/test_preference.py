import math

import pytest

from r1_pipeline.rewards.preference import Confidence, calibration, calibration_error, preference_kind, squash


def test_squash_is_the_logistic_function_and_never_overflows():
    assert squash(0.0) == 0.5
    assert squash(math.log(3)) == pytest.approx(0.75)
    assert squash(1e9) == 1.0 and squash(-1e9) == 0.0


def test_a_problem_belongs_to_exactly_one_set(problem):
    """The problem's own kind decides, whatever its source is called: a user's source ends with a hash."""
    prompt = problem("Ann", "general", source="mine/a.jsonl:1#8140dfb089414657")
    kinds = {None: "helpful", "helpful": "helpful", "safety": "safety", "harmless": "safety"}
    for kind, expected in kinds.items():
        assert preference_kind(prompt.model_copy(update={"kind": kind})) == expected


def test_calibration_sets_how_sure_a_model_is_against_how_often_it_is_right():
    """Margins of ln 3 are three quarters sure; ln 19 is 95%: four pairs of the one, two of the other, by hand."""
    three, nineteen = math.log(3), math.log(19)
    groups = calibration([three, -three, three, three, nineteen, nineteen], bins=10)
    assert [(group.observed, group.pairs) for group in groups] == [(0.75, 4), (1.0, 2)]
    assert [group.predicted for group in groups] == pytest.approx([0.75, 0.95])
    assert calibration_error(groups) == pytest.approx((4 * 0.0 + 2 * 0.05) / 6)


def test_a_model_that_is_sure_and_wrong_is_far_from_calibrated_and_a_tie_is_not_right():
    assert calibration([-1e9, -1e9], bins=5) == [Confidence(predicted=1.0, observed=0.0, pairs=2)]
    assert calibration([0.0], bins=5) == [Confidence(predicted=0.5, observed=0.0, pairs=1)]
