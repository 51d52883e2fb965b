"""Features of other judges on which programs rely: builtins, long integers, a deep stack, preludes, tolerances."""

import json
from decimal import Decimal, localcontext

import pytest

from r1_pipeline.data.toy_problems import problem_id
from r1_pipeline.records import Outcome, TestCase
from r1_pipeline.rewards.sandbox import jail
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem

NINES = "9" * 5000
CORRECT, WRONG, UNGRADABLE = Outcome.CORRECT, Outcome.WRONG, Outcome.UNGRADABLE
with localcontext(prec=7_000):
    POWER = f"{Decimal(2) ** 20_000:f}"
    """The integer 2^20,000 in base 10, which is too long for `str`."""
LISTS = """
from typing import *
from collections import Counter
class ListNode:
    def __init__(self, val=0, next=None): self.val, self.next = val, next
def linked(values):
    head = None
    for value in reversed(values): head = ListNode(value, head)
    return head
def values(head):
    found = []
    while head: found.append(head.val); head = head.next
    return found
"""
MERGE = """
class Solution:
    def merge(self, a: Optional[ListNode], b: Optional[ListNode]) -> Optional[ListNode]:
        end = first = ListNode()
        while a and b:
            if a.val > b.val: a, b = b, a
            end.next = end = a
            a = a.next
        end.next = a or b
        return first.next
"""
DEEP = """
#include <bits/stdc++.h>
using namespace std;
long long f(long long n) { volatile char b[64]; b[0] = n; return n == 0 ? 0 : 1 + f(n - 1) + b[0] - b[0]; }
int main() { cout << f(1000000) << endl; }
"""
JUDGED = """
#include <cstdio>
#include <cstdlib>
int main() {
#ifdef ONLINE_JUDGE
    puts(getenv("ONLINE_JUDGE"));
#else
    freopen("input.txt", "r", stdin);
#endif
}
"""
THREADS = """
#include <iostream>
#include <thread>
#include <vector>
int main() {
    std::vector<std::thread> all;
    for (int n = 0; n < 16; n++) all.emplace_back([] {});
    for (auto &each : all) each.join();
    std::cout << all.size() << std::endl;
}
"""


@pytest.fixture(scope="module", autouse=True)
def safe():
    if problem := sandbox_problem():
        pytest.skip(problem)


@pytest.fixture(scope="module")
def judged(grader, problem):
    """Returns the verdict on a program for one test."""

    def judge(source, kind, given, expected, function="", language="python", limit_s=60.0, **declared):
        test = TestCase(kind=kind, function=function, given=given, expected=expected, limit_s=limit_s, **declared)
        task = problem(None, "code").model_copy(update={"tests": (test,)})
        return grader.judge(task, f"```{language}\n{source}\n```")

    return judge


def of(verdict):
    """Returns the outcome, with the detail if it is neither correct nor wrong."""
    return verdict.outcome, verdict.detail


@pytest.mark.parametrize("end", ["exit(0)", "exit()", "quit()", "if True:\n    exit()\nprint(3)", "exit"])
def test_a_program_may_end_as_at_the_prompt(end, judged):
    assert of(judged(f"print(2)\n{end}", "stdin", "", "2\n"))[0] is CORRECT


def test_what_pythons_own_start_adds_to_the_builtins_is_there(judged):
    named = "print(*(callable(each) for each in (exit, quit, copyright, credits, license, help)), __file__)"
    assert judged(named, "stdin", "", "True " * 6 + "program.py\n").outcome is CORRECT
    caught = "try:\n    print(2)\n    exit()\nexcept SystemExit:\n    pass"
    assert judged(caught, "stdin", "", "2\n").outcome is CORRECT
    assert judged("print(2)\nexit(1)", "stdin", "", "2\n").outcome is WRONG
    assert judged("def f(x): return exit(0)", "call", "[1]", "2", "f").outcome is WRONG
    assert judged("def f(x): return exit(0)", "unit", "assert f(1) == 2", "", "f").outcome is WRONG


