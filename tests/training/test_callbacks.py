"""Guards stop at their limit and not before; metrics have our names."""

import math

import pytest

from r1_pipeline.errors import GuardTrippedError
from r1_pipeline.training.callbacks import WINDOW, Guards, check, check_grader, medians, rename_metrics

GUARDS = Guards(entropy_floor=0.05, kl_ceiling=0.5, empty_think_ceiling=0.2)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"entropy": 0.0499}, "entropy 0.0499 is below 0.05 at step 7"),
        ({"kl": 0.501}, "kl 0.501 is above 0.5 at step 7"),
        ({"empty_think": 0.25}, "empty_think 0.25 is above 0.2 at step 7"),
        ({"loss": float("nan")}, "loss is nan at step 7"),
        ({"grad_norm": float("inf")}, "grad_norm is inf at step 7"),
    ],
)
def test_a_guard_names_value_limit_and_step(metrics: dict[str, float], words: str) -> None:
    with pytest.raises(GuardTrippedError, match=words):
        check(GUARDS, 7, metrics)


def test_at_the_limit_nothing_trips() -> None:
    check(GUARDS, 7, {"entropy": 0.05, "kl": 0.5, "empty_think": 0.2, "reward": -3.0})


def test_guards_are_off_unless_set() -> None:
    check(Guards(), 7, {"entropy": 0.0, "kl": 100.0, "empty_think": 1.0})


def test_metrics_are_renamed_and_unmeasured_ones_left_out() -> None:
    logs = {
        "loss": 0.5,
        "rewards/accuracy/mean": 0.25,
        "rewards/accuracy/std": 0.1,
        "rewards/language/mean": None,
        "completions/mean_length": 24.0,
        "outcome/wrong": 0.75,
        "epoch": 0.1,
    }
    assert rename_metrics(logs) == {"loss": 0.5, "reward/accuracy": 0.25, "mean_tokens": 24.0, "outcome/wrong": 0.75}


def test_the_grader_may_fail_on_two_percent_of_a_window_and_no_more() -> None:
    guards, most = Guards(grader_error_ceiling=0.02), 0.02 * WINDOW
    check_grader(guards, 7, [most, *[0.0] * (WINDOW - 1)])
    with pytest.raises(GuardTrippedError, match=r"failed on 2\.05% of the answers of the last 20 steps, above 2\.00%"):
        check_grader(guards, 7, [most + 0.01, *[0.0] * (WINDOW - 1)])
    check_grader(Guards(), 7, [1.0] * WINDOW)


def test_one_token_that_the_policy_gave_up_is_no_runaway_and_three_steps_of_five_are() -> None:
    assert medians([0.1, 12.5, 0.1, 0.2, 0.1]) == [0.0, 0.0, 0.1, 0.1, 0.1]
    assert medians([12.5, 12.5, 12.5]) == [0.0, 0.0, 12.5]
    assert math.isnan(medians([0.1, math.nan])[-1])
