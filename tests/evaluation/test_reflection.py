"""Laws of reflection by depth: the length of replies, their reflective words, and their corrected slips."""

from typing import Any

import polars as pl
import pytest
from report_fakes import depths as faked
from report_fakes import report_inputs

from r1_pipeline.data.toy_problems import steps_of, to_problem
from r1_pipeline.data.toy_tasks import Sum, ToyTask, Turn
from r1_pipeline.evaluation.bars import Bar, bars
from r1_pipeline.evaluation.reflection import corrected_share, depths
from r1_pipeline.records import Completion, Problem
from r1_pipeline.rewards.reflection import is_reflective

SHALLOW, DEEP = (to_problem(item, "en") for item in (Sum((3, 5), ("plus",)), Sum((3, 5, 1), ("plus", "minus"))))
OTHER = to_problem(Turn(0, ("left", "back")), "en")


def judged(*rows: tuple[Problem, str, int, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"problem_id": problem.id, "text": text, "token_ids": list(range(tokens)), "outcome": outcome}
            for problem, text, tokens, outcome in rows
        ]
    )


def test_a_sum_is_as_deep_as_it_has_calculations() -> None:
    items: list[ToyTask] = [Sum((3, 5), ("plus",)), Sum((3, 5, 1, 2), ("plus", "minus", "plus")), Turn(0, ("left",))]
    assert [steps_of(to_problem(item, "zh")) for item in items] == [1, 3, None]


def test_an_estimate_that_is_called_wrong_and_kept_is_no_correction() -> None:
    text = "maybe 7, check 3 + 5 = 8, then 8 - 1 = 7, no 7"
    assert [each.corrected for each in depths(judged((DEEP, text, 20, "correct")), (DEEP,))] == [0.0]


def test_replies_are_counted_by_depth_and_a_wrong_answer_corrects_nothing() -> None:
    found = depths(
        judged(
            (SHALLOW, "first 3 + 5 = 8", 6, "correct"),
            (DEEP, "maybe 6, check 3 + 5 = 8, then 8 - 1 = 7, no 7", 20, "correct"),
            (DEEP, "大概 6，查 3 + 5 = 9，再 9 - 1 = 8，不对 8", 20, "wrong"),
            (DEEP, "maybe 7, check 3 + 5 = 8, then 8 - 1 = 7, yes 7", 20, "correct"),
            (DEEP, "maybe 7, check 3 + 5 = 8, then 8 - 1 = 7, no 7", 8, "wrong"),
            (OTHER, "maybe east, check north left = west, then west back = east, no east", 30, "correct"),
        ),
        (SHALLOW, DEEP, OTHER),
    )
    assert [each.model_dump() for each in found] == [
        {"steps": 1, "replies": 1, "right": 1.0, "mean_tokens": 6.0, "reflective": 0.0, "corrected": 0.0},
        {"steps": 2, "replies": 4, "right": 0.5, "mean_tokens": 17.0, "reflective": 1.0, "corrected": 0.25},
    ]
    assert corrected_share(found) == pytest.approx(1 / 5)


def test_a_home_without_toy_sums_has_no_depths() -> None:
    assert depths(judged((OTHER, "maybe east", 3, "correct")), (OTHER,)) == ()
    assert corrected_share(()) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("Wait, that is off.", 1.0), ("I await it; the rebuttal stands.", 0.0), ("等等，再算", 1.0), ("先算", 0.0)],
)
def test_a_reflective_word_is_a_whole_word(text: str, value: float) -> None:
    fields: dict[str, Any] = {"sample_index": 0, "seed": 0, "token_ids": (), "finish_reason": "stop", "engine": "none"}
    completion = Completion(problem_id=DEEP.id, text=text, **fields)
    assert is_reflective(DEEP, completion, "zero") == value


def claimed(base: tuple[Any, ...], zero: tuple[Any, ...]) -> list[Bar]:
    inputs = report_inputs().model_copy(update={"depths": {"base": base, "r1_zero": zero}})
    return [bar for bar in bars(inputs) if "sums" in bar.claim]


def test_the_bars_of_thought_are_growths_and_fall_without_growth() -> None:
    grown = claimed(faked(13.0, 13.0, 0.02), faked(14.0, 26.0, 0.3))
    assert [bar.value for bar in grown] == pytest.approx([15.0, 2.0, 14 / 13])
    assert all(bar.passed for bar in grown)
    long_winded = claimed(faked(10.0, 20.0, 0.1), faked(20.0, 29.0, 0.2))
    assert [bar.value for bar in long_winded] == pytest.approx([2.0, 1.45, 2.0])
    assert not any(bar.passed for bar in long_winded)


def test_growth_from_nothing_is_not_measured() -> None:
    assert claimed(faked(13.0, 13.0, 0.0), faked(14.0, 26.0, 0.3))[0].value is None
