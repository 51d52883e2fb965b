"""The ten most telling attacks, tried on this machine before any program is run; takes about a second.

Each attack is a program of ours that prints nothing unless it got through, or one that must be cut off with the right
status. Whether it did harm is looked up outside. The full suite is `tests/rewards/sandbox`.
"""

import os
import platform
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from r1_pipeline.errors import GraderError
from r1_pipeline.records import Record
from r1_pipeline.rewards.sandbox.runner import Program, TestRun
from r1_pipeline.rewards.sandbox.sandboxes import Sandboxes

ADVICE = (
    "programs are not run unprotected: install the package bubblewrap (0.8 or newer) and allow unprivileged user "
    "namespaces (user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile that permits them)"
)
"""What to do where the machine cannot hold programs."""

_LIMIT_S, _CUT_S = 5.0, 0.3
_PATIENT_S = 60.0
"""For a program of ours that ran out of time and should not have: a busy machine is slow, not unsafe."""
_HONEST = "print(input()[::-1])"
_FILES = """
for path in (SECRET, "/etc/passwd", "/proc/1/root/etc/passwd", "/proc/self/root" + SECRET, "../../.." + SECRET):
    try: print("read", path, open(path).read(40))
    except OSError: pass
"""
_PROCESSES = """
import os
seen = [name for name in os.listdir("/proc") if name.isdigit()]
if len(seen) > 5: print("sees", len(seen), "processes")
for pid in seen:
    try: found = open(f"/proc/{pid}/environ").read()
    except OSError: continue
    if TOKEN in found: print("environment of", pid)
"""
_WRITES = """
import os
for folder in (CANARY, "/", "/tmp", "/job", "/dev", "/dev/shm", "/usr/bin", "/usr/lib", "/proc/1/root/tmp", "/etc"):
    try: open(folder + "/left-behind", "w"); print("wrote in", folder)
    except OSError: pass
try: os.chmod(SECRET, 0o777); print("chmod")
except OSError: pass
"""
_NETWORK = """
import socket
for family in (2, 10, 16, 17, 38, 40, 44):
    for kind in (1, 2, 3, 5):
        for protocol in (0, 132, 262):
            try: socket.socket(family, kind, protocol); print("socket", family, kind, protocol)
            except OSError: pass
try: socket.create_connection(("127.0.0.1", int(PORT)), 1); print("connected")
except OSError: pass
"""
_KERNEL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
for name, value in (("NoNewPrivs", "1"), ("Seccomp", "2"), ("CapEff", "0" * 16), ("CapBnd", "0" * 16)):
    if status[name] != value: print(name, status[name])
if "Seccomp:\\t2" not in open("/proc/1/status").read(): print("init is not filtered")
for flags in (0x10000000, 0x00020000, 0x40000000):
    if libc.unshare(flags) == 0: print("unshare", flags)
if libc.ptrace(16, os.getppid(), 0, 0) >= 0: print("ptrace")
if libc.mount(b"x", b"/tmp", b"tmpfs", 0, 0) >= 0: print("mount")
if libc.memfd_create(b"x", 0) >= 0 or libc.shmget(0, 99, 896) >= 0: print("memory that no limit counts")
if libc.syscall(425, 8, ctypes.create_string_buffer(200)) >= 0: print("io_uring")
"""
_FORKS = """
import os, time
count = 0
try:
    while count < 500:
        if os.fork() == 0: time.sleep(60)
        count += 1
except OSError: pass
if count > 64: print(count, "processes")
"""
_DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: time.sleep(60)
"""


class Attack(Record):
    """One attack and what became of it."""

    name: str
    contained: bool
    detail: str
    """How it went, in a line."""

    @property
    def late(self) -> bool:
        """Whether it only ran out of time before it came to its end."""
        return not self.contained and self.detail.startswith("out_of_time")


class SelfTest(Record):
    """What this machine's sandbox withstood; belongs in the manifest of what was graded."""

    problem: str | None
    """None if programs can be run safely, else why not and what to do, in one line."""
    bubblewrap: str
    """Its version, in its own words; empty where it is missing."""
    kernel: str
    user: int
    """Effective user id of the grader; for 0 sandboxes run under ids of their own."""
    seconds: float
    attacks: tuple[Attack, ...]
    """Empty where no sandbox starts."""


class _Trial(NamedTuple):
    name: str
    source: str
    status: str
    limit_s: float


