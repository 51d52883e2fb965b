"""The script that runs inside a sandbox: it reads messages, forks once per test and replies to each with a frame.

It is never imported, and it is NOT trusted: it shares its sandbox with the program and does no judging. A program that
takes it over can report any output, which it could print anyway. The supervisor outside enforces the limits that count.
A frame is four bytes of length and a JSON object. The messages are `prepare` (a prelude), `load` (a program), then
`call` or `feed`; `compile`; and, in the two sandboxes of unit tests, `test` (in the sandbox of the test) and `serve`
(in the sandbox of the program), whose forks talk to the supervisor themselves until the test is over. It needs CPython
3.9 and Linux 5.3.
"""

from __future__ import annotations

import atexit
import base64
import builtins
import contextlib
import gc
import json
import os
import select
import signal
import site
import struct
import sys
import time
import types
from typing import Any, Callable, Dict, NoReturn, Tuple  # noqa: UP035  # the oldest interpreter has no others

Message = Dict[str, Any]  # noqa: UP006
Played = Tuple[str, bytes, str]  # noqa: UP006
Pumps = Dict[int, Callable[[], bool]]  # noqa: UP006

READ, WRITE, RESULT = 60, 61, 3
BINARY = "/out/program"
MAX_BINARY = 5 << 20
MAX_ERRORS = 1 << 20
CHUNK = 1 << 16
USUAL = (
    "bisect", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq", "io", "itertools",
    "math", "operator", "random", "re", "string", "threading", "typing",
)  # fmt: skip
PLAIN = (type(None), bool, int, float, str)

loaded: dict[str, types.CodeType] = {}
prelude = types.ModuleType("prelude")


