"""Public data sets: reference programs pass their own tests, and the same programs with one broken line do not."""

import ast
import re

import polars as pl
import pytest

from r1_pipeline.records import Outcome, TestCase
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem

SHARED_CLASSES = {
    367: "the test builds a Node that the program defines",
    533: "the test passes a type",
    596: "the test needs a module that the program imports",
    601: "the test builds a Pair that the program defines",
    927: "the test builds a Node that the program defines",
}
"""The tasks of MBPP whose tests share more than plain values with the program."""


@pytest.fixture(scope="module", autouse=True)
def safe():
    if problem := sandbox_problem():
        pytest.skip(problem)


@pytest.fixture(scope="module")
def unit_tested(problem):
    def make(function, source):
        test = TestCase(kind="unit", function=function, given=source, expected="", limit_s=10.0)
        return problem(None, "code").model_copy(update={"tests": (test,)})

    return make


def human_eval(public_data, unit_tested):
    """Returns the problem and its reference; tests may call the helpers that the prompt defines."""
    for row in pl.read_parquet(public_data / "code/humaneval.parquet").iter_rows(named=True):
        test = f"{row['prompt']}\n{row['entry_point']} = candidate\n{row['test']}"
        yield unit_tested(row["entry_point"], test), row["prompt"] + row["canonical_solution"]


def broken(source):
    """Returns the program with its last `return value` changed to `return not value`."""
    tree = ast.parse(source)
    last = max((node for node in ast.walk(tree) if isinstance(node, ast.Return)), key=lambda node: node.lineno)
    assert last.value is not None
    last.value = ast.UnaryOp(ast.Not(), last.value)
    return ast.unparse(ast.fix_missing_locations(tree))


def outcomes(grader, completion, pairs):
    fenced = [(problem, completion(f"```python\n{source}\n```")) for problem, source in pairs]
    return [judged.outcome for judged in grader.grade_all(fenced, "chat")]


@pytest.mark.slow
def test_all_reference_solutions_of_human_eval_pass(grader, completion, public_data, unit_tested):
    pairs = list(human_eval(public_data, unit_tested))
    assert outcomes(grader, completion, pairs) == [Outcome.CORRECT] * 164


@pytest.mark.slow
def test_no_solution_of_human_eval_passes_with_a_broken_line(grader, completion, public_data, unit_tested):
    pairs = [(problem, broken(source)) for problem, source in human_eval(public_data, unit_tested)]
    assert outcomes(grader, completion, pairs) == [Outcome.WRONG] * 164


def test_some_of_human_eval(grader, completion, public_data, unit_tested):
    pairs = list(human_eval(public_data, unit_tested))[32:42]
    assert outcomes(grader, completion, pairs) == [Outcome.CORRECT] * 10
    assert outcomes(grader, completion, [(p, broken(source)) for p, source in pairs]) == [Outcome.WRONG] * 10


def test_a_program_cannot_bring_its_own_helper_to_the_test(grader, completion, public_data, unit_tested):
    """`decode_shift` undoes the prompt's `encode_shift`; both as the identity undo each other, too."""
    problem, _ = list(human_eval(public_data, unit_tested))[50]
    cheat = "def encode_shift(s):\n    return s\n\ndef decode_shift(s):\n    return s"
    assert outcomes(grader, completion, [(problem, cheat)]) == [Outcome.WRONG]


@pytest.mark.slow
def test_the_reference_programs_of_mbpp_pass_but_where_tests_share_classes_with_them(
    grader, completion, public_data, unit_tested
):
    rows = pl.read_parquet(public_data / "code/mbpp.parquet").to_dicts()
    pairs = []
    for row in rows:
        defined = re.findall(r"^(?:def|class)\s+(\w+)", row["code"], re.MULTILINE)
        called = re.findall(r"(\w+)\s*\(", " ".join(row["test_list"]))
        test = "\n".join([row["test_setup_code"], *row["test_list"]])
        pairs.append((unit_tested(next(name for name in called if name in defined), test), row["code"]))
    judged = outcomes(grader, completion, pairs)
    assert {row["task_id"] for row, outcome in zip(rows, judged, strict=True) if outcome is not Outcome.CORRECT} == (
        SHARED_CLASSES.keys()
    )
