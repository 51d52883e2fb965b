"""Nothing is dropped without a reason, and the first reason counts."""

import pytest

from r1_pipeline.data.screen import DROP_REASONS, Measured, ScreenRecipe, screen
from r1_pipeline.records import Outcome

RECIPE = ScreenRecipe(min_language_share=0.95, max_repetition=0.3, max_tokens=50)
GOOD = Measured(
    problem_id="p", text="a b", outcome=Outcome.CORRECT, well_formed=True, language_share=1.0, repetition=0.0, tokens=50
)


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ({}, None),
        *[({"outcome": outcome}, outcome.value) for outcome in Outcome if outcome is not Outcome.CORRECT],
        ({"well_formed": False}, "malformed"),
        ({"language_share": 0.94}, "mixed_language"),
        ({"language_share": 0.95}, None),
        ({"repetition": 0.31}, "repetition"),
        ({"repetition": 0.3}, None),
        ({"tokens": 51}, "too_long"),
        ({"outcome": Outcome.WRONG, "well_formed": False, "tokens": 99}, "wrong"),
        ({"well_formed": False, "language_share": 0.0}, "malformed"),
        ({"language_share": 0.0, "repetition": 1.0}, "mixed_language"),
    ],
)
def test_each_flaw_has_its_reason(flaw, reason):
    assert screen(RECIPE, GOOD.model_copy(update=flaw)) == reason


def test_every_reason_is_listed_in_the_order_of_judgement():
    assert DROP_REASONS[-3:] == ("mixed_language", "repetition", "too_long")
    assert {outcome.value for outcome in Outcome} - {"correct"} <= set(DROP_REASONS)
