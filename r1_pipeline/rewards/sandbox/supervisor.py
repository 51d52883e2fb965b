"""The supervisor of sandboxes: it starts, feeds, measures and kills them from outside. A script for `WorkerPool`.

It is a process of its own, because it adopts orphans (PR_SET_CHILD_SUBREAPER) and forks, and a training process should
do neither. It enforces the deadline, the sizes and the memory of all descendants, and kills every process at the end;
messages of the driver inside are trusted no more than the program's own output. Under root, each supervisor starts its
sandboxes with a user id of its own. It never waits for end of file, never blocks on a pipe, and exits with its parent.

A request is `{"jails": {name: {"command", "total"}}, "files": {"driver", "crossing", "filter"} in base64, "prepare",
"load", "compile" and "serve" (messages or null), "tests": [message, …], "limit_s", "all_space"}`. A reply is
`{"status": "ran" | "not_prepared" | "not_compiled" | "lost", "detail", "tests": [[status, output, detail, seconds],
…]}`.
"""

import base64
import ctypes
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

_START_S, _LOAD_S, _GRACE_S, _LOOK_S, _DIE_S = 60.0, 2.0, 0.25, 0.05, 60.0
_FRAME = 8 << 20
_DETAIL = 500
_KEPT_ERRORS = 1 << 16
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATUSES = ("finished", "failed", "out_of_time", "out_of_memory", "too_large", "killed")
_COSTLY = ("out_of_time", "out_of_memory")
_PR_SET_CHILD_SUBREAPER = 36
_COMPILED: OrderedDict[str, bytes] = OrderedDict()
_MAX_COMPILED = 32

Message = dict[str, Any]
Result = list[Any]


class Ended(Exception):
    """The program has made its sandbox unusable; `args` are a status and one line of detail."""


class Lost(Exception):
    """A sandbox did not start, or something outside killed it."""


