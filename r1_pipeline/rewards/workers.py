"""A pool of child interpreters that can be killed: one JSON line in, one JSON line out.

The pool starts children, times every request, kills with SIGKILL, restarts and closes. The parent owns the deadline
because the child cannot be trusted with it: SIGALRM handlers never run while C code is busy and fail outside the main
thread, and a `ProcessPoolExecutor` keeps a hung worker forever. Children are started with exec (`subprocess`), never by
forking a process that may have torch's threads, and only for the first request.

A child script prints `{"ready": true}` (or `{"ready": false, "error": …}`) and then replies line by line. The pool is
thread-safe: each request has a child to itself. It is fork-safe: a forked process never uses its parent's children, but
starts its own. Not covered: isolation of the code that a child runs.
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
    """The reply to a request: `value` is the child's JSON object if the status is `ok`, and empty otherwise."""

    status: Literal["ok", "timeout", "died"]
    value: dict[str, Any]


class _Worker:
    """One child; `process` is None until the first request."""

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
            raise GraderBusyError(f"cannot start a grading process: {error}; run the same command again") from error
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
    """Returns the exit code of a child, or None if it broke the protocol and is still alive."""
    try:
        return process.wait(1.0)
    except subprocess.TimeoutExpired:
        return None


def _not_ready(name: str, hello: Reply, code: int | None) -> GraderError:
    """Returns the error for a child that did not start; only a timeout or a signal is worth another attempt."""
    if "error" in hello.value:
        return GraderError(f"grading process {name} cannot work here: {hello.value['error']}")
    if code is not None and code > 0:
        return GraderError(
            f"grading process {name} did not start: exit code {code}; install this project's packages again"
        )
    how = hello.status if code is None else f"signal {-code}"
    return GraderBusyError(
        f"grading process {name} did not start ({how}): the machine is short of time or memory, or the process was "
        "killed; run the same command again"
    )


def _exchange(process: subprocess.Popen[bytes], line: bytes, limit_s: float) -> Reply:
    """Writes `line` and reads one line back; it never blocks longer than `limit_s` seconds, whatever the child does."""
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
        return Reply("died", {})  # a child that breaks the protocol counts as dead
    return Reply("ok", value) if isinstance(value, dict) else Reply("died", {})


def _kill_all(workers: list[_Worker], owner: int) -> None:
    if os.getpid() == owner:
        for worker in workers:
            worker.kill()


class WorkerPool:
    """A pool of `size` children that run `script`; a request waits for a free one.

    `close()` or the interpreter's exit kills the children. A child is replaced after `recycle_after` requests.
    """

    def __init__(self, script: Path, *, size: int, flags: tuple[str, ...], recycle_after: int) -> None:
        self._command = [sys.executable, *flags, str(script)]
        self._size = size
        self._recycle_after = recycle_after
        self._renew()

    def _renew(self) -> None:
        """Creates the workers of the current process, none of them started."""
        self._owner = os.getpid()
        workers = [_Worker(self._command, self._recycle_after) for _ in range(self._size)]
        self._free: LifoQueue[_Worker] = LifoQueue()  # last in, first out, so that no child is started needlessly
        for worker in workers:
            self._free.put(worker)
        self._finalizer = weakref.finalize(self, _kill_all, workers, self._owner)

    def close(self) -> None:
        """Kills the children."""
        self._finalizer()

    def ask(self, request: dict[str, Any], limit_s: float) -> Reply:
        """Sends one request and returns its reply within `limit_s` seconds of a child's being free.

        After `timeout` or `died` the child is killed, and the next request gets a new one. Raises `GraderError` if the
        pool is closed or a child cannot start, and `GraderBusyError` if another attempt may succeed.
        """
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
