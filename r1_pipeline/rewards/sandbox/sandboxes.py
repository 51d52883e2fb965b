"""This module turns programs and tests into requests to supervisors: one sandbox per program, one fork per test.

`jail` defines the mounts and limits of a sandbox, and `seccomp` its system calls; `supervisor.py` (one process per
worker) enforces the limits from outside; `driver.py` (in the sandbox, untrusted) runs the tests. Programs can import
the standard library only. Each unit test takes two sandboxes; arguments cross as copies, so that a test of a function
that modifies its argument in place fails.

Not covered: kernel bugs, side channels, the CPU time that other processes lose, and the check that this machine's
sandbox is safe (`bubblewrap`).
"""

import base64
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from r1_pipeline.rewards.sandbox import jail
from r1_pipeline.rewards.sandbox.runner import Program, ProgramRun, TestRun
from r1_pipeline.rewards.sandbox.seccomp import own_filter
from r1_pipeline.rewards.workers import WorkerPool

_VERSION = "3"
_SPACE = jail.MEGABYTE
_ALL_SPACE = 16 * jail.MEGABYTE
_COMPILE_CPU_S, _COMPILE_S = 10, 60
"""The processor time and the wall time of a compiler, in seconds."""
_PATIENCE_S = 120.0
_PAUSES_S = (0.0, 0.5, 3.0)
"""The pause before each attempt to run a program, in seconds; a lost sandbox leads to the next attempt."""
_FLAGS = ("-O2", "-std=c++17", "-DONLINE_JUDGE", "-pipe", "-w", "-x", "c++", "-o", "/out/program", "-")

Message = dict[str, Any]


def _refused(detail: str) -> ProgramRun:
    return ProgramRun(status="not_compiled", detail=detail, tests=())


def _jail(limits: jail.Limits, cpu_s: int, *, with_program: bool, for_compiler: bool) -> Message:
    command = jail.command(limits, cpu_s=cpu_s, with_program=with_program, for_compiler=for_compiler)
    return {"command": command, "total": limits.total}


class Sandboxes:
    """A `ProgramRunner` with up to `workers` supervisors, each started when needed."""

    def __init__(self, workers: int) -> None:
        script = Path(__file__).with_name("supervisor.py")
        self._pool = WorkerPool(script, size=workers, flags=("-I", "-S"), recycle_after=10_000)

    @cached_property
    def identity(self) -> str:
        """See `ProgramRunner`."""
        found = jail.compiler()
        return (
            f"bubblewrap-{_VERSION}+python-{jail.interpreter().version}+g++-{found[1] if found else 'none'}"
            f"+memory-{jail.RUN.address_space // jail.MEGABYTE}M+stack-{jail.stack()}+output-{_SPACE // jail.MEGABYTE}M"
        )

    @cached_property
    def _files(self) -> dict[str, str]:
        scripts = {name: Path(__file__).with_name(f"{name}.py").read_bytes() for name in ("driver", "crossing")}
        files = {**scripts, "filter": own_filter()}
        return {name: base64.b64encode(data).decode() for name, data in files.items()}

    def call(self, program: Program, function: str, arguments: Sequence[str], limit_s: float) -> ProgramRun:
        """See `ProgramRunner`."""
        if program.language != "python":
            return _refused("only Python programs can be called")
        return self._run(
            program, [{"op": "call", "function": function, "given": each} for each in arguments], None, limit_s
        )

    def feed(self, program: Program, inputs: Sequence[str], limit_s: float) -> ProgramRun:
        """See `ProgramRunner`."""
        if program.language == "cpp" and jail.compiler() is None:
            return ProgramRun(status="runner_failed", detail="no C++ compiler; install the package g++", tests=())
        return self._run(program, [{"op": "feed", "given": each} for each in inputs], None, limit_s)

    def unit(self, program: Program, function: str, tests: Sequence[str], limit_s: float) -> ProgramRun:
        """See `ProgramRunner`."""
        if program.language != "python":
            return _refused("only Python programs can be unit-tested")
        serve = {"op": "serve", "function": function, "limit_s": limit_s, "space": _SPACE}
        return self._run(
            program, [{"op": "test", "function": function, "given": each} for each in tests], serve, limit_s
        )

    def close(self) -> None:
        """Kills the supervisors, and with them all sandboxes."""
        self._pool.close()

    def _run(self, program: Program, tests: list[Message], serve: Message | None, limit_s: float) -> ProgramRun:
        """Runs the tests; a lost sandbox is tried again, since the machine may have killed it or been out of memory."""
        request = self._request(program, tests, serve, limit_s)
        patience = _PATIENCE_S + (limit_s + 1.0) * len(tests)
        for pause in _PAUSES_S:
            time.sleep(pause)
            reply = self._pool.ask(request, patience)
            if reply.status == "ok" and reply.value["status"] != "lost":
                return _interpret(reply.value)
        times = f"{len(_PAUSES_S)} times"
        detail = reply.value["detail"] if reply.status == "ok" else f"its supervisor was lost {times}: {reply.status}"
        return ProgramRun(status="runner_failed", detail=detail, tests=())

    def _request(self, program: Program, tests: list[Message], serve: Message | None, limit_s: float) -> Message:
        python = program.language == "python"
        prepare = {"op": "prepare", "source": program.prelude} if python and program.prelude else None
        load = {"op": "load", "language": program.language, "source": program.source if python else ""}
        jails = {"run": _jail(jail.RUN, int(limit_s) + 2, with_program=not python, for_compiler=False)}
        compile_ = None
        if not python:
            found = jail.compiler()
            assert found is not None
            jails["compile"] = _jail(jail.COMPILE, _COMPILE_CPU_S, with_program=False, for_compiler=True)
            compile_ = {
                "op": "compile", "command": [found[0], *_FLAGS], "source": program.source, "limit_s": _COMPILE_S,
            }  # fmt: skip
        return {
            "jails": jails,
            "files": self._files,
            "prepare": prepare,
            "load": load,
            "compile": compile_,
            "serve": serve,
            "tests": [{**test, "limit_s": limit_s, "space": _SPACE} for test in tests],
            "limit_s": limit_s,
            "all_space": _ALL_SPACE,
        }


def _interpret(reply: Message) -> ProgramRun:
    tests = tuple(
        TestRun(status=status, output=output, detail=detail, seconds=seconds)
        for status, output, detail, seconds in reply["tests"]
    )
    return ProgramRun(status=reply["status"], detail=reply["detail"], tests=tests)
