"""Laws of the final-answer rules, strict and lenient, and of references; both golden tables show the cases."""

import golden_lock as lock
import pytest

from r1_pipeline.recipe import Runtime
from r1_pipeline.records import Outcome
from r1_pipeline.rewards.answer_extraction import MAX_ANSWER, boxes, final_answer
from r1_pipeline.rewards.graders import default_grader
from r1_pipeline.rewards.reference_answers import reference_answer
from r1_pipeline.rewards.sentence_answer import MAX_LINE
from r1_pipeline.rewards.verifier import reference_verdict

GOLDEN = lock.cases("extraction")
RULES = ("strict", "lenient")


@pytest.fixture(scope="module")
def lenient():
    with default_grader(Runtime(threads=1), "lenient") as grader:
        yield grader


def problem_of(problem, case):
    return problem(case["reference"], "stem" if case["domain"] == "choice" else "math")


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["reason"])
def test_golden_table_of_extraction(case, grader, lenient, problem):
    for rule, judge in (("strict", grader), ("lenient", lenient)):
        judged = judge.judge(problem_of(problem, case), case["answer"])
        assert judged.outcome.value == case[rule], (rule, judged.detail)


def test_what_is_right_by_the_strict_rule_is_right_by_the_lenient_one(lenient, problem):
    right = [case for case in lock.cases() if case["outcome"] == "correct" and "question" not in case]
    assert len(right) > 300
    assert [
        c for c in right if lenient.judge(problem(c["reference"]), c["answer"]).outcome is not Outcome.CORRECT
    ] == []


def test_what_only_the_lenient_rule_calls_right_is_named_here(lenient, problem):
    found = [
        case["reason"]
        for case in lock.cases()
        if case["outcome"] in ("wrong", "malformed") and "question" not in case
        if lenient.judge(problem(case["reference"]), case["answer"]).outcome is Outcome.CORRECT
    ]
    assert found == ["no box, no marker, two lines", "option with its content", "heading without a colon"]


def test_the_rule_stands_in_the_identity_and_in_every_verdict(grader, lenient, problem):
    for rule, judge in (("strict", grader), ("lenient", lenient)):
        for domain in ("math", "stem", "logic"):
            assert rule in judge.identity[domain].split("+")
            assert judge.judge(problem("B", domain), "B").verifier == judge.identity[domain]


@pytest.mark.parametrize("case", [case for case in GOLDEN if case["strict"] != "ungradable"], ids=lambda c: c["reason"])
def test_a_gradable_reference_is_right_by_itself_and_any_other_is_set_aside(case, grader, problem):
    assert reference_verdict(grader, problem_of(problem, case)).outcome is Outcome.CORRECT


def test_references_that_state_nothing_are_ungradable_for_every_answer(grader, problem):
    nothing = [case["reference"] for case in GOLDEN if case["strict"] == "ungradable"]
    assert len(nothing) >= 8
    for reference in nothing:
        assert reference_verdict(grader, problem(reference)).outcome is Outcome.UNGRADABLE
        assert grader.judge(problem(reference), "no box\nat all").outcome is Outcome.UNGRADABLE


def test_a_reference_that_is_an_answer_is_taken_as_it_stands():
    for reference in ("5", r"\frac{1}{2}", "5 cm", "x=1, y=2", r"\text{Friday}", "July 4", "", r"$t(0,4]$"):
        assert reference_answer(reference) == reference


def test_boxes_are_matched_brace_by_brace():
    assert boxes(r"\boxed{\frac{1}{2}} then \boxed {\{1\}}") == [r"\frac{1}{2}", r"\{1\}"]
    assert boxes(r"\boxed{a} \boxed{b") == ["a", None]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("spray", ["1 2 3\n4 5", "x" * (MAX_LINE + 1), r"\boxed{1}\boxed{2}", "", "   "])
def test_without_one_clear_answer_there_is_none(spray, rule):
    assert final_answer(spray, str, rule).answer is None


@pytest.mark.parametrize("rule", RULES)
def test_the_box_outranks_the_marker_and_the_marker_outranks_the_line(rule):
    assert final_answer("The answer is 3, that is \\boxed{4}", str, rule).answer == "4"
    assert final_answer("well, the answer is 3", str, rule).answer == "3"
    assert final_answer("3", str, rule).answer == "3"


@pytest.mark.parametrize("letter", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_megabytes_are_read_in_linear_time(rule, letter):
    """Each of these would take hours if it were read in quadratic time."""
    pieces = ("\\boxed{", "answer: ", "answer is so ", "the final ", "#### a ", "\n\n", "$x ", "\\(", "**", "A ", "5, ")
    for text in (*(piece * 30_000 for piece in pieces), "{" * 3_000_000, "\\boxed{" + "{" * 3_000_000):
        assert final_answer(text, str, rule, letter=letter).answer in (None, "so", "a"), text[:20]
    nested = "\\boxed{" * 2_000 + "}" * 2_000
    assert boxes(nested) == [nested.removeprefix("\\boxed{").removesuffix("}")]


def test_empty_boxes_are_no_answers_and_other_boxes_must_agree():
    assert final_answer(r"put it in \boxed{}: \boxed{ 5 }", str).answer == "5"
    assert final_answer(r"\boxed{\phantom{12}}", str).answer is None
    assert final_answer(r"\boxed{a} \boxed{A}", str).answer is None
    assert final_answer(r"\boxed{a} \boxed{A}", str.lower).answer == "a"
    assert final_answer("\\boxed{" + "1" * (MAX_ANSWER + 1) + "}", str).answer is None
