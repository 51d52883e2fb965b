"""Starts the processes of `Runtime.launcher`, forwards their progress, and returns their result.

    launch(job, start, observer)   called by a verb instead of computing in this process

`start` runs one command on this machine until it ends, by default under the guard (`runtime.process_guard`), so that
no rank outlives this process. Dagster has its own `start`, which opens a Pipes session around the same command.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, assert_never

from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.artifacts.store import BuildResult
from r1_pipeline.errors import LaunchError
from r1_pipeline.runtime.jobs import Job
from r1_pipeline.settings.launchers import Inline, RayTrain, Subprocess, Torchrun

PORT = 29400
"""Default port of this machine where the ranks of several nodes meet; torchrun's own default."""
PERIOD_S = 0.2
"""Seconds between two reads of the ranks' events."""


class Start(Protocol):
    """Runs a command until it ends."""

    module: str
    """Module that a rank runs: `python -m MODULE JOB`."""

    def __call__(self, command: Sequence[str], folder: Path) -> int:
        """Runs the command until it and all its children have ended; returns its exit code.

        All ranks can access `folder`.
        """


class StartHere:
    """Runs a command as a child of this process, with its output."""

    module = "r1_pipeline.runtime.rank"

    def __call__(self, command: Sequence[str], folder: Path) -> int:
        return run_guarded(command)


def run_guarded(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Runs a command and returns its exit code; the command never outlives this call or this process."""
    guard = [sys.executable, "-m", "r1_pipeline.runtime.process_guard", str(os.getpid())]
    process = subprocess.Popen([*guard, *command], env=environment)
    try:
        while process.poll() is None:  # `wait` would miss a signal that the kernel delivered to another thread
            time.sleep(PERIOD_S)
        return process.returncode
    finally:
        process.terminate()
        process.wait()


def launch(job: Job, start: Start, observer: Observer) -> BuildResult:
    """Runs the job's processes and returns their result; raises like `Job.outcome`."""
    job.write()
    with _replay_events(job.folder / "events.jsonl", observer):
        code = start(command(job, start.module), job.folder)
    return job.outcome(code)


def command(job: Job, module: str) -> list[str]:
    """Returns the command that starts all ranks of a job."""
    rank, launcher = ["-m", module, str(job.file)], job.runtime.launcher
    if job.ranks == 1:
        return [sys.executable, *rank]
    match launcher:
        case RayTrain():
            return [sys.executable, "-m", "r1_pipeline.runtime.ray_train", module, str(job.file)]
        case Torchrun():
            return _torchrun(launcher, job, rank)
        case Inline() | Subprocess():
            raise LaunchError(
                f"{launcher.type} starts one process, and the job needs {job.ranks}; choose torchrun or ray"
            )
        case _:
            assert_never(launcher)


def _torchrun(launcher: Torchrun, job: Job, rank: list[str]) -> list[str]:
    size = [f"--nnodes={launcher.nodes}", f"--nproc-per-node={launcher.processes}"]
    meet = ["--standalone"]
    if launcher.nodes > 1:
        where = launcher.rendezvous or f"{socket.gethostname()}:{PORT}"
        meet = ["--rdzv-backend=c10d", f"--rdzv-endpoint={where}", f"--rdzv-id={job.fingerprint[:16]}"]
    return [*launcher.starter, sys.executable, "-m", "torch.distributed.run", *size, *meet, *rank]


@contextmanager
def _replay_events(events: Path, observer: Observer) -> Iterator[None]:
    """Forwards the ranks' events to `observer` while the context is open."""
    ended = threading.Event()

    def listen(add_event: Callable[[str], None]) -> None:
        position, last = 0, False
        while not last:
            last = ended.wait(PERIOD_S)
            if events.exists():
                with events.open(encoding="utf-8") as file:
                    file.seek(position)
                    said = file.read()
                whole = said[: said.rfind("\n") + 1]
                position += len(whole.encode())
                for line in whole.splitlines():
                    add_event(line)

    def add_event(line: str) -> None:
        method, *arguments = json.loads(line)
        getattr(observer, method)(*arguments)

    listener = threading.Thread(target=listen, args=(add_event,), name="events of ranks", daemon=True)
    listener.start()
    try:
        yield
    finally:
        ended.set()
        listener.join()