def children(pid: int) -> list[int]:
    """Returns the child processes of all threads of `pid`."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def resident(pid: int) -> int:
    """Returns the resident memory of `pid` and all its descendants, in bytes."""
    total = 0
    with suppress(OSError, IndexError, ValueError):
        total = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total + sum(map(resident, children(pid)))


def end_all() -> None:
    """Kills every sandbox and returns when none of their processes exists; exits if one cannot be killed."""
    deadline = time.monotonic() + _DIE_S
    while time.monotonic() < deadline:
        for outer in children(os.getpid()):
            for pid in (*children(outer), outer):  # the namespace's init first: its end kills all processes inside
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)
    os._exit(1)  # a process cannot be killed: the parent starts another supervisor


def in_memory(data: bytes) -> int:
    """Returns the descriptor of an anonymous file with this content."""
    descriptor = os.memfd_create("sandbox")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class Sandbox:
    """One running bubblewrap with the driver in it; as a context manager it kills all sandboxes at its end."""

    def __init__(self, jail: Message, files: dict[str, bytes]) -> None:
        self.total: int = jail["total"]
        held = {name: in_memory(data) for name, data in files.items()}
        words = {"{" + name + "}": str(descriptor) for name, descriptor in held.items()}
        identity: Message = {}
        if os.geteuid() == 0:
            own = 60_000 + os.getpid() % 5_000
            identity = {"user": own, "group": own, "extra_groups": []}
        try:
            self.process = subprocess.Popen(
                [words.get(word, word) for word in jail["command"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, bufsize=0, env={}, cwd="/", pass_fds=tuple(held.values()), **identity,
            )  # fmt: skip
        except OSError as error:
            raise Lost(f"a sandbox did not start: {error}") from None
        finally:
            for descriptor in held.values():
                os.close(descriptor)
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.stdin, self.stdout, self.stderr = (
            pipe.fileno() for pipe in (self.process.stdin, self.process.stdout, self.process.stderr)
        )
        self.poll = select.poll()
        for descriptor in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
            self.poll.register(descriptor, select.POLLIN)
        self.poll.modify(self.stdin, 0)
        self.poll.register(0, 0)  # reports only a hang-up, which means that the parent is gone
        self.unsent, self.received, self.errors = memoryview(b""), bytearray(), bytearray()
        self.next_look = 0.0
        try:
            self.hear(_START_S)
        except Ended:
            with suppress(subprocess.TimeoutExpired, BlockingIOError):
                self.process.wait(1.0)
                self.errors += os.read(self.stderr, _KEPT_ERRORS)
            lines = self.errors.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
            raise Lost(f"a sandbox did not start: {lines[-1][:300]}") from None

    def tell(self, message: Message) -> None:
        try:
            body = json.dumps(message).encode()
        except RecursionError:
            raise Ended("killed", "answered with a value too deep to pass on") from None
        self.unsent = memoryview(bytes(self.unsent) + struct.pack(">I", len(body)) + body)
        self.poll.modify(self.stdin, select.POLLOUT)

    def ask(self, message: Message, limit_s: float) -> Message:
        self.tell(message)
        return self.hear(limit_s)

    def hear(self, limit_s: float) -> Message:
        """Returns the next frame; raises `Ended` if it is late, or if the sandbox exceeds a limit or is gone."""
        deadline = time.monotonic() + limit_s
        while (frame := self.frame()) is None:
            now = time.monotonic()
            if now >= deadline:
                raise Ended("out_of_time", "out of time")
            if now >= self.next_look:
                self.next_look = now + _LOOK_S
                if resident(self.process.pid) > self.total:
                    raise Ended("out_of_memory", "out of memory: all processes together")
            for descriptor, events in self.poll.poll(max(0.0, min(deadline, self.next_look) - now) * 1000 + 1):
                if descriptor == 0:
                    end_all()
                    os._exit(1)
                if descriptor == self.stdin:
                    self.write(bool(events & select.POLLERR))
                else:
                    self.read(descriptor)
        return frame

    def write(self, broken: bool) -> None:
        """Writes as much as the pipe accepts."""
        with suppress(BlockingIOError, BrokenPipeError):
            self.unsent = self.unsent[os.write(self.stdin, self.unsent[: 1 << 16]) :]
        if broken:
            self.poll.unregister(self.stdin)
        elif not self.unsent:
            self.poll.modify(self.stdin, 0)

    def read(self, descriptor: int) -> None:
        """Reads the available bytes of a descriptor."""
        chunk = os.read(descriptor, 1 << 16)
        if descriptor == self.stderr:
            self.errors += chunk
            del self.errors[:-_KEPT_ERRORS]
            if not chunk:
                self.poll.unregister(self.stderr)
        elif not chunk:
            self.gone()
        self.received += chunk if descriptor == self.stdout else b""

    def gone(self) -> None:
        """Raises `Lost` if something outside killed the driver, which has closed its end, else `Ended`."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_DIE_S)
        if (self.process.returncode or 0) < 0:
            raise Lost(f"a sandbox was killed from outside by signal {-self.process.returncode}")
        raise Ended("killed", "took down its sandbox")

    def frame(self) -> Message | None:
        """Returns a whole frame, or None if it is incomplete; raises `Ended` if it is no JSON object or too large."""
        if len(self.received) < 4:
            return None
        (length,) = struct.unpack(">I", self.received[:4])
        if length > _FRAME:
            raise Ended("too_large", "too large")
        if len(self.received) < 4 + length:
            return None
        body = bytes(self.received[4 : 4 + length])
        del self.received[: 4 + length]
        try:
            frame = json.loads(body)
        except (ValueError, RecursionError):
            raise Ended("killed", "took over its driver") from None
        if not isinstance(frame, dict):
            raise Ended("killed", "took over its driver")
        return frame

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        end_all()
        self.process.poll()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


def result(frame: Message, seconds: float) -> Result:
    """Returns a test's result from the driver's frame; raises `Ended` if the frame is malformed."""
    status, output, detail = (frame.get(key) for key in ("status", "output", "detail"))
    if status not in _STATUSES or not isinstance(output, str) or not isinstance(detail, str):
        raise Ended("killed", "took over its driver")
    return [status, clean(output), clean(detail[:_DETAIL]), seconds]


