"""The interface between judging programs (`rewards.code`) and running them (`bubblewrap`).

A runner gets a program and the inputs of each test, never an expected value, and returns the output of each test.
Judging happens in the parent, and every returned string is untrusted, because the program wrote it.
A new isolation method is a new `ProgramRunner`.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from r1_pipeline.records import Record

ProgramLanguage = Literal["python", "cpp"]
TestStatus = Literal["finished", "failed", "out_of_time", "out_of_memory", "too_large", "killed"]


class Program(Record):
    """A program to be run."""

    source: str
    """The whole text of the program."""
    language: ProgramLanguage
    """The language: `python` programs take all three kinds of tests, `cpp` programs only `feed`."""
    prelude: str = ""
    """Python code that runs before a Python program, once for all its tests; see `records.TestCase`."""


class TestRun(Record):
    """The result of one test of a program."""

    __test__ = False  # not a pytest class

    status: TestStatus
    """The status: `finished` if the program returned or exited with code 0; `failed` after an exception, a failed
    assertion or another exit code; `killed` if a signal killed it, or if it broke the sandbox that it shares with the
    tests after it. After a test that is out of time or of memory, the others are not run and share its status."""
    output: str
    """The output, untrusted: JSON text of the value for `call`, standard output for `feed`, empty for `unit`."""
    detail: str
    """One line on what went wrong, untrusted; empty if finished."""
    seconds: float
    """The wall time in seconds, measured outside the sandbox."""


class ProgramRun(Record):
    """The result of running a program."""

    status: Literal["ran", "not_prepared", "not_compiled", "runner_failed"]
    """The status: `not_prepared` if the prelude failed, `not_compiled` if the program could not be loaded, and
    `runner_failed` if the program is not at fault."""
    detail: str
    """One line on why the program did not run, untrusted; empty if it ran."""
    tests: tuple[TestRun, ...]
    """The result of each test if the program ran, else empty."""


class ProgramRunner(Protocol):
    """The interface of a program runner, usable from several threads; `limit_s` is a test's wall time in seconds."""

    @property
    def identity(self) -> str:
        """Everything that can change a result: name, version, interpreter, compiler and limits."""
        ...

    def call(self, program: Program, function: str, arguments: Sequence[str], limit_s: float) -> ProgramRun:
        """Defines the program, then calls `function` once for each JSON array of positional arguments."""
        ...

    def feed(self, program: Program, inputs: Sequence[str], limit_s: float) -> ProgramRun:
        """Runs the whole program once for each text on its standard input."""
        ...

    def unit(self, program: Program, function: str, tests: Sequence[str], limit_s: float) -> ProgramRun:
        """Runs each test's source against `function`, which the test can call by that name and as `candidate`.

        A `check(candidate)` that the source defines is called. Tests run in another sandbox than the program: only
        arguments, returned values and the names of exceptions cross, as copies of plain values.
        """
        ...

    def close(self) -> None:
        """Ends all processes."""
        ...
