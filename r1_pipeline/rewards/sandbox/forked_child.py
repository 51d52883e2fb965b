"""The child of `forked.py`: a small interpreter that forks once per program. A script, never imported by the library.

Request `{"program", "arguments": [JSON array, …], "cpu_s", "wall_s", "memory", "output"}`; reply `{"status", "lines"}`,
where each line is `["value", JSON text]` or `["error", text]` as the program's own process wrote it. That process has
the limits, no open file but its result pipe, and an audit hook that refuses files, processes and sockets: a hook is
good against accidents, not against intent.
"""

import bisect  # noqa: F401  # loaded once here, so that no program pays for the usual imports
import collections  # noqa: F401
import ctypes
import functools  # noqa: F401
import gc
import heapq  # noqa: F401
import itertools  # noqa: F401
import json
import math  # noqa: F401
import os
import random  # noqa: F401
import re  # noqa: F401
import resource
import select
import signal
import string  # noqa: F401
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_REFUSED = ("os.", "subprocess.", "shutil.", "socket.", "signal.", "ctypes.", "resource.", "fcntl.", "mmap.")
_ALLOWED = ("os.listdir", "os.scandir")  # the import system looks through its own folders
_PLAIN = (type(None), bool, int, float, str)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    writes = event == "open" and (arguments[1] not in ("r", "rb", None) or (arguments[2] or 0) & 0o3)
    if writes or (event.startswith(_REFUSED) and event not in _ALLOWED):
        raise PermissionError(f"programs may not use {event}")


def _is_plain(value: object) -> bool:
    if type(value) in _PLAIN:
        return True
    if type(value) is list:
        return all(map(_is_plain, value))
    return type(value) is dict and all(type(key) is str and _is_plain(item) for key, item in value.items())


def _confine(request: dict[str, Any], results: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)
    quiet = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(quiet, standard)
    os.dup2(results, 3)
    os.closerange(4, 256)
    for limit, value in (
        (resource.RLIMIT_CPU, request["cpu_s"]),
        (resource.RLIMIT_AS, request["memory"]),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(limit, (value, value))


def _play(request: dict[str, Any], results: int) -> None:
    """The program's own process: define, call, report; never returns."""
    _confine(request, results)
    write, dumps, plain, leave = os.write, json.dumps, _is_plain, os._exit
    lines: list[str] = []
    try:
        calls = [json.loads(text) for text in request["arguments"]]
        code = compile(request["program"], "<program>", "exec")
        sys.addaudithook(_refuse)
        names: dict[str, Any] = {"__name__": "program"}
        exec(code, names)
        function = names["f"]
        for arguments in calls:
            value = function(*arguments)
            if not plain(value):
                raise TypeError(f"returned a {type(value).__name__}, which JSON does not have")
            lines.append(dumps(["value", dumps(value)]) + "\n")
    except BaseException as error:  # noqa: BLE001  # the program is hostile: whatever it raises is its own failure
        lines.append(dumps(["error", f"{type(error).__name__}: {error}"[:200]]) + "\n")
    write(3, "".join(lines).encode())
    leave(0)


def _collect(results: int, child: int, deadline: float, cpu_s: int, output: int) -> tuple[str, bytearray]:
    """What the child writes until it ends, is out of time, or has written too much."""
    received = bytearray()
    status = "done"
    while True:
        ready, _, _ = select.select([results], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(results, 1 << 16) if ready else b""
        received += chunk
        if not ready:
            status = "out_of_time"
        elif len(received) > output:
            status = "too_large"
        if status != "done" or not chunk:
            break
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)  # it died, or was killed before it had a group of its own
    _, how, usage = os.wait4(child, 0)
    if status == "done" and usage.ru_utime + usage.ru_stime > cpu_s - 0.1:
        status = "out_of_time"
    elif status == "done" and os.WIFSIGNALED(how) and os.WTERMSIG(how) != signal.SIGKILL:  # SIGKILL was ours
        status = "killed"
    return status, received


def _serve(request: dict[str, Any]) -> dict[str, object]:
    reading, writing = os.pipe()
    deadline = time.monotonic() + request["wall_s"]
    child = os.fork()
    if child == 0:
        try:
            _play(request, writing)
        finally:
            os._exit(1)
    os.close(writing)
    status, received = _collect(reading, child, deadline, request["cpu_s"], request["output"])
    os.close(reading)
    return {"status": status, "lines": received.decode("utf-8", "replace").split("\n")[:-1]}


_LIBC = ctypes.CDLL(None)
exec(compile("def f(x): return [x + 1]", "<warm-up>", "exec"), {})  # the first compilation costs 3 ms, once
gc.disable()
gc.freeze()
_out = os.dup(1)
os.write(_out, b'{"ready": true}\n')
for _line in sys.stdin:
    _reply = json.dumps(_serve(json.loads(_line))).encode() + b"\n"
    while _reply:
        _reply = _reply[os.write(_out, _reply) :]
