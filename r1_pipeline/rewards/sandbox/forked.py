"""Runs programs in forks of a small interpreter, with limits: CPU and wall time, memory, output, no files, no children.

Start-up is paid once (`workers`), a program costs a fork. What is NOT covered: real isolation. The program runs under
our user id in our namespaces; a hostile one can read files, signal our processes, and walk around the audit hook.
It cannot learn expected outputs, since they never enter the child. Real isolation is another runner beside this one.
"""

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from r1_pipeline.records import Record
from r1_pipeline.rewards.workers import WorkerPool

RunStatus = Literal["finished", "failed", "out_of_time", "too_large", "killed", "runner_failed"]


class ProgramRun(Record):
    """What became of a program, in the words of this runner; goes with it."""

    status: RunStatus
    returned: tuple[str, ...]
    detail: str


_VERSION = "1"
_CPU_S = 2
_WALL_S = 4.0
_MEMORY = 512 << 20
_OUTPUT = 1 << 20
_STATUS: dict[str, RunStatus] = {"out_of_time": "out_of_time", "too_large": "too_large", "killed": "killed"}


class ForkedRunner:
    """See the module; `workers` interpreters, each started when it is needed."""

    identity = f"forked-{_VERSION}+python-{platform.python_version()}+cpu-{_CPU_S}s+memory-{_MEMORY >> 20}M"

    def __init__(self, workers: int) -> None:
        script = Path(__file__).with_name("forked_child.py")
        self._pool = WorkerPool(script, size=workers, flags=("-I", "-S"), recycle_after=20_000)

    def close(self) -> None:
        """Kill the interpreters."""
        self._pool.close()

    def run(self, program: str, arguments: Sequence[str]) -> ProgramRun:
        """See `ProgramRunner`. A lost interpreter is tried again once: a neighbour may have killed it."""
        request = {
            "program": program,
            "arguments": list(arguments),
            "cpu_s": _CPU_S,
            "wall_s": _WALL_S,
            "memory": _MEMORY,
            "output": _OUTPUT,
        }
        for _ in range(2):
            reply = self._pool.ask(request, _WALL_S + 5.0)
            if reply.status == "ok":
                return _interpret(str(reply.value.get("status")), reply.value.get("lines"), len(arguments))
        return ProgramRun(status="runner_failed", returned=(), detail=f"its interpreter was lost twice: {reply.status}")


def _interpret(status: str, lines: object, calls: int) -> ProgramRun:
    """Sort out the lines, trusting none of them."""
    returned: list[str] = []
    for line in lines if isinstance(lines, list) else []:
        try:
            kind, text = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            return ProgramRun(status="failed", returned=tuple(returned), detail="wrote over its results")
        if kind != "value" or not isinstance(text, str):
            return ProgramRun(status="failed", returned=tuple(returned), detail=str(text)[:200])
        returned.append(text)
    if status in _STATUS:
        return ProgramRun(status=_STATUS[status], returned=tuple(returned), detail=status.replace("_", " "))
    if len(returned) != calls:
        detail = f"{len(returned)} results for {calls} calls"
        return ProgramRun(status="failed", returned=tuple(returned), detail=detail)
    return ProgramRun(status="finished", returned=tuple(returned), detail="")
