"""This module runs outside graders: it makes their environments, and keeps a grader that hangs from stopping a run.

An environment is a virtual environment with the pinned packages of `requirements/NAME.txt`, made once in a folder that
the caller names. A grader is a process; one that uses `PATIENCE_S` seconds on an answer is killed, the answer counts as
`timeout`, and a new process continues behind it. Programs run in bubblewrap, without network, or not at all.
"""

import hashlib
import os
import selectors
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import IO

from r1_pipeline.errors import RequirementError
from r1_pipeline.evaluation.outside.graders import Job, OutsideGrader
from r1_pipeline.records import Record
from r1_pipeline.rewards.sandbox import jail

PATIENCE_S = 100.0
"""The processor time for one answer, in seconds; it is longer than the graders' own limits."""
WAITS = 10
"""The multiple of this time that a grader may take by the clock, on a busy machine."""
_PACKAGE = files("r1_pipeline.evaluation.outside")


class Opinion(Record):
    """The verdict of an outside grader on one answer."""

    correct: bool | None
    """True or False; None if it has no verdict."""
    reading: str | None
    """The answer that it found."""
    why: str
    """`timeout`, or an error; empty otherwise."""


def requirements_of(environment: str) -> Path:
    """Returns the file with the pinned packages of an environment."""
    return Path(str(_PACKAGE / "requirements" / f"{environment}.txt"))


def ensure_environment(environment: str, folder: Path) -> Path:
    """Returns the interpreter of an environment below `folder`, and makes the environment if it is not there.

    Raises `RequirementError` if its packages cannot be installed.
    """
    listed = requirements_of(environment)
    known = hashlib.sha256(listed.read_bytes()).hexdigest()[:12]
    home = folder / f"{environment}-{known}-py{sys.version_info[0]}{sys.version_info[1]}"
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists():
        venv.create(home, with_pip=True, clear=True, symlinks=True)
        words = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(listed)]
        made = subprocess.run(words, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            why = made.stderr.strip().splitlines()[-1:] or ["pip failed"]
            raise RequirementError(
                f"the environment {environment} of outside graders cannot be made: {why[0]}; install {listed} where "
                "there is a package index, and name its interpreter with --python"
            )
        done.touch()
    return python


def opinions(grader: OutsideGrader, python: Path, jobs: Sequence[Job]) -> list[Opinion]:
    """Returns the opinion of a grader on each job, in order.

    Raises `RequirementError` if the grader cannot be loaded, and `NoSandboxError` for programs without bubblewrap.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        file.writelines(job.model_dump_json() + "\n" for job in jobs)
        file.flush()
        found: list[Opinion] = []
        while len(found) < len(jobs):
            found += _run(grader, python, file, len(found))
        return found


def _run(grader: OutsideGrader, python: Path, jobs: IO[str], start: int) -> list[Opinion]:
    """Returns the opinions from number `start` on until the process ends; the last is none if it hung or crashed."""
    os.lseek(jobs.fileno(), 0, os.SEEK_SET)
    words = [*_jail(python, grader), str(python), "-I", str(_PACKAGE / "child.py"), grader.name, str(start)]
    found: list[Opinion] = []
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(words, stdin=jobs, stdout=subprocess.PIPE, stderr=errors, bufsize=0) as process,
        selectors.DefaultSelector() as selector,
    ):
        assert process.stdout is not None
        selector.register(process.stdout, selectors.EVENT_READ)
        held, waits, used = b"", 0, 0.0
        while True:
            if not selector.select(PATIENCE_S):
                waits += 1
                if waits == WAITS or processor_time(process.pid) - used >= PATIENCE_S / 2:
                    process.kill()
                    return [*found, Opinion(correct=None, reading=None, why="timeout")]
                continue
            if not (piece := process.stdout.read(1 << 16)):
                break
            *lines, held = (held + piece).split(b"\n")
            found += [Opinion.model_validate_json(line) for line in lines]
            waits, used = 0, processor_time(process.pid)
        if process.wait() == 0:
            return found
        if found or start:
            return [*found, Opinion(correct=None, reading=None, why="crashed")]
        errors.seek(0)
        last = errors.read().strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise RequirementError(f"the outside grader {grader.name} ({grader.package}) does not run: {last[0]}")


def processor_time(pid: int) -> float:
    """Returns the processor time that a process has used, in seconds; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _jail(python: Path, grader: OutsideGrader) -> list[str]:
    """Returns the words that put a grader of programs into bubblewrap; none for other graders, which run nothing."""
    if grader.grades != "code":
        return []
    base = os.path.realpath(python)
    mounts = [str(Path(base).parents[1]), str(python.parents[1]), str(_PACKAGE / "child.py")]
    words = [jail.tool("bwrap", "bubblewrap"), "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    words += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"]
    for link in ("/bin", "/lib", "/lib64"):
        words += ["--symlink", f"usr{link}", link]
    for each in mounts:
        words += ["--ro-bind", each, each]
    return [*words, "--setenv", "PATH", "/usr/bin", "--setenv", "OMP_NUM_THREADS", "1"]
