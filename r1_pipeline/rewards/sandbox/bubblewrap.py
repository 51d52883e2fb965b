"""The runner that the library uses: `Sandboxes`, refused where this machine's self-test fails."""

from r1_pipeline.errors import GraderError
from r1_pipeline.rewards.sandbox.runner import Program, ProgramRun
from r1_pipeline.rewards.sandbox.sandboxes import Message, Sandboxes
from r1_pipeline.rewards.sandbox.self_test import sandbox_problem


class BubblewrapRunner(Sandboxes):
    """See the module; the first program waits for the self-test."""

    def _run(self, program: Program, tests: list[Message], serve: Message | None, limit_s: float) -> ProgramRun:
        problem = sandbox_problem()
        if problem is not None:
            raise GraderError(problem)
        return super()._run(program, tests, serve, limit_s)
