"""This module grades programs: an answer is correct if its program passes all hidden tests.

The program runs in a sandbox; its results are compared here, outside the sandbox. `program_extraction` finds the
program in a reply. A test passes by its kind:

    call    the returned JSON value equals the expected one in value and type: true is not 1, 1 is not 1.0, a tuple is
            not a list, NaN equals nothing
    stdin   the exit code is 0 and the output has the expected lines; trailing white space and trailing empty lines do
            not count, only a line feed ends a line, and nothing is rounded
    unit    the test runs to its end

A test of the first two kinds may declare a tolerance: numbers with a decimal point are then equal within it, absolutely
or relative to the expected number, and white space separates the words of a line. Integers may have any length.

Exceptions, early exits, syntax errors, and exceeded limits of time, memory or output are `wrong`; a lost runner is
`grader_error`; an invalid test, or one whose prelude fails, is `ungradable`. The detail says how each test ended, never
what it expected. Not covered: problems with several correct outputs, and speed beyond a test's time limit.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from r1_pipeline.records import Outcome, Problem, TestCase, Verdict
from r1_pipeline.rewards.program_extraction import extract_program
from r1_pipeline.rewards.sandbox.runner import Program, ProgramRun, ProgramRunner, TestRun
from r1_pipeline.rewards.verifier import verdict

_RULES = "3"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_BLANKS = re.compile(r"[ \t]+")


class Digits(str):
    """A JSON integer kept as its digits, because parsing a long one takes time quadratic in its length."""

    __slots__ = ()


def _value_of(text: str) -> Any:
    """Parses JSON with integers as `Digits`; raises `ValueError`, or `RecursionError` if it is nested too deeply."""
    return json.loads(text, parse_int=lambda digits: Digits("0" if digits == "-0" else digits))


def strictly_equal(left: Any, right: Any, tolerance: float | None) -> bool:
    """Returns True if two JSON values are equal in value and type; NaN equals nothing, and `right` is expected.

    With a `tolerance`, a float may differ from the expected number by it, absolutely or relative to that number.
    """
    if tolerance is not None and float in (type(left), type(right)) and {type(left), type(right)} <= {float, Digits}:
        return _close(float(left), float(right), tolerance)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(
            strictly_equal(*pair, tolerance) for pair in zip(left, right, strict=True)
        )
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(strictly_equal(left[key], right[key], tolerance) for key in left)
    return bool(left == right) and not (isinstance(left, float) and math.isnan(left))


def _close(number: float, expected: float, tolerance: float) -> bool:
    """Returns True if a number is within the tolerance; False for NaN and infinities, whose difference is NaN."""
    return abs(number - expected) <= tolerance * max(1.0, abs(expected))


def words_equal(word: str, expected: str, tolerance: float) -> bool:
    """Returns True if two words of output are equal; numbers may differ by the tolerance unless both are integers."""
    if word == expected:
        return True
    numbers = _NUMBER.fullmatch(word) and _NUMBER.fullmatch(expected)
    if not numbers or (_WHOLE.fullmatch(word) and _WHOLE.fullmatch(expected)):
        return False
    return _close(float(word), float(expected), tolerance)


def lines_equal(output: str, expected: str, tolerance: float | None) -> bool:
    """Returns True if two texts have equal lines, apart from trailing white space and trailing empty lines."""
    pairs = lines_of(output), lines_of(expected)
    if tolerance is None:
        return pairs[0] == pairs[1]
    words, wanted = ([_BLANKS.split(line.strip(" \t")) for line in lines] for lines in pairs)
    return [len(line) for line in words] == [len(line) for line in wanted] and all(
        words_equal(*pair, tolerance) for lines in zip(words, wanted, strict=True) for pair in zip(*lines, strict=True)
    )


def lines_of(text: str) -> list[str]:
    """Returns the lines of a text without trailing white space and without trailing empty lines."""
    lines = [line.rstrip(" \t\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def fault_of(tests: Sequence[TestCase]) -> str | None:
    """Returns the reason why these tests cannot be used, or None if they can."""
    if not tests:
        return "the problem has no tests"
    for number, test in enumerate(tests, 1):
        if test.kind in ("instruction", "turn"):
            return f"test {number} of the kind {test.kind} is for a reply in words, which no program follows"
        if test.limit_s <= 0 or (test.kind != "stdin" and not test.function.isidentifier()):
            return f"test {number} has no time, or calls no function"
        if test.tolerance is not None and (test.kind == "unit" or not 0 < test.tolerance < math.inf):
            return f"test {number} has a tolerance of {test.tolerance}, which must be above 0, for `stdin` or `call`"
        if test.kind == "call":
            try:
                arguments, _ = _value_of(test.given), _value_of(test.expected)
            except (ValueError, RecursionError) as error:
                return f"test {number} is not JSON: {error}"
            if not isinstance(arguments, list):
                return f"test {number} has arguments that are not an array"
    return None


def _is_expected(test: TestCase, output: str) -> bool:
    match test.kind:
        case "call":
            try:
                return strictly_equal(_value_of(output), _value_of(test.expected), test.tolerance)
            except (ValueError, RecursionError):
                return False  # not JSON, or nested too deeply: no test expects that
        case "stdin":
            return lines_equal(output, test.expected, test.tolerance)
        case "unit":
            return True
        case "instruction" | "turn":
            return False  # refused by `fault_of`


def _fate(test: TestCase, run: TestRun) -> str:
    if run.status != "finished":
        return run.status
    return "passed" if _is_expected(test, run.output) else "wrong"


def _run_alike(test: TestCase) -> tuple[str, str, float, str | None]:
    """Returns the key of a run: consecutive tests with the same key go to the program in one run."""
    return test.kind, test.function, test.limit_s, test.prelude


def _tally(fates: Iterable[str]) -> str:
    """Returns the outcome of every test in order, run-length encoded: `passed x3, wrong, passed`."""
    counted = [(fate, len(list(same))) for fate, same in groupby(fates)]
    return ", ".join(fate if count == 1 else f"{fate} x{count}" for fate, count in counted)


class CodeVerifier:
    """Grades programs by their hidden tests; see the module's docstring for the rules."""

    name = "code"

    def __init__(self, runner: ProgramRunner) -> None:
        self._runner = runner

    @property
    def version(self) -> str:
        """The version of the rules and the runner's identity: interpreter, compiler and limits."""
        return f"{_RULES}+{self._runner.identity}"

    def close(self) -> None:
        """Ends the runner's processes."""
        self._runner.close()

    def judge(self, problem: Problem, final: str) -> Verdict:
        """Judges the program in the final part of a reply; raises `GraderError` if programs cannot run safely."""
        if fault := fault_of(problem.tests):
            return verdict(self, Outcome.UNGRADABLE, fault)
        program = extract_program(final)
        if program is None:
            return verdict(self, Outcome.MALFORMED, "no program, several, an open fence, or an over-long one")
        fates: list[str] = []
        reasons: list[str] = []
        for (kind, function, limit_s, prelude), group in groupby(problem.tests, _run_alike):
            tests = list(group)
            prepared = program.model_copy(update={"prelude": prelude or ""})
            run = self._run(prepared, kind, function, [test.given for test in tests], limit_s)
            if run.status == "runner_failed":
                return verdict(self, Outcome.GRADER_ERROR, run.detail, program.source)
            if run.status == "not_prepared":
                detail = f"the prelude of test {len(fates) + 1} fails: {run.detail}"
                return verdict(self, Outcome.UNGRADABLE, detail, program.source)
            if run.status == "not_compiled":
                detail = f"0 of {len(problem.tests)} tests: not compiled: {run.detail}"
                return verdict(self, Outcome.WRONG, detail, program.source)
            reasons += [f"; test {len(fates) + n}: {each.detail}" for n, each in enumerate(run.tests, 1) if each.detail]
            fates += map(_fate, tests, run.tests)
        outcome = Outcome.CORRECT if set(fates) == {"passed"} else Outcome.WRONG
        summary = f"{fates.count('passed')} of {len(fates)} tests: {_tally(fates)}"
        return verdict(self, outcome, summary + "".join(reasons[:1]), program.source)

    def _run(self, program: Program, kind: str, function: str, given: Sequence[str], limit_s: float) -> ProgramRun:
        match kind:
            case "call":
                return self._runner.call(program, function, given, limit_s)
            case "stdin":
                return self._runner.feed(program, given, limit_s)
            case _:
                return self._runner.unit(program, function, given, limit_s)