_TRIALS = (
    _Trial("reads files", _FILES, "finished", _LIMIT_S),
    _Trial("sees processes", _PROCESSES, "finished", _LIMIT_S),
    _Trial("writes", _WRITES, "finished", _LIMIT_S),
    _Trial("reaches the network", _NETWORK, "finished", _LIMIT_S),
    _Trial("reaches into the kernel", _KERNEL, "finished", _LIMIT_S),
    _Trial("never ends", "while True: pass", "out_of_time", _CUT_S),
    _Trial("fills the memory", "hoard = []\nwhile True: hoard.append(bytearray(1 << 24))", "out_of_memory", _LIMIT_S),
    _Trial("forks for ever", _FORKS, "finished", _LIMIT_S),
    _Trial("leaves a daemon", _DAEMON, "finished", _LIMIT_S),
    _Trial("prints for ever", "while True: print('x' * 4096)", "too_large", _LIMIT_S),
)


@contextmanager
def _bait() -> Iterator[tuple[dict[str, str], Path, socket.socket]]:
    """Something to steal, something to spoil, someone to call; the names under which attacks know them."""
    token = secrets.token_hex(16)
    with TemporaryDirectory(prefix="r1-self-test-") as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        canary = Path(folder)
        canary.chmod(0o777)
        secret = canary / "secret"
        secret.write_text(token, encoding="utf-8")
        secret.chmod(0o666)
        listener.setblocking(False)
        names = {"SECRET": str(secret), "CANARY": folder, "TOKEN": token}
        yield {**names, "PORT": str(listener.getsockname()[1])}, secret, listener


def _attacked(sandboxes: Sandboxes, trial: _Trial, names: dict[str, str]) -> Attack:
    header = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    run = sandboxes.feed(Program(source=header + trial.source, language="python"), [""], trial.limit_s)
    if run.status != "ran":
        return Attack(name=trial.name, contained=False, detail=f"{run.status}: {run.detail}")
    test: TestRun = run.tests[0]
    contained = test.status == trial.status and not test.output.strip() and names["TOKEN"] not in test.detail
    detail = " ".join((test.output or test.detail).split())[:200]
    return Attack(name=trial.name, contained=contained, detail=f"{test.status} {detail}".strip())


def _harm(names: dict[str, str], secret: Path, listener: socket.socket) -> str:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        left = [path.name for path in secret.parent.iterdir()]
        unchanged = secret.read_text(encoding="utf-8") == names["TOKEN"] and secret.stat().st_mode & 0o777 == 0o666
        return "" if left == ["secret"] and unchanged else "a file outside was changed"
    return "the host's listener was reached"


def _version() -> str:
    path = shutil.which("bwrap")
    if path is None:
        return ""
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout.strip()


def _tried() -> list[Attack]:
    """The attacks with what became of them; `GraderError` where sandboxes do not even start."""
    sandboxes = Sandboxes(workers=2)
    try:
        honest = sandboxes.feed(Program(source=_HONEST, language="python"), ["abc"], _PATIENT_S)
        if honest.status != "ran" or honest.tests[0].output != "cba\n":
            raise GraderError(
                f"programs cannot be run safely here ({honest.detail or honest.tests[0].detail}); {ADVICE}"
            )
        with _bait() as (names, secret, listener), ThreadPoolExecutor(2) as threads:
            attacks = list(threads.map(lambda trial: _attacked(sandboxes, trial, names), _TRIALS))
            if all(attack.contained or attack.late for attack in attacks):
                attacks = [
                    _attacked(sandboxes, trial._replace(limit_s=_PATIENT_S), names) if attack.late else attack
                    for trial, attack in zip(_TRIALS, attacks, strict=True)
                ]
            harm = _harm(names, secret, listener)
    finally:
        sandboxes.close()
    return [*attacks, Attack(name="harm outside", contained=False, detail=harm)] if harm else attacks


@cache
def self_test() -> SelfTest:
    """Try the attacks, once per process."""
    begin = time.monotonic()
    try:
        attacks = _tried()
        through = "; ".join(f"{attack.name}: {attack.detail}" for attack in attacks if not attack.contained)
        problem = f"the sandbox does not hold ({through}); {ADVICE}" if through else None
    except GraderError as error:
        attacks, problem = [], str(error)
    return SelfTest(
        problem=problem, bubblewrap=_version(), kernel=platform.release(), user=os.geteuid(),
        seconds=time.monotonic() - begin, attacks=tuple(attacks),
    )  # fmt: skip


def sandbox_problem() -> str | None:
    """None where programs can be run safely, else one line that says what to do; found out once per process."""
    return self_test().problem
