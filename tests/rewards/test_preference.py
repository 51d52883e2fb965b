import math

import pytest

from r1_pipeline.rewards.preference import preference_kind, squash


def test_squash_is_the_logistic_function_and_never_overflows():
    assert squash(0.0) == 0.5
    assert squash(math.log(3)) == pytest.approx(0.75)
    assert squash(1e9) == 1.0 and squash(-1e9) == 0.0


def test_a_problem_belongs_to_exactly_one_set(problem):
    """By its own kind, however its source is spelled: a user's fact is a hash."""
    asked = problem("Ann", "general", source="mine/a.jsonl:1#8140dfb089414657")
    kinds = {None: "helpful", "helpful": "helpful", "safety": "safety", "harmless": "safety"}
    for kind, expected in kinds.items():
        assert preference_kind(asked.model_copy(update={"kind": kind})) == expected
