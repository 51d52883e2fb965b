"""A pool of child interpreters that can be killed: one JSON line in, one JSON line out.

Owns: starting children, the wall clock of every request, SIGKILL, respawning, closing. The parent owns the
deadline because nothing inside the child can be trusted with it: SIGALRM handlers never run while C code is busy and
fail off the main thread, and a `ProcessPoolExecutor` keeps a hung worker for ever. Children are started with
exec (`subprocess`), never by forking a process that may hold torch's threads, and only when the first request comes.

A child script prints `{"ready": true}` (or `{"ready": false, "error": …}`) and then answers line by line.
Safe to use from several threads: each request has a child to itself. Safe to fork: a forked process never touches the
children of its parent, it starts its own. Not covered: isolation of what the child runs.
"""

import json
import os
import selectors
import subprocess
import sys
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from queue import LifoQueue
from threading import Lock
from typing import Any, Literal

from r1_pipeline.errors import GraderBusyError, GraderError

_START_S = 60.0
_MAX_REPLY = 64 << 20
_FORKED = Lock()


@dataclass(frozen=True)
class Reply:
    """What came back: `value` is the child's JSON object for `ok` and empty otherwise."""

    status: Literal["ok", "timeout", "died"]
    value: dict[str, Any]


class _Worker:
    """One child; `process` is None until it is needed."""

    def __init__(self, command: list[str], recycle_after: int) -> None:
        self.command = command
        self.recycle_after = recycle_after
        self.process: subprocess.Popen[bytes] | None = None
        self.served = 0

    def kill(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, cwd="/", start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError as error:
            raise GraderBusyError(f"no grading child could be started: {error}; run the same command again") from error
        self.process, self.served = process, 0
        assert process.stdin is not None and process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        hello = _exchange(process, b"", _START_S)
        if hello.status != "ok" or not hello.value.get("ready"):
            code = _exit_code(process) if hello.status == "died" else None
            self.kill()
            raise _not_ready(Path(self.command[-1]).name, hello, code)
        return process

    def ask(self, line: bytes, limit_s: float) -> Reply:
        if self.process is None or self.served >= self.recycle_after:
            self.kill()
            self._start()
        assert self.process is not None
        self.served += 1
        reply = _exchange(self.process, line, limit_s)
        if reply.status != "ok":
            self.kill()
        return reply


def _exit_code(process: "subprocess.Popen[bytes]") -> int | None:
    """None of a child that broke the protocol, and lives."""
    try:
        return process.wait(1.0)
    except subprocess.TimeoutExpired:
        return None


def _not_ready(name: str, hello: Reply, code: int | None) -> GraderError:
    """A child that says no, or ends by itself, will do so again; one that had no time, or was killed, may not."""
    if "error" in hello.value:
        return GraderError(f"grading child {name} cannot work here: {hello.value['error']}")
    if code is not None and code > 0:
        return GraderError(
            f"grading child {name} did not start: exit code {code}; install this project's packages again"
        )
    how = hello.status if code is None else f"signal {-code}"
    return GraderBusyError(
        f"grading child {name} did not start ({how}): the machine has no time or memory for it, or somebody ended it; "
        "run the same command again"
    )


def _exchange(process: subprocess.Popen[bytes], line: bytes, limit_s: float) -> Reply:
    """Write `line`, read one line back; never blocks beyond `limit_s`, whatever the child does."""
    assert process.stdin is not None and process.stdout is not None
    deadline, received, unsent = time.monotonic() + limit_s, bytearray(), memoryview(line)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if unsent:
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while not received.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                return Reply("timeout", {})
            for key, _ in selector.select(left):
                try:
                    if key.fileobj is process.stdin:
                        unsent = unsent[os.write(process.stdin.fileno(), unsent) :]
                        if not unsent:
                            selector.unregister(process.stdin)
                        continue
                    chunk = os.read(process.stdout.fileno(), 1 << 16)
                except BrokenPipeError:
                    return Reply("died", {})
                received += chunk
                if not chunk or len(received) > _MAX_REPLY:
                    return Reply("died", {})
    try:
        value = json.loads(received)
    except (ValueError, RecursionError):
        return Reply("died", {})  # a child that breaks the protocol is as good as dead
    return Reply("ok", value) if isinstance(value, dict) else Reply("died", {})


def _kill_all(workers: list[_Worker], owner: int) -> None:
    if os.getpid() == owner:
        for worker in workers:
            worker.kill()


class WorkerPool:
    """`size` children running `script`; requests wait for a free one. Closed by `close()` and at interpreter exit."""

    def __init__(self, script: Path, *, size: int, flags: tuple[str, ...], recycle_after: int) -> None:
        self._command = [sys.executable, *flags, str(script)]
        self._size = size
        self._recycle_after = recycle_after
        self._renew()

    def _renew(self) -> None:
        """Workers of this very process, none of them started."""
        self._owner = os.getpid()
        workers = [_Worker(self._command, self._recycle_after) for _ in range(self._size)]
        self._free: LifoQueue[_Worker] = LifoQueue()  # last in, first out: an idle child is never started needlessly
        for worker in workers:
            self._free.put(worker)
        self._finalizer = weakref.finalize(self, _kill_all, workers, self._owner)

    def close(self) -> None:
        """Kill the children."""
        self._finalizer()

    def ask(self, request: dict[str, Any], limit_s: float) -> Reply:
        """One request; `timeout` and `died` cost the child its life, the next request gets a fresh one."""
        if not self._finalizer.alive:
            raise GraderError("the grading pool is closed; make a new grader")
        if os.getpid() != self._owner:
            with _FORKED:
                if os.getpid() != self._owner:
                    self._renew()
        worker = self._free.get()
        try:
            return worker.ask(json.dumps(request).encode() + b"\n", limit_s)
        finally:
            self._free.put(worker)
