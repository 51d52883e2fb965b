"""The jails: which bubblewrap command line, mounts and rlimits a program, a test or a compiler gets.

A jail sees the interpreter and the system libraries, read-only, and files that are copied into it; it has no network,
no writable folder but a compiler's `/out`, and an environment of its own. Words in braces stand for descriptors that
the supervisor opens. rlimits are set inside, so that the processes of other sandboxes do not count.
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
    """What one jail may use; all but `total` are rlimits of each process in it."""

    address_space: int
    """Bytes of memory that one process may map."""
    total: int
    """Bytes resident in all processes together; polled from outside."""
    file: int
    """Bytes of the largest file."""
    processes: int
    """Processes and threads at once."""


RUN = Limits(512 * MEGABYTE, 768 * MEGABYTE, 8 * MEGABYTE, 64)
COMPILE = Limits(2048 * MEGABYTE, 1536 * MEGABYTE, 64 * MEGABYTE, 64)


class Interpreter(NamedTuple):
    """The Python of the jails, which is not always the one that runs this library."""

    path: str
    prefix: str | None
    """Folder to bind besides the system's, if any."""
    version: str


def output_of(words: list[str]) -> str | None:
    """What a program of the host prints, None where it is missing or fails; a busy machine is not taken for that."""
    try:
        done = subprocess.run(words, capture_output=True, check=False, env={}, timeout=_PATIENCE_S, text=True)
    except (FileNotFoundError, PermissionError):
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GraderBusyError(f"{words[0]} could not be asked: {error}; run the same command again") from error
    if done.returncode < 0:
        raise GraderBusyError(f"{words[0]} was ended by signal {-done.returncode}; run the same command again")
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
    """The system's Python, or this one's installation when others may read it."""
    for found in _interpreters():
        if found.version and tuple(map(int, found.version.split("."))) >= _OLDEST_PYTHON:
            return found
    raise NoSandboxError("no interpreter for sandboxed programs; install the package python3 (3.9 or newer)")


@cache
def compiler() -> tuple[str, str] | None:
    """Path and version of g++, where the machine has it."""
    path = shutil.which("g++", path="/usr/bin")
    version = output_of([path, "-dumpfullversion"]) if path else None
    return (path, version) if path and version else None


def tool(name: str, package: str) -> str:
    """Path of a program of the host, which `package` brings."""
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
    """Bytes of the first thread's stack: as many as this machine lets anybody have, as judges do.

    The address space is the limit that counts. Where it is `unlimited`, threads get 2 MiB each unless they ask.
    """
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    return "unlimited" if hard == resource.RLIM_INFINITY else str(hard)


def _rlimits(limits: Limits, cpu_s: int) -> list[str]:
    return [
        f"--as={limits.address_space}", f"--fsize={limits.file}", f"--nproc={limits.processes}",
        f"--stack={stack()}", f"--cpu={cpu_s}", "--core=0", "--nofile=64", "--memlock=0",
    ]  # fmt: skip


def command(limits: Limits, *, cpu_s: int, with_program: bool, for_compiler: bool) -> list[str]:
    """The command line of a jail in which the driver starts; `{driver}` and its like stand for descriptors."""
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
