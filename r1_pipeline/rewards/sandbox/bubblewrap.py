"""The runner that the library uses: `Sandboxes`, refused where this machine's self-test fails.

What came of a program is remembered by all runners of a process: a policy says the same thing many times, and two
problems often share their inputs, while a sandbox costs some 30 ms.
"""

from collections import OrderedDict
from threading import Lock

from r1_pipeline.errors import NoSandboxError
from r1_pipeline.recipe import fingerprint
from r1_pipeline.rewards.sandbox.runner import Program, ProgramRun
from r1_pipeline.rewards.sandbox.sandboxes import Message, Sandboxes
from r1_pipeline.rewards.sandbox.self_test import remembered_problem, sandbox_problem

_REMEMBERED_RUNS, _REMEMBERED_OUTPUT = 20_000, 2_000
"""Runs, and characters of the output of one run, at most."""
_runs: OrderedDict[str, ProgramRun] = OrderedDict()
_lock = Lock()


class BubblewrapRunner(Sandboxes):
    """See the module; the first program waits for the self-test."""

    @property
    def identity(self) -> str:
        """See `ProgramRunner`; not the same where programs are refused: what is made there is not whole."""
        return super().identity if remembered_problem() is None else "refused"

    def _run(self, program: Program, tests: list[Message], serve: Message | None, limit_s: float) -> ProgramRun:
        problem = sandbox_problem()
        if problem is not None:
            raise NoSandboxError(problem)
        key = fingerprint([program, tests, serve, limit_s])
        with _lock:
            known = _runs.get(key)
        return self._remember(key, super()._run(program, tests, serve, limit_s)) if known is None else known

    @staticmethod
    def _remember(key: str, run: ProgramRun) -> ProgramRun:
        if run.status != "runner_failed" and sum(len(test.output) for test in run.tests) <= _REMEMBERED_OUTPUT:
            with _lock:
                _runs[key] = run
                if len(_runs) > _REMEMBERED_RUNS:
                    _runs.popitem(last=False)
        return run
