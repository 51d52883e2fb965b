"""Laws of the final-answer rule that the golden table cannot show."""

import pytest

from r1_pipeline.rewards.extract import MAX_LINE, boxes, final_answer


def test_boxes_are_matched_brace_by_brace():
    assert boxes(r"\boxed{\frac{1}{2}} then \boxed {\{1\}}") == [r"\frac{1}{2}", r"\{1\}"]
    assert boxes(r"\boxed{a} \boxed{b") == ["a", None]


@pytest.mark.parametrize("spray", ["1 2 3\n4 5", "x" * (MAX_LINE + 1), r"\boxed{1}\boxed{2}", "", "   "])
def test_without_one_clear_answer_there_is_none(spray):
    assert final_answer(spray).answer is None


def test_the_box_outranks_the_marker_and_the_marker_outranks_the_line():
    assert final_answer("The answer is 3, that is \\boxed{4}").answer == "4"
    assert final_answer("well, the answer is 3").answer == "3"
    assert final_answer("3").answer == "3"


def test_megabytes_are_read_in_linear_time():
    assert final_answer("\\boxed{" * 100_000).answer is None
    assert boxes("\\boxed{" * 100_000 + "}" * 100_000) == ["\\boxed{" * 99_999 + "}" * 99_999]
    assert final_answer("{" * 2_000_000).answer is None
