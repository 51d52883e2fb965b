import pytest

from r1_pipeline.records import Outcome


@pytest.mark.parametrize(
    "final",
    [
        "B",
        "b",
        "(B)",
        "B.",
        "B)",
        "\\boxed{B}",
        "\\boxed{\\text{B}}",
        "**B**",
        "The answer is B.",
        "答案：B",
        "（B）",
        "【B】",
    ],
)
def test_the_right_letter_in_any_dress_is_correct(final, grader, problem):
    assert grader.judge(problem("B", "stem"), final).outcome is Outcome.CORRECT


@pytest.mark.parametrize("final", ["A", "B or C", "A, B", "not B", "AB", "B C", "\\boxed{A, B, C, D}", "(A) (B)", "8"])
def test_anything_else_is_wrong(final, grader, problem):
    assert grader.judge(problem("B", "stem"), final).outcome is Outcome.WRONG


@pytest.mark.parametrize("final", ["\\boxed{A} \\boxed{B}", "\\boxed{B", "\\boxed{}", "answer: A\nanswer: B", "A\nB"])
def test_two_letters_or_none_are_malformed(final, grader, problem):
    assert grader.judge(problem("B", "stem"), final).outcome is Outcome.MALFORMED


def test_words_count_as_options_in_both_languages(grader, problem):
    assert grader.judge(problem("north", "logic"), "\\boxed{North}").outcome is Outcome.CORRECT
    assert grader.judge(problem("北", "logic"), "北。").outcome is Outcome.CORRECT
    assert grader.judge(problem("north", "logic"), "north south").outcome is Outcome.WRONG


@pytest.mark.parametrize("reference", [None, "", "  "])
def test_without_a_reference_it_is_ungradable(reference, grader, problem):
    assert grader.judge(problem(reference, "stem"), "B").outcome is Outcome.UNGRADABLE
