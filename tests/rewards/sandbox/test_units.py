"""Laws of unit tests: they run in another sandbox than the program, which never sees them and passes only if right."""

import pytest

from r1_pipeline.rewards.sandbox.runner import Program

CHECK = """
def check(candidate):
    assert candidate(1) == 987654321
    assert candidate([1, (2, 3)], named={"a": None}) == (4.5, {"b": [True]})
"""
RIGHT = """
def f(x, named=None):
    return 987654321 if x == 1 else (4.5, {"b": [True]}) if x == [1, (2, 3)] and named == {"a": None} else None
"""


def unit(held, source, test=CHECK, limit_s=60.0):
    run = held.unit(Program(source=source, language="python"), "f", [test], limit_s)
    assert run.status == "ran", run.detail
    return run.tests[0]


def test_plain_values_cross_both_ways_with_their_types(held):
    assert unit(held, RIGHT).status == "finished"
    echo = "def f(x): return x"
    values = [
        None,
        True,
        1,
        1.5,
        float("inf"),
        "é\0 ",
        [],
        (1,),
        {1, 2},
        frozenset({3}),
        {(1, 2): [None]},
        10**50,
        1 - 2j,
    ]
    for value in values:
        test = f"inf = float('inf')\nvalue = {value!r}\nassert f(value) == value and type(f(value)) is type(value)"
        assert unit(held, echo, test).status == "finished", value


@pytest.mark.parametrize(
    ("source", "status", "why"),
    [
        ("def f(x, named=None): return 1", "failed", "AssertionError"),
        (
            "class E:\n    def __eq__(s, o): return True\ndef f(x, named=None): return E()",
            "failed",
            "a E does not cross",
        ),
        (
            "class E(int):\n    def __eq__(s, o): return True\ndef f(x, named=None): return E()",
            "failed",
            "a E does not",
        ),
        ("def f(x, named=None): raise SystemExit(0)", "failed", "SystemExit"),
        ("def f(x, named=None): raise KeyboardInterrupt", "failed", "KeyboardInterrupt"),
        ("import os\ndef f(x, named=None): os._exit(0)", "failed", "ended early"),
        ("import os\nos._exit(0)", "failed", "ended early"),
        ("import sys\nsys.exit(0)", "failed", "ended early"),
        ("import os\ndef f(x, named=None): os.write(3, b'passed'); os._exit(0)", "failed", "ended early"),
        ("def f(x, named=None):\n    while True: pass", "out_of_time", "out of time"),
        ("def f(x, named=None): return [0] * 10 ** 9", "out_of_memory", "MemoryError"),
        (
            "def f(x, named=None):\n    a = []\n    for _ in range(10 ** 5): a = [a]\n    return a",
            "failed",
            "RecursionError",
        ),
        ("def g(x): return 1", "failed", "KeyError"),
        ("1 / 0", "failed", "ZeroDivisionError"),
    ],
)
def test_a_wrong_or_hostile_program_does_not_pass(source, status, why, held):
    test = unit(held, source, limit_s=1.0 if status == "out_of_time" else 60.0)
    assert test.status == status and why in test.detail


FORGE = """
import json, os, struct, time
def forge(text):
    os.write(61, struct.pack(">I", len(text)) + text)
def f(x, named=None):
    {}
    time.sleep(100)
"""


@pytest.mark.parametrize(
    ("act", "status"),
    [
        ("""forge(b'{"status": "finished", "output": "passed", "detail": ""}')""", "failed"),
        ("""forge(b'{"status": "passed"}')""", "killed"),
        ("""forge(b'{"call": [[], {}]}')""", "failed"),
        ("""forge(b'{"value": ["nonsense", 1]}')""", "failed"),
        ("""forge(b'{"raised": ["SystemExit", "0"]}')""", "failed"),
        ("""forge(b'{"raised": ["exec", "import os; os._exit(0)"]}')""", "failed"),
        ("""forge(b'{"value": ' + b'[' * 100000)""", "killed"),
        ("""forge(b'[]')""", "killed"),
        ("""forge(b'{"status": "failed", "output": "\\\\ud800", "detail": "\\\\udfff"}')""", "failed"),
        ("""forge(b'\\xff\\xfe')""", "killed"),
        ("""os.write(61, b'\\xff' * 4096)""", "too_large"),
        ("""os.kill(os.getppid(), 9)""", "killed"),
    ],
)
def test_words_that_the_program_puts_into_the_drivers_mouth_gain_nothing(act, status, held):
    assert unit(held, FORGE.format(act)).status == status


@pytest.mark.parametrize("depth", [100, 980, 1000, 100_000])
def test_a_forged_value_of_any_depth_is_the_programs_failure(depth, held):
    """The depth at which JSON fails differs between machines."""
    test = unit(held, FORGE.format(f"""forge(b'{{"value": ' + b'[' * {depth} + b']' * {depth} + b'}}')"""))
    assert test.status in ("failed", "killed")


def test_the_test_is_nowhere_in_the_programs_sandbox(held):
    hunt = """
import gc, os, sys
def f(x, named=None):
    seen = []
    frame = sys._getframe()
    while frame: seen.append(repr(frame.f_locals)); frame = frame.f_back
    seen += [repr(o) for o in gc.get_objects() if isinstance(o, (str, dict, list, tuple))]
    for pid in os.listdir("/proc"):
        for name in ("cmdline", "environ"):
            try: seen.append(open(f"/proc/{pid}/{name}").read())
            except OSError: pass
    number = "".join(map(str, range(9, 0, -1)))
    if any(number in text for text in seen): return int(number)
"""
    assert unit(held, hunt).status == "failed"


def test_dictionaries_of_other_types_cross_as_plain_ones(held):
    source = "from collections import Counter\ndef f(x): return Counter(x)"
    assert unit(held, source, "assert f('aab') == {'a': 2, 'b': 1} and type(f('')) is dict").status == "finished"
    hostile = "class D(dict):\n    def __eq__(s, o): return True\ndef f(x): return D()"
    assert unit(held, hostile, "assert f('aab') == {'a': 2, 'b': 1}").status == "failed"


def test_exceptions_cross_by_name_so_that_tests_can_expect_them(held):
    source = "def f(x):\n    if x < 0: raise ValueError('negative')\n    return x"
    test = "try: f(-1)\nexcept ValueError as e: assert str(e) == 'negative'\nelse: assert False\nassert f(2) == 2"
    assert unit(held, source, test).status == "finished"


def test_asserts_without_a_check_are_run_and_each_test_is_told_apart(held):
    program = Program(source="def f(x): return x * 2", language="python")
    run = held.unit(program, "f", ["assert f(2) == 4", "assert f(2) == 5", "assert candidate('a') == 'aa'"], 2.0)
    assert [test.status for test in run.tests] == ["finished", "failed", "finished"]
