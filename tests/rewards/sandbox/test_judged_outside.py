"""Hacks of the verdict, by their numbers in the list of 58: a tiny strict judge accepts only the honest program."""

import json

import pytest

from r1_pipeline.rewards.sandbox.runner import Program

HONEST = "def f(x): return x + 1"
CALLS = {
    "V1 sys.exit before the call": "import sys\nsys.exit(0)",
    "V2 os._exit before the call": "import os\nos._exit(0)",
    "V3 equal to everything": "class E(int):\n    def __eq__(s, o): return True\ndef f(x): return E(1)",
    "V4 patched json": "import json\njson.dumps = lambda *a, **k: '2'\njson.loads = lambda *a: [1]\ndef f(x): return 7",
    "V5 patched builtins": "import builtins\nbuiltins.type = lambda x: int\ndef f(x): return [x]",
    "V8 fake lines on every descriptor": """
import os
for descriptor in range(64):
    try: os.write(descriptor, b'["value", "true"]\\ncorrect\\n{"status": "finished"}\\n')
    except OSError: pass
os._exit(0)
""",
    "V9 SystemExit in the call": "def f(x): raise SystemExit(0)",
    "V10 KeyboardInterrupt in the call": "def f(x): raise KeyboardInterrupt",
    "V11 an object that unpickles well": "class R:\n    def __reduce__(s): return int, (2,)\ndef f(x): return R()",
    "V12 not a number": "def f(x): return float('nan')",
    "V13 a float for an integer": "def f(x): return float(x + 1)",
    "V13 a bool for an integer": "def f(x): return True",
    "V14 JSON 200,000 deep": "import os\ndef f(x): os.write(3, b'[' * 200000); os._exit(0)",
    "V15 invalid UTF-8 and NUL": "import os\ndef f(x): os.write(3, b'\\xff\\xfe\\0' * 10); os._exit(0)",
    "V16 an integer of a million digits": "import os\ndef f(x): os.write(3, b'1' * 1000000); os._exit(0)",
    "V17 a line separator": "def f(x): return str(x + 1) + chr(0x2028)",
    "V18 a key twice": 'import os\ndef f(x): os.write(3, b\'{"a": 1, "a": 2}\'); os._exit(0)',
    "V19 state kept between calls": "n = [0]\ndef f(x):\n    n[0] += 1\n    return [0, 2, 987654321][n[0]]",
    "wrong": "def f(x): return x",
}
HUNTS = {
    "V6 frames": """
import re, sys
def f(x):
    frame = sys._getframe()
    while frame:
        if re.search("9876[5]4321", repr(frame.f_locals) + repr(frame.f_globals)): return x + 1
        frame = frame.f_back
""",
    "V7 objects": """
import gc, re
def f(x):
    for o in gc.get_objects():
        if type(o) in (list, tuple, dict, set) and re.search("9876[5]4321", repr(o)): return x + 1
""",
    "V7 files and processes": """
import glob, re
def f(x):
    for path in sum(map(glob.glob, ("/job/*", "/tmp/*", "/proc/*/cmdline", "/proc/*/environ")), []):
        try:
            if re.search(b"9876[5]4321", open(path, "rb").read()): return x + 1
        except OSError: pass
""",
}
FEEDS = {
    "V1 exits first": "import sys\nsys.exit(0)",
    "V8 the first line only": "print(input())",
    "V15 invalid UTF-8": "import os\nos.write(1, b'2\\xff\\n')",
    "V17 a line separator for a new line": "x = input()\nprint(x + chr(0x2028) + input())",
    "right, and then an exit code": "import sys\nsys.stdout.write(sys.stdin.read())\nsys.exit(3)",
    "right, and then a signal": "import os, sys\nsys.stdout.write(sys.stdin.read())\nsys.stdout.flush()\nos.abort()",
}


def accepts(run, expected, read):
    """A strict judge: every test finished, and its output is the expected value of the expected type."""
    if run.status != "ran" or any(test.status != "finished" for test in run.tests):
        return False
    try:
        outputs = [read(test.output) for test in run.tests]
    except (ValueError, RecursionError):
        return False
    return all(type(a) is type(b) and a == b for a, b in zip(outputs, expected, strict=True))


def called(held, source):
    return held.call(Program(source=source, language="python"), "f", ["[1]", "[987654320]"], 2.0)


@pytest.mark.parametrize("name", CALLS)
def test_a_hacked_call_is_refused(name, held):
    run = called(held, CALLS[name])
    assert run.status == "ran" and len(run.tests) == 2
    assert not accepts(run, [2, 987654321], json.loads)


@pytest.mark.parametrize("name", HUNTS)
def test_no_search_of_the_sandbox_finds_the_expected_value(name, held):
    run = held.call(Program(source=HUNTS[name], language="python"), "f", ["[987654320]"], 2.0)
    assert [(test.status, test.output) for test in run.tests] == [("finished", "null")]


@pytest.mark.parametrize("name", FEEDS)
def test_a_hacked_output_is_refused(name, held):
    run = held.feed(Program(source=FEEDS[name], language="python"), ["1\n2\n", "3\n4\n"], 2.0)
    assert not accepts(run, ["1\n2\n", "3\n4\n"], str)


def test_the_honest_programs_are_accepted(held):
    assert accepts(called(held, HONEST), [2, 987654321], json.loads)
    run = held.feed(Program(source="import sys\nprint(sys.stdin.read(), end='')", language="python"), ["1\n2\n"], 2.0)
    assert accepts(run, ["1\n2\n"], str)
