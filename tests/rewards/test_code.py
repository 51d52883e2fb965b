"""Programs are run, judged outside, and cannot cheat or hurt: each attack has its outcome."""

import time

import pytest

from r1_pipeline.records import Outcome
from r1_pipeline.rewards.code import extract_program, strictly_equal
from r1_pipeline.rewards.verifier import reference_verdict

TESTS = (("[1]", "2"), ("[5]", "6"))
RIGHT = "def f(x): return x + 1"


@pytest.fixture(scope="module")
def successor(problem):
    return problem(None, "code", TESTS)


@pytest.mark.parametrize("final", [RIGHT, f"```python\n{RIGHT}\n```", f"So:\n```\n{RIGHT}\n```\nThat adds one."])
def test_a_right_program_passes_bare_and_fenced(final, grader, successor):
    assert grader.judge(successor, final).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("def f(x): return x + 2", "0 of 2"),
        ("def f(x): return 2", "1 of 2"),
        ("def g(x): return x + 1", "KeyError"),
        ("def f(x): return x +", "SyntaxError"),
        ("def f(x): return float(x + 1)", "0 of 2"),
        ("def f(x): return str(x + 1)", "0 of 2"),
        ("def f(x): return (x + 1,)", "tuple"),
        ("class E(int):\n    def __eq__(s, o): return True\ndef f(x): return E(3)", "returned a E"),
        ("def f(x): return float('nan')", "0 of 2"),
        ("import os\nos._exit(0)", "0 results"),
        ("import sys\nsys.exit(0)", "SystemExit"),
        ("def f(x): raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(x): return f(x)", "RecursionError"),
        ("def f(x): return 10 ** 5000", "ValueError"),
        ("def f(x):\n    a = []\n    for _ in range(10 ** 5): a = [a]\n    return a", "RecursionError"),
        ("def f(x): return [0] * 10 ** 9", "MemoryError"),
        ("def f(x): return 'a' * (2 << 20)", "too large"),
        ("import os\nos.write(3, b'[\"value\", \"2\"]\\n' * 2)\nos._exit(0)", "1 of 2"),
        ("import os\nos.write(3, b'\\xff{[\\n')\n" + RIGHT, "wrote over"),
        ("import os\nos.kill(os.getppid(), 9)", "PermissionError"),
        ("import os\nos.fork()", "PermissionError"),
        ("import subprocess\nsubprocess.run(['true'])", "PermissionError"),
        ("import socket\nsocket.socket().connect(('127.0.0.1', 1))", "PermissionError"),
        ("open('/tmp/left-behind', 'w').write('x')", "PermissionError"),
        ("import ctypes\nctypes.string_at(0)", "Error"),
        ("import json\njson.dumps = lambda v: '2'\n" + RIGHT.replace("1", "2"), "0 of 2"),
        ("import __main__\n__main__.json.dumps = None\n" + RIGHT.replace("1", "7"), "0 of 2"),
    ],
)  # fmt: skip
def test_wrong_and_hostile_programs_are_wrong(program, why, grader, successor):
    judged = grader.judge(successor, program)
    assert judged.outcome is Outcome.WRONG and judged.score == 0.0
    assert why in judged.detail


def test_expected_values_are_nowhere_in_the_process_of_the_program(grader, problem):
    hunt = (
        "import gc\n"
        "needle = ''.join(map(str, range(9, 0, -1)))\n"
        "def f(x):\n"
        "    seen = [repr(o) for o in gc.get_objects() if o is not globals()]\n"
        "    return int(needle) if any(needle in s for s in seen) else 0\n"
    )
    assert grader.judge(problem(None, "code", (("[1]", "987654321"),)), hunt).outcome is Outcome.WRONG


def test_endless_programs_are_cut_off_beside_honest_ones(grader, successor, completion):
    texts = ["def f(x):\n    while True: pass", "import time\ndef f(x): time.sleep(60)", RIGHT, f"{RIGHT} + 0"]
    begin = time.monotonic()
    judged = grader.grade_all([(successor, completion(f"```python\n{text}\n```")) for text in texts], "chat")
    assert time.monotonic() - begin < 9.0
    assert [each.outcome for each in judged] == [Outcome.WRONG, Outcome.WRONG, Outcome.CORRECT, Outcome.CORRECT]
    assert all("out of time" in each.detail for each in judged[:2])


def test_a_program_cannot_leave_anything_for_the_next_one(grader, successor):
    poison = "import builtins, sys\nbuiltins.len = lambda _: 0\nsys.modules['math'] = None\n" + RIGHT
    assert grader.judge(successor, poison).outcome is Outcome.CORRECT
    clean = "import math\ndef f(x): return x + len([1])"
    assert grader.judge(successor, clean).outcome is Outcome.CORRECT


@pytest.mark.parametrize(
    "final",
    ["", "```python\ndef f(x): return 1\n", "```\ndef f(x): return 1\n```\n```\ndef f(x): return 2\n```", "x" * 70_000],
)
def test_no_program_several_or_an_open_fence_are_malformed(final, grader, successor):
    assert grader.judge(successor, final).outcome is Outcome.MALFORMED


def test_the_same_block_twice_is_one_program():
    assert extract_program(f"```python\n{RIGHT}\n```\nagain\n```python\n{RIGHT}\n```") == RIGHT


def test_json_values_are_equal_only_with_equal_types():
    assert strictly_equal({"a": [1, None]}, {"a": [1, None]})
    for left, right in [(1, 1.0), (1, True), (0, False), ([1], [1, 2]), ({"a": 1}, {"b": 1}), ("1", 1), (None, False)]:
        assert not strictly_equal(left, right) and not strictly_equal(right, left)
    assert not strictly_equal(float("nan"), float("nan"))


def test_faulty_tests_are_ungradable_not_wrong(grader, problem):
    for tests in [(), (("[1", "2"),), (("[1]", "two"),), (("1", "2"),)]:
        judged = grader.judge(problem(None, "code", tests), RIGHT)
        assert judged.outcome is Outcome.UNGRADABLE and judged.score is None


def test_a_reference_program_must_pass_its_own_tests(grader, problem):
    assert reference_verdict(grader, problem(RIGHT, "code", TESTS)).outcome is Outcome.CORRECT
    assert reference_verdict(grader, problem("def f(x): return x", "code", TESTS)).outcome is Outcome.WRONG
    assert reference_verdict(grader, problem(None, "code", TESTS)).outcome is Outcome.UNGRADABLE