def read_exactly(count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = os.read(READ, count - len(received))
        if not chunk:
            os._exit(0)
        received += chunk
    return received


def receive() -> Any:
    return json.loads(read_exactly(*struct.unpack(">I", read_exactly(4))))


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def send(message: Message) -> None:
    body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
    write_all(WRITE, struct.pack(">I", len(body)) + body)


def fork() -> int:
    for _ in range(100):
        try:
            return os.fork()
        except BlockingIOError:
            time.sleep(0.01)  # what the last test left is still dying
    return os.fork()


def play(
    act: Callable[[], object], given: bytes, limit_s: float, space: int, dialogue: bool = False, result_on: int = RESULT
) -> Played:
    """Forks, calls `act` in the fork, and returns status, output and detail; no process of the test stays alive."""
    stdin, output, errors = os.pipe(), os.pipe(), os.pipe()
    child = fork()
    if child == 0:
        wire(stdin[0], output[1], errors[1], dialogue, result_on)
        act()
        leave()
    for descriptor in (stdin[0], output[1], errors[1]):
        os.close(descriptor)
    unsent, received, error_text = bytearray(given), bytearray(), bytearray()
    pumps: Pumps = {
        stdin[1]: lambda: push(stdin[1], unsent),
        output[0]: lambda: pull(output[0], received, space),
        errors[0]: lambda: pull(errors[0], error_text, space),
    }
    ended = watch(child, pumps, time.monotonic() + limit_s)
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # all processes in this sandbox but its init and this one
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if len(received) > space or len(error_text) > space:
        return "too_large", b"", "too large"
    return verdict(code, bytes(received), bytes(error_text)) if ended else ("out_of_time", b"", "out of time")


def leave() -> NoReturn:
    """Exits as a returning program does: threads, exit handlers, buffers. Python's own exit would take 2 ms longer."""
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(0)


def wire(stdin: int, output: int, errors: int, dialogue: bool, result_on: int) -> None:
    """Connects the standard streams of the fork and closes all its other descriptors."""
    quiet = os.open("/dev/null", os.O_RDWR)
    os.dup2(stdin if result_on == 1 else quiet, 0)
    os.dup2(quiet, 1)
    os.dup2(errors, 2)
    os.dup2(output, result_on)
    os.closerange(RESULT + 1 if result_on == RESULT else RESULT, READ)
    if not dialogue:
        os.closerange(READ, WRITE + 1)


def watch(child: int, pumps: Pumps, deadline: float) -> bool:
    """Runs the pumps until the child has ended (True) or is out of time (False); it never waits for end of file."""
    life = os.pidfd_open(child)
    poll = select.poll()
    poll.register(life, select.POLLIN)
    for place, descriptor in enumerate(pumps):
        os.set_blocking(descriptor, False)
        poll.register(descriptor, select.POLLIN if place else select.POLLOUT)
    pumps[life] = lambda: False
    while True:
        ended, left = life not in pumps, deadline - time.monotonic()
        events = poll.poll(0 if ended else max(0.0, left) * 1000)
        if left <= 0 or (ended and not events):
            break
        for descriptor, _ in events:
            if not pumps[descriptor]():
                poll.unregister(descriptor)
                os.close(descriptor)
                del pumps[descriptor]
    for descriptor in pumps:
        os.close(descriptor)
    return ended


def push(descriptor: int, unsent: bytearray) -> bool:
    """Writes a chunk and returns True if there is more to write."""
    try:
        del unsent[: os.write(descriptor, unsent[:CHUNK])]
    except BlockingIOError:
        return True
    except BrokenPipeError:
        return False  # the child does not read
    return bool(unsent)


def pull(descriptor: int, received: bytearray, space: int) -> bool:
    """Reads a chunk and returns True if there is more to read."""
    chunk = os.read(descriptor, CHUNK)
    received += chunk
    return bool(chunk) and len(received) <= space


def verdict(code: int, output: bytes, errors: bytes) -> Played:
    """Returns status, output and detail from an exit code and the standard error."""
    lines = errors.decode("utf-8", "replace").strip().splitlines() or [""]
    last = next((line for line in lines if ": error: " in line), lines[-1])[
        :200
    ]  # a compiler's first error, or the last
    if code == 0:
        return "finished", output, ""
    if code == -signal.SIGXCPU:
        return "out_of_time", b"", "out of time"
    if "MemoryError" in last or "bad_alloc" in lines[-1]:
        return "out_of_memory", b"", last
    if code < 0:
        return "killed", b"", f"{signal.Signals(-code).name} {last}".strip()
    return "failed", b"", last or f"exit code {code}"


def execute(path: str, arguments: list[str]) -> NoReturn:
    """Replaces this process by another program, with the default signal handlers that it expects."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execv(path, arguments)


def is_plain(value: Any) -> bool:
    if type(value) in PLAIN:
        return True
    if type(value) is list:
        return all(map(is_plain, value))
    return type(value) is dict and all(type(key) is str and is_plain(item) for key, item in value.items())


def define(name: str) -> Message:
    """Runs the loaded program as the module `name`, with the prelude's names, and returns the module's names."""
    module = sys.modules[name] = types.ModuleType(name)
    module.__dict__.update({**given_names(), "__file__": "program.py"})
    sys.argv = ["program.py"]
    exec(loaded["program"], module.__dict__)
    return module.__dict__


def given_names() -> Message:
    """Returns the names that the prelude defines."""
    return {name: value for name, value in vars(prelude).items() if not name.startswith("__")}


def crossing() -> Any:
    """Imports the module that packs values, which only unit tests need, and gives it the prelude's classes."""
    if "crossing" not in sys.modules:
        sys.path.insert(0, "/job")
        module = __import__("crossing")
        sys.path.remove("/job")
        module.shared.update({n: kind for n, kind in vars(prelude).items() if isinstance(kind, type)})
    return sys.modules["crossing"]


def function_of(names: Message, function: str) -> Callable[..., Any]:
    """Returns the function, or the method of that name of a class `Solution`."""
    if function not in names and "Solution" in names:
        return getattr(names["Solution"](), function)  # type: ignore[no-any-return]
    return names[function]  # type: ignore[no-any-return]


def call(function: str, arguments: str) -> None:
    dumps, plain, write = json.dumps, is_plain, write_all  # before the program can change them
    value = function_of(define("program"), function)(*json.loads(arguments))
    if not plain(value):
        raise TypeError(f"returned a {type(value).__name__}, which JSON does not have")
    write(RESULT, dumps(value).encode())


def serve(function: str) -> None:
    """Runs the program's side of a unit test: it serves calls until the supervisor ends it."""
    pack, unpack = crossing().pack, crossing().unpack
    target = function_of(define("program"), function)
    while True:
        arguments, named = unpack(receive()["call"])
        try:
            reply = {"value": pack(target(*arguments, **named))}
        except BaseException as error:  # noqa: BLE001  # the test decides what an exception means
            reply = {"raised": [type(error).__name__, str(error)[:500]]}
        send(reply)


def test(source: str, function: str) -> None:
    """Runs the test's side of a unit test; it writes `passed` at the end, since an exit code could be the program's."""
    pack, unpack = crossing().pack, crossing().unpack

    def candidate(*arguments: Any, **named: Any) -> Any:
        send({"call": pack([list(arguments), named])})
        reply = receive()
        if "value" in reply:
            return unpack(reply["value"])
        name, text = map(str, reply["raised"])
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            raise kind(text)
        raise RuntimeError(f"{name}: {text}")  # SystemExit, for example, must not end the test

    names: Message = {**given_names(), "__name__": "tests", function: candidate, "candidate": candidate}
    exec(compile(source, "tests.py", "exec"), names)
    if names.get("check", candidate) is not candidate:
        names["check"](candidate)
    os.write(RESULT, b"passed")


def frame(status: str, output: str, detail: str) -> Message:
    return {"status": status, "output": output, "detail": detail}


def prepare(message: Message) -> Message:
    """Runs the prelude, once for all tests."""
    sys.modules["prelude"] = prelude
    try:
        exec(compile(message["source"], "prelude.py", "exec", dont_inherit=True), vars(prelude))
    except BaseException as error:  # noqa: BLE001  # after any exception, the tests cannot be run
        return frame("failed", "", f"{type(error).__name__}: {error}"[:200])
    return frame("finished", "", "")


def load(message: Message) -> Message:
    if message["language"] == "python":
        source = message["source"]
        try:
            loaded["program"] = compile(source, "program.py", "exec", dont_inherit=True)
        except BaseException as error:  # noqa: BLE001  # after any exception, the program cannot be run
            return frame("failed", "", f"{type(error).__name__}: {error}"[:200])
        for name in USUAL:
            if name in source:
                __import__(name)  # once here instead of once in each test
        gc.freeze()
    return frame("finished", "", "")


def build(message: Message) -> Message:
    words = message["command"]
    given = message["source"].encode("utf-8", "replace")
    status, _, detail = play(lambda: execute(words[0], words), given, message["limit_s"], MAX_ERRORS, result_on=1)
    if status != "finished":
        return frame(status, "", detail)
    with open(BINARY, "rb") as file:  # noqa: PTH123  # pathlib takes 5 ms to import
        binary = file.read(MAX_BINARY + 1)
    if len(binary) > MAX_BINARY:
        return frame("too_large", "", "the compiled program is too large")
    return frame("finished", base64.b64encode(binary).decode(), "")


def run_test(message: Message) -> Message:
    operation, given = message["op"], message.get("given", "")
    limit_s, space, function = message["limit_s"], message["space"], message.get("function", "")
    if operation == "feed":
        act = (lambda: define("__main__")) if loaded else lambda: execute("/job/program", ["program"])
        status, output, detail = play(act, given.encode("utf-8", "replace"), limit_s, space, result_on=1)
    elif operation == "call":
        status, output, detail = play(lambda: call(function, given), b"", limit_s, space)
        if status == "finished" and not output:
            status, detail = "failed", "ended without a value"
    elif operation == "serve":
        status, output, detail = play(lambda: serve(function), b"", limit_s, space, dialogue=True)
    else:
        status, output, detail = play(lambda: test(given, function), b"", limit_s, space, dialogue=True)
        if status == "finished" and output != b"passed":
            status, detail = "failed", "the test ended early"
    return frame(status, output.decode("utf-8", "replace"), detail)


def main() -> None:
    os.dup2(0, READ, inheritable=False)
    os.dup2(1, WRITE, inheritable=False)
    sys.path.remove("/job")
    site.setquit()  # Python's own start would add these to the builtins
    site.setcopyright()
    site.sethelper()
    gc.freeze()
    send(frame("finished", "", ""))
    while True:
        message = receive()
        send({"prepare": prepare, "load": load, "compile": build}.get(message["op"], run_test)(message))


main()
