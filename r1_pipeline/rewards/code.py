"""Code: does the program pass all hidden tests? It runs in a sandbox; the judging happens here, outside.

The program is the fenced block whose tag names its language (`python`, `py`, `cpp`, …); without one, the block without
a tag; without any fence, the final part itself: both are Python. Several that differ, or a fence left open, are
malformed. What passes:

    call    the returned JSON value equals the expected one, types included, both ways: true is not 1, 1 is not 1.0,
            a tuple is not a list, NaN equals nothing
    stdin   exit code 0 and the expected lines; white space at their ends and empty lines at the end do not count, only
            a line feed ends a line, and nothing is rounded
    unit    the test runs to its end

Exceptions, early exits, broken syntax, and the limits of time, memory and output are `wrong`; a lost runner is
`grader_error`; a test that makes no sense is `ungradable`. The detail says how each test went, never what it expected.
Not covered: problems with several right outputs, speed beyond the limit of a test.
"""

import json
import math
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from r1_pipeline.records import Outcome, Problem, TestCase, Verdict
from r1_pipeline.rewards.sandbox.runner import Program, ProgramLanguage, ProgramRun, ProgramRunner, TestRun
from r1_pipeline.rewards.verifier import verdict

_RULES = "2"
_MAX_PROGRAM = 64_000
_BLOCK = re.compile(r"```([A-Za-z0-9+]*)[ \t\r]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_TAGS: dict[str, ProgramLanguage] = {
    "python": "python", "python3": "python", "py": "python", "cpp": "cpp", "c++": "cpp", "cc": "cpp",
}  # fmt: skip


def extract_program(final: str) -> Program | None:
    """The program in the final part of a reply, by the rule above."""
    blocks = [(tag.lower(), text.strip("\r\n")) for tag, text in _BLOCK.findall(final)]
    if "```" in _BLOCK.sub("", final):
        return None
    tagged = {Program(source=text, language=_TAGS[tag]) for tag, text in blocks if tag in _TAGS}
    untagged = {text for tag, text in blocks if not tag} if blocks else {final.strip()}
    programs = tagged or {Program(source=text, language="python") for text in untagged}
    program = programs.pop() if len(programs) == 1 else None
    return program if program and 0 < len(program.source) <= _MAX_PROGRAM else None


def strictly_equal(left: Any, right: Any) -> bool:
    """Equality of JSON values in which types count too, and NaN equals nothing."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(strictly_equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(strictly_equal(left[key], right[key]) for key in left)
    return bool(left == right) and not (isinstance(left, float) and math.isnan(left))


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
        if test.kind == "call":
            try:
                arguments, _ = json.loads(test.given), json.loads(test.expected)
            except (ValueError, RecursionError) as error:
                return f"test {number} is not JSON: {error}"
            if not isinstance(arguments, list):
                return f"test {number} has arguments that are not an array"
    return None


def _is_expected(test: TestCase, output: str) -> bool:
    match test.kind:
        case "call":
            try:
                return strictly_equal(json.loads(output), json.loads(test.expected))
            except (ValueError, RecursionError):
                return False  # not JSON, too deep or too long: nothing a test expects
        case "stdin":
            return lines_of(output) == lines_of(test.expected)
        case "unit":
            return True


def _fate(test: TestCase, run: TestRun) -> str:
    if run.status != "finished":
        return run.status
    return "passed" if _is_expected(test, run.output) else "wrong"


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
        for (kind, function, limit_s), group in groupby(problem.tests, lambda t: (t.kind, t.function, t.limit_s)):
            tests = list(group)
            run = self._run(program, kind, function, [test.given for test in tests], limit_s)
            if run.status == "runner_failed":
                return verdict(self, Outcome.GRADER_ERROR, run.detail, program.source)
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
