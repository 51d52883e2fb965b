"""Starts the processes that `Runtime.launcher` names, lets their progress be seen, and hands back what they made.

    launch(job, start, observer)   what a verb calls in the place of making something itself

`start` runs one command on this machine until it ends; by default behind the guard (`runtime.process_guard`), so that
no rank outlives this process. Dagster's graph brings one of its own that opens a Pipes session around the same command.
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
"""Where ranks of several nodes meet on this one, unless the launcher says otherwise; torchrun's own."""
PERIOD_S = 0.2
"""Between two looks at what the ranks have said."""


class Start(Protocol):
    """Runs a command until it ends."""

    module: str
    """What is run as a rank: `python -m MODULE JOB`."""

    def __call__(self, command: Sequence[str], folder: Path) -> int:
        """Exit code of the command; it and all that it started have ended. `folder` is open to all ranks."""


class StartHere:
    """Runs a command as a child of this process, with its output."""

    module = "r1_pipeline.runtime.rank"

    def __call__(self, command: Sequence[str], folder: Path) -> int:
        return run_guarded(command)


def run_guarded(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Exit code of the command, which is ended with this call and with this process, however they end."""
    guard = [sys.executable, "-m", "r1_pipeline.runtime.process_guard", str(os.getpid())]
    process = subprocess.Popen([*guard, *command], env=environment)
    try:
        while process.poll() is None:  # `wait` would not see a signal that the kernel gave to another thread
            time.sleep(PERIOD_S)
        return process.returncode
    finally:
        process.terminate()
        process.wait()


def launch(job: Job, start: Start, observer: Observer) -> BuildResult:
    """What the processes of the job say about the draft that they filled; raises like `Job.outcome`."""
    job.write()
    with _replay_events(job.folder / "events.jsonl", observer):
        code = start(command(job, start.module), job.folder)
    return job.outcome(code)


def command(job: Job, module: str) -> list[str]:
    """What starts all ranks of a job."""
    rank, launcher = ["-m", module, str(job.file)], job.runtime.launcher
    if job.ranks == 1:
        return [sys.executable, *rank]
    match launcher:
        case RayTrain():
            return [sys.executable, "-m", "r1_pipeline.runtime.ray_train", module, str(job.file)]
        case Torchrun():
            return _torchrun(launcher, job, rank)
        case Inline() | Subprocess():
            raise LaunchError(f"{launcher.type} starts one process, and the job wants {job.ranks}")
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
    """While it lasts, `observer` hears what the ranks tell."""
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
