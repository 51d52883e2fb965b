"""Nothing is dropped without a reason, and the first reason counts."""

import polars as pl
import pytest

from r1_pipeline.data.screening.replies import REPLY_REASONS, ReplyRecipe, screen_replies
from r1_pipeline.records import Outcome

RECIPE = ReplyRecipe(min_language_share=0.95, max_repetition=0.3, max_paragraph=20, code_blocks=False, max_tokens=50)
GOOD = {
    "outcome": Outcome.CORRECT.value,
    "well_formed": True,
    "language_share": 1.0,
    "repetition": 0.0,
    "reasoning": "twenty characters ok\n\nand more",
    "tokens": 50,
}


@pytest.mark.parametrize(
    ("flaw", "reason", "value"),
    [
        ({}, None, None),
        *[({"outcome": outcome.value}, outcome.value, None) for outcome in Outcome if outcome is not Outcome.CORRECT],
        ({"well_formed": False}, "malformed", None),
        ({"language_share": 0.94}, "mixed_language", 0.94),
        ({"language_share": 0.95}, None, None),
        ({"repetition": 0.31}, "repetition", 0.31),
        ({"repetition": 0.3}, None, None),
        ({"reasoning": "twenty-one characters"}, "long_paragraph", 21.0),
        ({"reasoning": "a\n```\nb\n```"}, "code_block", None),
        ({"reasoning": None}, None, None),
        ({"tokens": 51}, "too_long", 51.0),
        ({"outcome": "wrong", "well_formed": False, "tokens": 99}, "wrong", None),
        ({"well_formed": False, "language_share": 0.0}, "malformed", None),
        ({"language_share": 0.0, "repetition": 1.0}, "mixed_language", 0.0),
    ],
)
def test_each_flaw_has_its_reason(flaw: dict[str, object], reason: str | None, value: float | None) -> None:
    judged = pl.DataFrame([{**GOOD, **flaw}], schema_overrides={"reasoning": pl.String})
    assert screen_replies(judged, RECIPE).select("reason", "value").row(0) == (reason, value)


def test_every_reason_is_listed_in_the_order_of_judgement() -> None:
    assert REPLY_REASONS[-3:] == ("long_paragraph", "code_block", "too_long")
    assert {outcome.value for outcome in Outcome} - {"correct"} <= set(REPLY_REASONS)