@pytest.mark.parametrize(
    ("source", "kind", "given", "expected"),
    [
        ("print(2**20000)", "stdin", "", f"{POWER}\n"),
        ("a=int(input())\nprint(a%7)", "stdin", f"{NINES}\n", "1\n"),
        ("print(int(input())+1)", "stdin", "1" * 4301, "1" * 4300 + "2"),
        ("print(int(input())+1)", "stdin", "1" * 10_000, "1" * 9_999 + "2"),
        ("def f(n):\n    return 2**n", "call", "[20000]", POWER),
        ("def f(n):\n    return [-2**n]", "call", "[20000]", f"[-{POWER}]"),
        ("def f(n):\n    return n%7", "call", f"[{NINES}]", "1"),
        ("def f(n):\n    return str(2**n)", "call", "[20000]", f'"{POWER}"'),
        ("def f(n):\n    return 2**n", "unit", "assert f(20000) == 2**20000 and len(str(f(20000))) == 6021", ""),
        ("def f(n):\n    return -n", "unit", "assert f(2**20000) == -2**20000 and type(f(2**65)) is int", ""),
        ("print(len(str(2**20000)))", "stdin", "", "6021"),
    ],
)
def test_integers_have_any_length_in_programs_inputs_and_expected_values(source, kind, given, expected, judged):
    function = "" if kind == "stdin" else "f"
    assert of(judged(source, kind, given, expected, function))[0] is CORRECT
    if kind != "unit":
        other = expected.translate(str.maketrans("0123456789", "1234567891"))
        assert judged(source, kind, given, other, function).outcome is WRONG


def test_minus_zero_is_the_integer_zero_and_a_long_integer_is_no_float(judged):
    assert judged("def f(x): return 0", "call", "[1]", "-0", "f").outcome is CORRECT
    assert judged("def f(x): return '0'", "call", "[1]", "0", "f").outcome is WRONG
    assert judged("def f(x): return 1.0", "call", "[1]", "1", "f").outcome is WRONG


@pytest.mark.skipif(jail.compiler() is None, reason="no g++ on this machine")
@pytest.mark.parametrize(("source", "expected"), [(DEEP, "1000000"), (JUDGED, "1"), (THREADS, "16")])
def test_a_program_in_cpp_has_a_judges_stack_and_macro(source, expected, judged):
    assert of(judged(source, "stdin", "", expected, language="cpp"))[0] is CORRECT


def test_a_program_in_python_sees_the_judge_too(judged):
    source = "import os\nprint(os.environ.get('ONLINE_JUDGE'))"
    assert judged(source, "stdin", "", "1").outcome is CORRECT


def test_a_prelude_gives_names_to_programs_and_to_unit_tests(judged):
    counts = "def f(xs: List[int]) -> int:\n    return max(Counter(xs).values())"
    assert judged(counts, "call", "[[1, 2, 1]]", "2", "f", prelude=LISTS).outcome is CORRECT
    assert "NameError: name 'List'" in judged(counts, "call", "[[1, 2, 1]]", "2", "f").detail
    summed = "print(sum(values(linked(list(map(int, input().split()))))))"
    assert judged(summed, "stdin", "1 2 3", "6", prelude=LISTS).outcome is CORRECT
    merged = "assert values(candidate(linked([1, 3]), b=linked([2]))) == [1, 2, 3]"
    assert of(judged(MERGE, "unit", merged, "", "merge", prelude=LISTS)) == (CORRECT, "1 of 1 tests: passed")
    wrong = MERGE.replace("a or b", "None")
    assert "AssertionError" in judged(wrong, "unit", merged, "", "merge", prelude=LISTS).detail


def test_instances_of_a_preludes_classes_cross_at_any_length_with_their_loops(judged):
    echo = "def f(x): return x"
    long = "assert values(f(linked(list(range(20000))))) == list(range(20000))"
    loop = "a = ListNode(1)\na.next = a\nb, c = f([a, a])\nassert b is c is b.next and b.val == 1 and b is not a"
    for test in (long, loop):
        assert of(judged(echo, "unit", test, "", "f", prelude=LISTS)) == (CORRECT, "1 of 1 tests: passed")


