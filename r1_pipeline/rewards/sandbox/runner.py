"""The seam between judging programs (`rewards.code`) and running them (the modules of this package).

A runner gets the program and the arguments of each call, never an expected value; it gives back what the calls
returned, as JSON text. Judging happens in the parent. Another way of isolating programs is another `ProgramRunner`.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from r1_pipeline.records import Record

RunStatus = Literal["finished", "failed", "out_of_time", "too_large", "killed", "runner_failed"]


class ProgramRun(Record):
    """What became of a program."""

    status: RunStatus
    """`finished`: every call returned; `failed`: an exception or an early exit; `runner_failed`: not its fault."""
    returned: tuple[str, ...]
    """JSON text of what each call returned, in order; short if the program did not get that far. Untrusted."""
    detail: str
    """One line on the failure; empty when finished. Untrusted."""


class ProgramRunner(Protocol):
    """Runs programs; usable from several threads."""

    @property
    def identity(self) -> str:
        """Name, version, interpreter and limits: what can change a result."""
        ...

    def run(self, program: str, arguments: Sequence[str]) -> ProgramRun:
        """Define the program, then call its function `f` once per JSON array of `arguments`."""
        ...

    def close(self) -> None:
        """End all processes."""
        ...
