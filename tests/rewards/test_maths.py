"""The golden table, the agreement of fast and slow path, and what hostile answers may not do."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from r1_pipeline.records import Outcome
from r1_pipeline.rewards.extract import final_answer
from r1_pipeline.rewards.maths import MathsVerifier, fast_equal, monstrous, normal, words
from r1_pipeline.rewards.verifier import reference_verdict

GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden" / "maths.jsonl").read_text().splitlines()]
HANG = "(9999!)^{9999}"


@pytest.fixture(scope="module")
def maths():
    verifier = MathsVerifier(workers=1)
    yield verifier
    verifier.close()


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["reason"])
def test_golden_table(case, grader, problem):
    judged = grader.judge(problem(case["reference"]), case["answer"])
    assert judged.outcome.value == case["outcome"], judged.detail


def test_the_fast_path_never_disagrees_with_math_verify(maths):
    decided = 0
    for case in GOLDEN:
        answer = final_answer(case["answer"]).answer
        if not case["reference"] or answer is None:
            continue
        reference, answer = normal(case["reference"]), normal(answer)
        fast = fast_equal(reference, answer)
        if fast is None or words(reference) is not None or monstrous(reference):
            continue
        decided += 1
        slow = maths._slow(reference, answer)
        assert slow is (Outcome.CORRECT if fast else Outcome.WRONG), case
    assert decided >= 40


def test_equal_means_equal_both_ways_for_the_fast_path():
    forms = [normal(case["answer"]) for case in GOLDEN]
    for left in forms:
        for right in forms:
            assert fast_equal(left, right) == fast_equal(right, left)


def test_an_answer_that_hangs_is_the_graders_failure_and_costs_the_next_one_nothing(maths, problem):
    begin = time.monotonic()
    judged = maths.judge(problem("5"), HANG)
    assert judged.outcome is Outcome.GRADER_ERROR and judged.score is None
    assert time.monotonic() - begin < 6.0
    assert maths.judge(problem("\\sqrt{12}"), "2\\sqrt{3}").outcome is Outcome.CORRECT


def test_usable_from_many_threads(grader, problem):
    roots = [problem(f"\\sqrt{{{n}}}") for n in range(2, 40)]
    with ThreadPoolExecutor(8) as threads:
        judged = list(threads.map(lambda each: grader.judge(each, f"{each.answer} + 0"), roots))
    assert {each.outcome for each in judged} == {Outcome.CORRECT}


def test_numbers_alone_never_start_a_child(problem):
    verifier = MathsVerifier(workers=1)
    verifier.close()  # a closed pool raises when it is asked
    assert verifier.judge(problem("42"), "\\boxed{42}").outcome is Outcome.CORRECT
    assert verifier.judge(problem("42"), "\\boxed{41}").outcome is Outcome.WRONG


def test_version_names_the_parser_stack(maths):
    for package in ("math-verify", "latex2sympy2_extended", "sympy", "antlr4"):
        assert f"+{package}" in maths.version


@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_math_500_references_verify_and_those_of_the_next_problem_do_not(every, grader, problem, public_data):
    answers = pl.read_parquet(public_data / "math" / "math500_test.parquet")["answer"].to_list()[::every]
    for form in ("{}", "${}$", "\\boxed{{{}}}"):
        failed = [a for a in answers if grader.judge(problem(a), form.format(a)).outcome is not Outcome.CORRECT]
        assert failed == []
    for answer, following in pairwise(answers):
        if grader.judge(problem(answer), following).outcome is Outcome.CORRECT:
            assert normal(answer).removeprefix("x=") == normal(following).removeprefix("x=")


def test_gsm8k_references_verify_bare_and_at_the_end_of_their_solutions(grader, problem, public_data):
    for solution in pl.read_parquet(public_data / "gsm8k" / "gsm8k_test.parquet")["answer"]:
        posed = problem(solution.split("####")[1].strip())
        assert reference_verdict(grader, posed).outcome is Outcome.CORRECT
        assert grader.judge(posed, solution).outcome is Outcome.CORRECT