def test_nothing_of_a_programs_own_making_crosses_under_a_preludes_name(judged):
    hostile = """
class ListNode:
    def __init__(self): self.val = 1; self.__class__ = 1 if False else ListNode
    def __eq__(self, other): return True
def f(x): return ListNode()
"""
    test = "got = f(0)\nassert got.val == 1 and type(got) is ListNode\nassert got == 5"
    judgement = judged(hostile, "unit", test, "", "f", prelude=LISTS)
    assert judgement.outcome is WRONG and judgement.detail.endswith("AssertionError")
    other = "class Other: pass\ndef f(x): return Other()"
    assert "a Other does not cross" in judged(other, "unit", "f(0)", "", "f", prelude=LISTS).detail


@pytest.mark.parametrize(
    ("prelude", "says"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
        ("import os; os._exit(0)", "took down"),
    ],
)
@pytest.mark.parametrize(("kind", "given"), [("call", "[1]"), ("unit", "assert f(1) == 1")])
def test_a_prelude_that_fails_is_the_problems_fault(kind, given, prelude, says, judged):
    judgement = judged("def f(x): return x", kind, given, "1" if kind == "call" else "", "f", prelude=prelude)
    assert judgement.outcome is UNGRADABLE and says in judgement.detail and "prelude of test 1" in judgement.detail


@pytest.mark.parametrize(
    ("printed", "expected", "outcome"),
    [
        ("0.3333333", "0.333333333", CORRECT),
        ("0.334", "0.333333333", WRONG),
        ("1000000.5", "1000000.0", CORRECT),
        ("1000002.0", "1000000.0", WRONG),
        ("1000001", "1000000", WRONG),
        ("2", "2.000000", CORRECT),
        ("2.0", "2", CORRECT),
        ("1e0", "1.0", CORRECT),
        ("nan", "1.0", WRONG),
        ("inf", "1e999", WRONG),
        ("1e999", "1e9999", WRONG),
        ("YES  0.5000001 ", "YES 0.5", CORRECT),
        ("NO 0.5", "YES 0.5", WRONG),
        ("0.5 0.5", "0.5", WRONG),
        ("0.5\n0.5", "0.5 0.5", WRONG),
    ],
)
def test_numbers_may_be_off_by_the_tolerance_that_a_test_declares(printed, expected, outcome, judged):
    source = f"print({printed!r})"
    assert judged(source, "stdin", "", expected, tolerance=1e-6).outcome is outcome
    alike = " ".join(printed.split(" ")).strip() == expected
    assert judged(source, "stdin", "", expected).outcome is (CORRECT if alike else WRONG)


def test_a_returned_number_may_be_off_by_the_tolerance_too(judged):
    for value, expected, outcome in [
        ("0.1 + 0.2", "0.3", CORRECT), ("[1, 2.0000001]", "[1, 2.0]", CORRECT), ("2", "2.0", CORRECT),
        ("2.01", "2.0", WRONG), ("3", "2", WRONG), ("True", "1.0", WRONG), ("'2.0'", "2.0", WRONG),
        ("float('nan')", "1.0", WRONG), ("float('inf')", "Infinity", WRONG),
    ]:  # fmt: skip
        assert judged(f"def f(x): return {value}", "call", "[1]", expected, "f", tolerance=1e-6).outcome is outcome
    assert judged("def f(x): return 0.1 + 0.2", "call", "[1]", "0.3", "f").outcome is WRONG


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("stdin", 0.0), ("stdin", -1.0), ("call", float("inf")), ("unit", 0.1)]
)
def test_a_tolerance_that_makes_no_sense_is_ungradable(kind, tolerance, judged):
    assert judged("print(1)", kind, "[1]", "1", "f", tolerance=tolerance).outcome is UNGRADABLE


def test_rows_and_hashes_of_tests_that_declare_nothing_are_as_they_were():
    plain = TestCase(kind="stdin", function="", given="1", expected="2", limit_s=1.0)
    old = {"kind": "stdin", "function": "", "given": "1", "expected": "2", "limit_s": 1.0}
    assert plain.model_dump() == old == json.loads(plain.model_dump_json())
    assert problem_id("?", None, (plain,), "code") == "389f8d425671379c"
    declared = plain.model_copy(update={"tolerance": 1e-6, "prelude": "import math"})
    assert TestCase.model_validate_json(declared.model_dump_json()) == declared
    assert problem_id("?", None, (declared,), "code") != problem_id("?", None, (plain,), "code")
