"""Code: does the program pass all tests? It is run, in a child process; the judging happens here, outside.

The program is the one fenced block of the final part; without a fence, the final part itself; several blocks that
differ, or one that is not closed, are malformed. Its function `f` is called with the arguments of each test, and what
it returned must equal the expected JSON value with strict types (1 is not 1.0 is not true; a tuple is not a list).
Exceptions, early exits, broken syntax, time, memory and output limits are `wrong`; a lost runner is `grader_error`.

Not covered: real isolation (see `sandbox.forked`), stdin tests, other languages, speed as part of the reward.
"""

import json
import math
import re
from typing import Any

from r1_pipeline.records import Outcome, Problem, Verdict
from r1_pipeline.rewards.sandbox.runner import ProgramRunner
from r1_pipeline.rewards.verifier import verdict

_RULES = "1"
_MAX_PROGRAM = 64_000
_BLOCK = re.compile(r"```[A-Za-z0-9+]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)


def extract_program(final: str) -> str | None:
    """The program in the final part of a reply, by the rule above."""
    programs = {block.strip("\n") for block in _BLOCK.findall(final)}
    rest = _BLOCK.sub("", final)
    if "```" in rest or len(programs) > 1:
        return None
    return (programs.pop() if programs else final.strip()) or None


def strictly_equal(left: Any, right: Any) -> bool:
    """Equality of JSON values in which types count too, and NaN equals nothing."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(strictly_equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(strictly_equal(left[key], right[key]) for key in left)
    return bool(left == right) and not (isinstance(left, float) and math.isnan(left))


def _returns(text: str, expected: Any) -> bool:
    try:
        return strictly_equal(json.loads(text), expected)
    except (ValueError, RecursionError):
        return False  # not JSON, too deep or too long: nothing a test expects


class CodeVerifier:
    """See the module."""

    name = "code"

    def __init__(self, runner: ProgramRunner) -> None:
        self._runner = runner
        self.version = f"{_RULES}+{runner.identity}"

    def close(self) -> None:
        """End the runner's processes."""
        self._runner.close()

    def judge(self, problem: Problem, final: str) -> Verdict:
        """The verdict on the final part of a reply."""
        try:
            expected = [json.loads(test.expected) for test in problem.tests]
            arguments = [json.loads(test.arguments) for test in problem.tests]
        except ValueError as error:
            return verdict(self, Outcome.UNGRADABLE, f"a test is not JSON: {error}")
        if not expected or not all(isinstance(each, list) for each in arguments):
            return verdict(self, Outcome.UNGRADABLE, "the problem has no tests, or arguments that are not an array")
        program = extract_program(final)
        if program is None or len(program) > _MAX_PROGRAM:
            return verdict(self, Outcome.MALFORMED, "no program, several, an open fence, or an over-long one")
        run = self._runner.run(program, [test.arguments for test in problem.tests])
        if run.status == "runner_failed":
            return verdict(self, Outcome.GRADER_ERROR, run.detail)
        passed = sum(map(_returns, run.returned, expected))
        if run.status == "finished" and passed == len(expected):
            return verdict(self, Outcome.CORRECT, f"{passed} of {passed} tests")
        return verdict(self, Outcome.WRONG, f"{passed} of {len(expected)} tests {run.detail}".strip())
