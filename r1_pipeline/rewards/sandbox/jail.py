"""This module builds jails: the bubblewrap command line, mounts and rlimits of a program, a test or a compiler.

A jail has the interpreter and the system libraries, read-only, and the files that are copied into it. It has no
network, no writable folder except a compiler's `/out`, and an environment of its own. Words in braces are placeholders
for descriptors that the supervisor opens. rlimits are set inside, so that processes of other sandboxes do not count.
"""

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from r1_pipeline.errors import GraderBusyError, NoSandboxError

MEGABYTE = 1 << 20
_SYSTEM = ("/usr/bin", "/usr/lib", "/usr/lib32", "/usr/lib64")
_LINKS = ("/bin", "/lib", "/lib32", "/lib64")
_FOR_COMPILERS = ("/usr/include", "/usr/libexec")
_ENVIRONMENT = {
    "PATH": "/usr/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "TMPDIR": "/tmp", "ONLINE_JUDGE": "1",
    "PYTHONHASHSEED": "0", "PYTHONINTMAXSTRDIGITS": "0",
}  # fmt: skip
_OLDEST_PYTHON = (3, 9)
_PATIENCE_S = 120.0


class Limits(NamedTuple):
    """The resource limits of a jail; all but `total` are rlimits of each process in it."""

    address_space: int
    """The address space of a process, in bytes."""
    total: int
    """The resident memory of all processes together, in bytes, polled from outside."""
    file: int
    """The size of the largest file, in bytes."""
    processes: int
    """The number of processes and threads at once."""


RUN = Limits(512 * MEGABYTE, 768 * MEGABYTE, 8 * MEGABYTE, 64)
"""The limits of programs and tests."""
COMPILE = Limits(2048 * MEGABYTE, 1536 * MEGABYTE, 64 * MEGABYTE, 64)
"""The limits of compilers."""


class Interpreter(NamedTuple):
    """The Python interpreter of the jails, which is not always the one that runs this library."""

    path: str
    prefix: str | None
    """The folder to mount in addition to the system's, if any."""
    version: str


def output_of(words: list[str]) -> str | None:
    """Runs a program of the host and returns its output; None if it is missing or fails.

    Raises `GraderBusyError` if the machine is too busy to run it, or something kills it.
    """
    try:
        done = subprocess.run(words, capture_output=True, check=False, env={}, timeout=_PATIENCE_S, text=True)
    except (FileNotFoundError, PermissionError):
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GraderBusyError(f"cannot run {words[0]}: {error}; run the same command again") from error
    if done.returncode < 0:
        raise GraderBusyError(f"{words[0]} was killed by signal {-done.returncode}; run the same command again")
    return done.stdout.strip() if done.returncode == 0 else None


def _version(python: str) -> str:
    return output_of([python, "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]) or ""


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in (path, *path.parents))


def _interpreters() -> Iterator[Interpreter]:
    own = Path(sys.base_prefix).resolve()
    yield Interpreter("/usr/bin/python3", None, _version("/usr/bin/python3"))
    python = own / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if python.is_file() and _open_to_all(own):
        yield Interpreter(str(python), str(own), ".".join(map(str, sys.version_info[:3])))


@cache
def interpreter() -> Interpreter:
    """Returns the system's Python, or this process's own one if other users may read its installation.

    Raises `NoSandboxError` if neither is Python 3.9 or newer.
    """
    for found in _interpreters():
        if found.version and tuple(map(int, found.version.split("."))) >= _OLDEST_PYTHON:
            return found
    raise NoSandboxError("no interpreter for sandboxed programs; install the package python3 (3.9 or newer)")


@cache
def compiler() -> tuple[str, str] | None:
    """Returns path and version of g++; None if the machine does not have it."""
    path = shutil.which("g++", path="/usr/bin")
    version = output_of([path, "-dumpfullversion"]) if path else None
    return (path, version) if path and version else None


def tool(name: str, package: str) -> str:
    """Returns the path of a program of the host; raises `NoSandboxError` if `package` is not installed."""
    path = shutil.which(name)
    if path is None:
        raise NoSandboxError(f"{name} is not installed; install the package {package}")
    return path


def _system_mounts(for_compiler: bool) -> Iterator[str]:
    for folder in _SYSTEM + (_FOR_COMPILERS if for_compiler else ()):
        if Path(folder).is_dir():
            yield from ("--ro-bind", folder, folder)
    for name in _LINKS:
        if Path(name).is_symlink():
            yield from ("--symlink", str(Path(name).readlink()), name)
        elif Path(name).is_dir():
            yield from ("--ro-bind", name, name)
    prefix = interpreter().prefix
    if prefix:
        yield from ("--ro-bind", prefix, prefix)


def stack() -> str:
    """Returns the stack limit of the first thread in bytes: this machine's hard limit, as online judges allow.

    The address space is the limit that counts. If the stack is `unlimited`, other threads get 2 MiB by default.
    """
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    return "unlimited" if hard == resource.RLIM_INFINITY else str(hard)


def _rlimits(limits: Limits, cpu_s: int) -> list[str]:
    return [
        f"--as={limits.address_space}", f"--fsize={limits.file}", f"--nproc={limits.processes}",
        f"--stack={stack()}", f"--cpu={cpu_s}", "--core=0", "--nofile=64", "--memlock=0",
    ]  # fmt: skip


def command(limits: Limits, *, cpu_s: int, with_program: bool, for_compiler: bool) -> list[str]:
    """Returns the command line that starts the driver in a jail; `{driver}` and the like stand for descriptors.

    `cpu_s` limits the processor time of each process, in seconds. Raises `NoSandboxError` if a tool is missing.
    """
    environment = {**_ENVIRONMENT, **({"TMPDIR": "/out"} if for_compiler else {})}
    small = ("--size", str(MEGABYTE), "--tmpfs")
    return [
        tool("bwrap", "bubblewrap"), "--unshare-user", "--unshare-all", "--disable-userns", "--uid", "65534",
        "--gid", "65534", "--hostname", "box", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv",
        *(word for name, value in environment.items() for word in ("--setenv", name, value)),
        *_system_mounts(for_compiler), "--proc", "/proc", "--dev", "/dev", *small, "/tmp", *small, "/dev/shm",
        *(("--size", str(2 * limits.file), "--tmpfs", "/out") if for_compiler else ()),
        "--perms", "0444", "--ro-bind-data", "{driver}", "/job/driver.py",
        "--perms", "0444", "--ro-bind-data", "{crossing}", "/job/crossing.py",
        *(("--perms", "0555", "--ro-bind-data", "{program}", "/job/program") if with_program else ()),
        "--remount-ro", "/dev/shm", "--remount-ro", "/dev", "--remount-ro", "/tmp", "--remount-ro", "/",
        "--chdir", "/tmp", "--seccomp", "{filter}", "--",
        tool("prlimit", "util-linux"), *_rlimits(limits, cpu_s), "--", interpreter().path, "-S", "-B", "-s",
        "/job/driver.py",
    ]  # fmt: skip