def clean(text: str) -> str:
    """Replaces characters that cannot be encoded: a frame may contain half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def run_tests(request: Message, files: dict[str, bytes]) -> Message:
    """Loads the program into one sandbox and runs all tests there."""
    limit_s, left, results = request["limit_s"], request["all_space"], []
    with Sandbox(request["jails"]["run"], files) as sandbox:
        if (fault := prepared(sandbox, request) or loaded(sandbox, request["load"], limit_s)) is not None:
            return fault
        alive = True
        for message in request["tests"]:
            begin = time.monotonic()
            try:
                frame = sandbox.ask(message, limit_s + _GRACE_S)
                results.append(result(frame, time.monotonic() - begin))
            except Ended as end:
                alive = False
                results.append([end.args[0], "", end.args[1], time.monotonic() - begin])
            left -= len(results[-1][1])
            if left < 0:
                results[-1] = ["too_large", "", "all outputs together are too large", results[-1][3]]
            if not alive or results[-1][0] in _COSTLY:
                break
    return ran(results, request)


def ran(results: list[Result], request: Message) -> Message:
    """Returns the reply; tests that did not run share the status of the last one that did, or are `killed`."""
    status = results[-1][0] if results and results[-1][0] in _COSTLY else "killed"
    missing = len(request["tests"]) - len(results)
    not_run = [status, "", f"not run after test {len(results)}", 0.0]
    return {"status": "ran", "detail": "", "tests": results + [not_run] * missing}


def loaded(sandbox: Sandbox, message: Message, limit_s: float, otherwise: str = "not_compiled") -> Message | None:
    """Loads a program; returns None, or the reply about a program that cannot be loaded."""
    try:
        frame = result(sandbox.ask(message, max(limit_s, _LOAD_S)), 0.0)
    except Ended as end:
        return {"status": otherwise, "detail": end.args[1], "tests": []}
    return None if frame[0] == "finished" else {"status": otherwise, "detail": frame[2], "tests": []}


def prepared(sandbox: Sandbox, request: Message) -> Message | None:
    """Runs the prelude; returns None, or the reply about a prelude that cannot be run."""
    if request["prepare"] is None:
        return None
    return loaded(sandbox, request["prepare"], request["limit_s"], otherwise="not_prepared")


def run_units(request: Message, files: dict[str, bytes]) -> Message:
    """Runs each test in one sandbox and the program in another, and passes calls and values between the two."""
    results: list[Result] = []
    for message in request["tests"]:
        with Sandbox(request["jails"]["run"], files) as program, Sandbox(request["jails"]["run"], files) as tester:
            fault = prepared(tester, request) or prepared(program, request)
            if (fault := fault or loaded(program, request["load"], request["limit_s"])) is not None:
                return fault
            begin = time.monotonic()
            try:
                frame = converse(program, tester, request["serve"], message, begin + request["limit_s"])
                status, _, detail, _ = result(frame, 0.0)
            except Ended as end:
                status, detail = end.args
            results.append([status, "", detail, time.monotonic() - begin])
        if status in _COSTLY:
            break
    return ran(results, request)


def converse(program: Sandbox, tester: Sandbox, serve: Message, test: Message, deadline: float) -> Message:
    """Passes messages until one side ends; frames of a driver have a status, those of its forks have none."""

    def left() -> float:
        return deadline + _GRACE_S - time.monotonic()

    program.tell(serve)
    message = tester.ask(test, left())
    while "call" in message:
        answer = program.ask(message, left())
        if "status" in answer:  # the program's fork has ended, whatever the driver's status is
            status, _, detail, _ = result(answer, 0.0)
            ended = "failed" if status == "finished" else status
            return {"status": ended, "output": "", "detail": detail or "the program ended early"}
        message = tester.ask({key: answer[key] for key in ("value", "raised") if key in answer}, left())
    return message


def compile_program(request: Message, files: dict[str, bytes]) -> Message | None:
    """Compiles the program into `files`; returns None, or the reply about a program that does not compile."""
    message = request["compile"]
    key = message["source"]
    if key not in _COMPILED:
        with Sandbox(request["jails"]["compile"], files) as sandbox:
            try:
                status, output, detail, _ = result(sandbox.ask(message, message["limit_s"] + _GRACE_S), 0.0)
                binary = base64.b64decode(output, validate=True)
            except (Ended, ValueError) as end:
                return {"status": "not_compiled", "detail": str(end.args[-1]), "tests": []}
        if status != "finished":
            return {"status": "not_compiled", "detail": detail, "tests": []}
        _COMPILED[key] = binary
        if len(_COMPILED) > _MAX_COMPILED:
            _COMPILED.popitem(last=False)
    _COMPILED.move_to_end(key)
    files["program"] = _COMPILED[key]
    return None


def serve(request: Message) -> Message:
    """Handles one request and returns the reply."""
    files = {name: base64.b64decode(data) for name, data in request["files"].items()}
    try:
        if request["compile"] is not None and (fault := compile_program(request, files)) is not None:
            return fault
        return run_units(request, files) if request["serve"] is not None else run_tests(request, files)
    except Lost as lost:
        return {"status": "lost", "detail": str(lost), "tests": []}


def say(reply: Message) -> None:
    """Writes one line to the parent."""
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Handles requests until the parent closes its end."""
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0
        or not Path(f"/proc/self/task/{os.getpid()}/children").exists()
    ):
        say({"ready": False, "error": "this kernel cannot adopt or list child processes"})
        return
    say({"ready": True})
    for line in sys.stdin:
        say(serve(json.loads(line)))


main()
