"""The program of a rank, one of the processes that make a verb call together.

    python -m r1_pipeline.runtime.rank JOB

Each rank states the same build as the launcher, checks that its fingerprint is that of the job, and fills the draft.
The first rank writes and reports; the others compute their part and read the files of the first.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from r1_pipeline.artifacts.draft import Draft
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.observer import Observer, Observers
from r1_pipeline.artifacts.store import BuildResult, Spec
from r1_pipeline.errors import LaunchError
from r1_pipeline.recipe import Runtime, fingerprint
from r1_pipeline.runtime.build_context import BuildContext
from r1_pipeline.runtime.jobs import Job, JobObserver, Work, read_job
from r1_pipeline.settings.launchers import LauncherSettings, Subprocess

A = TypeVar("A", bound=Artifact)

TIMEOUT = timedelta(hours=2)
"""Process-group timeout, long enough for a rollout's longest completion or for the first rank to write a model."""


class Launched:
    """Takes the place of a store in a rank, since the launcher's store builds the artifact."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def build(self, kind: type[A], spec: Spec, make: Callable[[Draft], BuildResult]) -> A:
        """Raises `LaunchError`, since a rank fills the draft of its job and builds nothing else."""
        raise LaunchError(f"a rank was asked to build {spec.name} ({kind.kind}); verbs must not call other verbs")


def mask_devices(launcher: LauncherSettings, work: Work) -> None:
    """Hides all GPUs but the first from a single process that trains, before torch looks at them.

    transformers' trainer would otherwise spread the batch over all that it sees (`nn.DataParallel`), which TRL refuses.
    """
    if isinstance(launcher, Subprocess) and work == "training":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.partition(",")[0]


@contextmanager
def join_process_group(job: Job) -> Iterator[int]:
    """Yields this process's rank, within torch's process group if there are several ranks."""
    mask_devices(job.runtime.launcher, job.work)
    if job.ranks == 1:
        yield 0
        return
    import torch
    import torch.distributed as dist

    if job.runtime.device == "cpu":
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"  # otherwise it is cpu:0, to which torch loads no checkpoint
    ours = not dist.is_initialized()  # otherwise Ray has created the group and destroys it
    if ours:
        dist.init_process_group(backend(job.runtime), timeout=TIMEOUT)
        if job.runtime.device != "cpu":
            torch.cuda.set_device(dist.get_node_local_rank())
    if dist.get_world_size() != job.ranks:
        raise LaunchError(f"{dist.get_world_size()} ranks were started, the runtime needs {job.ranks}; start that many")
    yield dist.get_rank()
    if ours:
        dist.destroy_process_group()


def backend(runtime: Runtime) -> str:
    """Returns torch's communication backend: one for tensors on the device, one for everything else on CPUs."""
    return "gloo" if runtime.device == "cpu" else "cpu:gloo,cuda:nccl"


def work(job: Job, rank: int, watching: Observer) -> None:
    """Makes the call and reports; `watching` observes the first rank."""
    observers = Observers([JobObserver(job), watching])
    draft = Draft(job.name, Path(job.path), Path(job.scratch), observers, leads=rank == 0)
    try:
        verb, arguments = job.resolved()
        at = BuildContext(Launched(Path(job.home)), job.runtime, job.name, start=None)
        build = verb.build(at, **arguments)
        spec = verb.spec_of(at, build)
        wanted = fingerprint(spec.payload())
        if wanted != job.fingerprint:
            raise LaunchError(
                f"this rank would make {job.name} {wanted[:12]}, its launcher wants {job.fingerprint[:12]}; "
                "install the same versions on every node"
            )
        facts = verb.fill(build, spec, draft)
        if draft.leads:
            job.succeed(facts)
    except BaseException as error:
        job.fail(error)
        raise


def main(file: Path) -> None:
    """Runs this rank's part of the job in `file`."""
    job = read_job(file)
    with join_process_group(job) as rank:
        work(job, rank, Observer())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
