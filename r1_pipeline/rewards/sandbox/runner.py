"""The seam between judging programs (`rewards.code`) and running them (`bubblewrap`).

A runner gets a program and the inputs of each test, never an expected value; it gives back what each test produced.
Judging happens in the parent, and every string that comes back is the work of an untrusted program.
Another way of isolating programs is another `ProgramRunner`.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from r1_pipeline.records import Record

ProgramLanguage = Literal["python", "cpp"]
TestStatus = Literal["finished", "failed", "out_of_time", "out_of_memory", "too_large", "killed"]


class Program(Record):
    """What is to be run."""

    source: str
    """The whole text of the program."""
    language: ProgramLanguage
    """`python` takes all three kinds of tests, `cpp` only `feed`."""
    prelude: str = ""
    """Python that is run before a program in Python, once for all its tests; see `records.TestCase`."""


class TestRun(Record):
    """What one test made of the program."""

    __test__ = False  # not a pytest class

    status: TestStatus
    """`finished`: it returned or ended with exit code 0; `failed`: exception, failed assertion or another exit code;
    `killed`: it died of a signal, or took down the sandbox that it shares with the tests after it.
    After a test that is out of time or of memory the others are not run: they share its status."""
    output: str
    """`call`: JSON text of the value; `feed`: standard output; `unit`: empty. Untrusted."""
    detail: str
    """One line on what went wrong; empty when finished. Untrusted."""
    seconds: float
    """Wall time as measured outside the sandbox."""


class ProgramRun(Record):
    """What became of a program."""

    status: Literal["ran", "not_prepared", "not_compiled", "runner_failed"]
    """`not_prepared`: the prelude failed; `not_compiled`: no test could be tried; `runner_failed`: not the program's
    fault."""
    detail: str
    """One line on why it did not run; empty when it ran. Untrusted."""
    tests: tuple[TestRun, ...]
    """One for each test when it ran, else empty."""


class ProgramRunner(Protocol):
    """Runs programs; usable from several threads. `limit_s` is the wall time that one test may take."""

    @property
    def identity(self) -> str:
        """Name, version, interpreter, compiler and limits: what can change a result."""
        ...

    def call(self, program: Program, function: str, arguments: Sequence[str], limit_s: float) -> ProgramRun:
        """Define the program, then call `function`: one test for each JSON array of positional arguments."""
        ...

    def feed(self, program: Program, inputs: Sequence[str], limit_s: float) -> ProgramRun:
        """Run the whole program once for each text on its standard input."""
        ...

    def unit(self, program: Program, function: str, tests: Sequence[str], limit_s: float) -> ProgramRun:
        """Run each test's source against `function`, which it knows by that name and as `candidate`.

        A `check(candidate)` that the source defines is called. Tests live in another sandbox than the program: only
        arguments, returned values and the names of exceptions cross, as copies of plain values.
        """
        ...

    def close(self) -> None:
        """End all processes."""
        ...
