"""Programs are run in a sandbox and judged outside of it: each kind of test, each way to fail, each fence."""

import pytest

from r1_pipeline.records import Outcome, TestCase
from r1_pipeline.rewards.code import lines_of, strictly_equal
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem
from r1_pipeline.rewards.verifier import reference_verdict

TESTS = (("[1]", "2"), ("[5]", "6"))
RIGHT = "def f(x): return x + 1"
CPP = "#include <iostream>\nint main() { int a = 0, b = 0; std::cin >> a >> b; std::cout << a + b << '\\n'; }"


@pytest.fixture(scope="module", autouse=True)
def safe():
    if problem := sandbox_problem():
        pytest.skip(problem)


@pytest.fixture(scope="module")
def successor(problem):
    return problem(None, "code", TESTS)


@pytest.fixture(scope="module")
def code_problem(problem):
    def make(kind, *tests, function="", limit_s=60.0):
        cases = tuple(
            TestCase(kind=kind, function=function, given=given, expected=expected, limit_s=limit_s)
            for given, expected in tests
        )
        return problem(None, "code").model_copy(update={"tests": cases})

    return make


@pytest.mark.parametrize("final", [RIGHT, f"```python\n{RIGHT}\n```", f"So:\n```\n{RIGHT}\n```\nThat adds one."])
def test_a_right_program_passes_bare_and_fenced(final, grader, successor):
    judged = grader.judge(successor, final)
    assert judged.outcome is Outcome.CORRECT and judged.detail == "2 of 2 tests: passed x2"


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("def f(x): return x + 2", "0 of 2 tests: wrong x2"),
        ("def f(x): return 2", "1 of 2 tests: passed, wrong"),
        ("def f(x): return x + 1 if x == 1 else 1 // 0", "1 of 2 tests: passed, failed; test 2: ZeroDivisionError"),
        ("def g(x): return x + 1", "0 of 2 tests: failed x2; test 1: KeyError: 'f'"),
        ("def f(x): return x +", "0 of 2 tests: not compiled: SyntaxError"),
        ("def f(x): return float(x + 1)", "wrong x2"),
        ("def f(x): return str(x + 1)", "wrong x2"),
        ("def f(x): return (x + 1,)", "failed x2; test 1: TypeError: returned a tuple"),
        ("class E(int):\n    def __eq__(s, o): return True\ndef f(x): return E(3)", "returned a E"),
        ("def f(x): return float('nan')", "wrong x2"),
        ("import os\nos._exit(0)", "ended without a value"),
        ("def f(x): return [0] * 10 ** 9", "out_of_memory x2"),
        ("def f(x): return 'a' * (2 << 20)", "too_large x2"),
        ("import os\ndef f(x): os.write(3, b'[' * 200000); os._exit(0)", "wrong x2"),
        ("import os\ndef f(x): os.write(3, b'9' * 200000); os._exit(0)", "wrong x2"),
        ("import os\nos.kill(os.getppid(), 9)", "killed x2; test 1: took down its sandbox"),
        ("import json\njson.dumps = lambda v: '2'\n" + RIGHT.replace("1", "2"), "wrong x2"),
    ],
)
def test_wrong_and_hostile_programs_are_wrong_and_the_detail_says_how_each_test_went(
    program, detail, grader, successor
):
    judged = grader.judge(successor, program)
    assert judged.outcome is Outcome.WRONG and judged.score == 0.0
    assert detail in judged.detail


def test_no_detail_tells_what_a_test_expected(grader, problem):
    judged = grader.judge(problem(None, "code", (("[1]", "987654321"),)), RIGHT)
    assert judged.outcome is Outcome.WRONG and "987654321" not in judged.detail


def test_a_program_of_standard_input_is_judged_by_its_lines(grader, code_problem):
    doubled = code_problem("stdin", ("1\n2\n", "2\n4\n"), ("0\n", "0"))
    program = "import sys\nfor line in sys.stdin: print(2 * int(line){})"
    for more, outcome in [
        ("", Outcome.CORRECT),
        (", end='  \\n\\n'", Outcome.WRONG),  # an empty line between two lines
        (", end=' \\r\\n'", Outcome.CORRECT),
        (", end=chr(0x2028)", Outcome.WRONG),
        (", '', sep='.0'", Outcome.WRONG),
        (", file=sys.stderr", Outcome.WRONG),
    ]:
        assert grader.judge(doubled, program.format(more)).outcome is outcome, more
    assert grader.judge(doubled, program.format("") + "\nsys.exit(1)").outcome is Outcome.WRONG


def test_lines_count_without_white_space_at_their_ends():
    assert lines_of("a \r\n b\t\n\n \n") == ["a", " b"] and lines_of("\na") == ["", "a"] and lines_of("") == []


