"""Laws of the final-answer rule that the golden table cannot show."""

import pytest

from r1_pipeline.rewards.extract import MAX_ANSWER, MAX_LINE, boxes, final_answer


def test_boxes_are_matched_brace_by_brace():
    assert boxes(r"\boxed{\frac{1}{2}} then \boxed {\{1\}}") == [r"\frac{1}{2}", r"\{1\}"]
    assert boxes(r"\boxed{a} \boxed{b") == ["a", None]


@pytest.mark.parametrize("spray", ["1 2 3\n4 5", "x" * (MAX_LINE + 1), r"\boxed{1}\boxed{2}", "", "   "])
def test_without_one_clear_answer_there_is_none(spray):
    assert final_answer(spray, str).answer is None


def test_the_box_outranks_the_marker_and_the_marker_outranks_the_line():
    assert final_answer("The answer is 3, that is \\boxed{4}", str).answer == "4"
    assert final_answer("well, the answer is 3", str).answer == "3"
    assert final_answer("3", str).answer == "3"


def test_megabytes_are_read_in_linear_time():
    for text in ("\\boxed{" * 1_000_000, "{" * 10_000_000, "\\boxed{" + "{" * 10_000_000, "answer: " * 1_000_000):
        assert final_answer(text, str).answer is None
    nested = "\\boxed{" * 2_000 + "}" * 2_000
    assert boxes(nested) == [nested.removeprefix("\\boxed{").removesuffix("}")]


def test_empty_boxes_are_no_answers_and_other_boxes_must_agree():
    assert final_answer(r"put it in \boxed{}: \boxed{ 5 }", str).answer == "5"
    assert final_answer(r"\boxed{\phantom{12}}", str).answer is None
    assert final_answer(r"\boxed{a} \boxed{A}", str).answer is None
    assert final_answer(r"\boxed{a} \boxed{A}", str.lower).answer == "a"
    assert final_answer("\\boxed{" + "1" * (MAX_ANSWER + 1) + "}", str).answer is None
