"""The program runner of the library: `Sandboxes` that refuse to run if this machine's self-test fails.

All runners of a process share a cache of runs: a policy writes the same program many times, and problems often share
their inputs, while a sandbox takes about 30 ms.
"""

from collections import OrderedDict
from threading import Lock

from r1_pipeline.errors import NoSandboxError
from r1_pipeline.recipe import fingerprint
from r1_pipeline.rewards.sandbox.runner import Program, ProgramRun
from r1_pipeline.rewards.sandbox.sandboxes import Message, Sandboxes
from r1_pipeline.rewards.sandbox.self_test import remembered_problem, sandbox_problem

_REMEMBERED_RUNS, _REMEMBERED_OUTPUT = 20_000, 2_000
"""The maximum number of cached runs, and of output characters of a cached run."""
_runs: OrderedDict[str, ProgramRun] = OrderedDict()
_lock = Lock()


class BubblewrapRunner(Sandboxes):
    """A program runner that caches runs and refuses to run without a passed self-test; the first program waits for it.

    Running a program raises `NoSandboxError` on a machine without a safe sandbox, and `GraderBusyError` if the
    self-test cannot be completed now.
    """

    @property
    def identity(self) -> str:
        """The runner's identity (see `ProgramRunner`), or "refused" on a machine that cannot run programs."""
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