def test_a_unit_test_is_passed_by_running_to_its_end(grader, code_problem):
    check = "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(-1) == 0"
    asserted = code_problem("unit", (check, ""), ("assert f(5) == 6", ""), function="f")
    assert grader.judge(asserted, RIGHT).detail == "2 of 2 tests: passed x2"
    judged = grader.judge(asserted, "def f(x): return 6")
    assert judged.outcome is Outcome.WRONG and "1 of 2 tests: failed, passed; test 1: AssertionError" in judged.detail


def test_the_tag_of_the_fence_decides_the_language(grader, code_problem):
    added = code_problem("stdin", ("1 2", "3"))
    for tag in ("cpp", "C++", "cc"):
        judged = grader.judge(added, f"```{tag}\n{CPP}\n```")
        assert judged.outcome is Outcome.CORRECT or "install the package g++" in judged.detail, judged
    assert "SyntaxError" in grader.judge(added, f"```python\n{CPP}\n```").detail
    assert "SyntaxError" in grader.judge(added, CPP).detail
    called = code_problem("call", ("[1]", "2"), function="f")
    assert "only Python programs" in grader.judge(called, f"```cpp\n{CPP}\n```").detail


def test_tests_of_several_kinds_are_put_in_their_order(grader, problem):
    cases = (
        TestCase(kind="call", function="f", given="[1]", expected="2", limit_s=60.0),
        TestCase(kind="unit", function="f", given="assert f(1) == 3", expected="", limit_s=60.0),
        TestCase(kind="call", function="g", given="[1]", expected="4", limit_s=60.0),
    )
    judged = grader.judge(problem(None, "code").model_copy(update={"tests": cases}), RIGHT + "\ndef g(x): return x + 3")
    assert judged.detail.startswith("2 of 3 tests: passed, failed, passed; test 2: AssertionError")


def test_a_program_has_the_time_of_its_test(grader, code_problem):
    slow = "import time\ntime.sleep(0.6)\nprint(input())"
    assert grader.judge(code_problem("stdin", ("a", "a")), slow).outcome is Outcome.CORRECT
    judged = grader.judge(code_problem("stdin", ("a", "a"), ("a", "a"), limit_s=0.3), slow)
    assert judged.outcome is Outcome.WRONG and "0 of 2 tests: out_of_time x2" in judged.detail


def test_endless_programs_are_cut_off_beside_honest_ones(grader, successor, completion):
    texts = ["def f(x):\n    while True: pass", "import time\ndef f(x): time.sleep(60)", RIGHT, f"{RIGHT} + 0"]
    judged = grader.grade_all([(successor, completion(f"```python\n{text}\n```")) for text in texts], "chat")
    assert [each.outcome for each in judged] == [Outcome.WRONG, Outcome.WRONG, Outcome.CORRECT, Outcome.CORRECT]
    assert all("out of time" in each.detail for each in judged[:2])


@pytest.mark.parametrize(
    "final",
    [
        "", " \n", "```python\n```", "x" * 70_000,
        "```python\ndef f(x): return 1\n",
        "```\ndef f(x): return 1\n```\n```\ndef f(x): return 2\n```",
        "```python\nprint(1)\n```\n```cpp\nint main() {}\n```",
        "```java\nclass A {}\n```",
    ],
)  # fmt: skip
def test_no_program_several_or_an_open_fence_are_malformed(final, grader, successor):
    assert grader.judge(successor, final).outcome is Outcome.MALFORMED


def test_json_values_are_equal_only_with_equal_types():
    assert strictly_equal({"a": [1, None]}, {"a": [1, None]}, None)
    for left, right in [(1, 1.0), (1, True), (0, False), ([1], [1, 2]), ({"a": 1}, {"b": 1}), ("1", 1), (None, False)]:
        assert not strictly_equal(left, right, None) and not strictly_equal(right, left, None)
    assert not strictly_equal(float("nan"), float("nan"), None)


def test_faulty_tests_are_ungradable_not_wrong(grader, problem, code_problem):
    faulty = [problem(None, "code", tests) for tests in [(), (("[1", "2"),), (("[1]", "two"),), (("1", "2"),)]]
    for each in [*faulty, code_problem("call", ("[1]", "2")), code_problem("stdin", ("", ""), limit_s=0.0)]:
        judged = grader.judge(each, RIGHT)
        assert judged.outcome is Outcome.UNGRADABLE and judged.score is None


def test_a_reference_program_must_pass_its_own_tests(grader, problem):
    assert reference_verdict(grader, problem(RIGHT, "code", TESTS)).outcome is Outcome.CORRECT
    assert reference_verdict(grader, problem("def f(x): return x", "code", TESTS)).outcome is Outcome.WRONG
    assert reference_verdict(grader, problem(None, "code", TESTS)).outcome is Outcome.UNGRADABLE
