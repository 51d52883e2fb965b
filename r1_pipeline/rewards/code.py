"""Code: does the program pass all hidden tests? It runs in a sandbox; the judging happens here, outside.

Where the program stands in a reply: `program_extraction`. What passes:

    call    the returned JSON value equals the expected one, types included, both ways: true is not 1, 1 is not 1.0,
            a tuple is not a list, NaN equals nothing
    stdin   exit code 0 and the expected lines; white space at their ends and empty lines at the end do not count, only
            a line feed ends a line, and nothing is rounded
    unit    the test runs to its end

A test of the first two kinds may declare a tolerance: numbers that have a point then count as equal within it,
absolutely or relative to the expected one, and words of a line are told apart by blanks. Integers may have any length.

Exceptions, early exits, broken syntax, and the limits of time, memory and output are `wrong`; a lost runner is
`grader_error`; a test that makes no sense, or whose prelude fails, is `ungradable`. The detail says how each test went,
never what it expected. Not covered: problems with several right outputs, speed beyond the limit of a test.
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
    """An integer of JSON as it is written. To read a long one takes time that grows with the square of its length."""

    __slots__ = ()


def _value_of(text: str) -> Any:
    """A JSON value whose integers are `Digits`; raises `ValueError`, or `RecursionError` where it is too deep."""
    return json.loads(text, parse_int=lambda digits: Digits("0" if digits == "-0" else digits))


def strictly_equal(left: Any, right: Any, tolerance: float | None) -> bool:
    """Equality of JSON values in which types count too, and NaN equals nothing; `right` is the expected one."""
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
    """NaN is close to nothing, and so are infinities: their difference is no number."""
    return abs(number - expected) <= tolerance * max(1.0, abs(expected))


def words_equal(word: str, expected: str, tolerance: float) -> bool:
    """Equality of words of standard output, where numbers may be off by the tolerance unless both are whole."""
    if word == expected:
        return True
    numbers = _NUMBER.fullmatch(word) and _NUMBER.fullmatch(expected)
    if not numbers or (_WHOLE.fullmatch(word) and _WHOLE.fullmatch(expected)):
        return False
    return _close(float(word), float(expected), tolerance)


def lines_equal(output: str, expected: str, tolerance: float | None) -> bool:
    """Equality of texts by the lines that count."""
    pairs = lines_of(output), lines_of(expected)
    if tolerance is None:
        return pairs[0] == pairs[1]
    words, wanted = ([_BLANKS.split(line.strip(" \t")) for line in lines] for lines in pairs)
    return [len(line) for line in words] == [len(line) for line in wanted] and all(
        words_equal(*pair, tolerance) for lines in zip(words, wanted, strict=True) for pair in zip(*lines, strict=True)
    )


def lines_of(text: str) -> list[str]:
    """The lines that count: no white space at their ends, no empty ones at the end."""
    lines = [line.rstrip(" \t\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def fault_of(tests: Sequence[TestCase]) -> str | None:
    """Why these tests cannot judge anything; None if they can."""
    if not tests:
        return "the problem has no tests"
    for number, test in enumerate(tests, 1):
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
                return False  # not JSON, too deep or too long: nothing a test expects
        case "stdin":
            return lines_equal(output, test.expected, test.tolerance)
        case "unit":
            return True


def _fate(test: TestCase, run: TestRun) -> str:
    if run.status != "finished":
        return run.status
    return "passed" if _is_expected(test, run.output) else "wrong"


def _run_alike(test: TestCase) -> tuple[str, str, float, str | None]:
    """Neighbours for which this is the same are put to the program in one run."""
    return test.kind, test.function, test.limit_s, test.prelude


def _tally(fates: Iterable[str]) -> str:
    """`passed x3, wrong, passed`: every test, in order."""
    counted = [(fate, len(list(same))) for fate, same in groupby(fates)]
    return ", ".join(fate if count == 1 else f"{fate} x{count}" for fate, count in counted)


class CodeVerifier:
    """See the module."""

    name = "code"

    def __init__(self, runner: ProgramRunner) -> None:
        self._runner = runner

    @property
    def version(self) -> str:
        """Rules, interpreter, compiler and limits."""
        return f"{_RULES}+{self._runner.identity}"

    def close(self) -> None:
        """End the runner's processes."""
        self._runner.close()

    def judge(self, problem: Problem, final: str) -> Verdict:
        """The verdict on the final part of a reply. Raises `GraderError` where programs cannot be run safely."""
        if fault := fault_of(problem.tests):
            return verdict(self, Outcome.UNGRADABLE, fault)
        program = extract_program(final)
        if program is None:
            return verdict(self, Outcome.MALFORMED, "no program, several, an open fence, or an over-long one")
        fates: list[str] = []
        reasons: list[str] = []
        for (kind, function, limit_s, prelude), group in groupby(problem.tests, _run_alike):
            tests = list(group)
            posed = program.model_copy(update={"prelude": prelude or ""})
            run = self._run(posed, kind, function, [test.given for test in tests], limit_s)
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
