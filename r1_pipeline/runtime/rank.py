"""`python -m r1_pipeline.runtime.rank JOB`: one of the processes that make a verb call together.

Each states the same build as the launcher, checks that it has the fingerprint that the job is for, and fills the draft.
The first rank writes and reports; the others compute their part and read what it wrote.
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
from r1_pipeline.runtime.jobs import Job, JobObserver, read_job

A = TypeVar("A", bound=Artifact)

TIMEOUT = timedelta(hours=2)
"""That ranks wait for each other: for a rollout's longest completion, or for the first rank to write a model."""


class Launched:
    """Stands in the place of a store in a rank: the launcher's store does the building."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def build(self, kind: type[A], spec: Spec, make: Callable[[Draft], BuildResult]) -> A:
        """Raises `LaunchError`: a rank fills the one draft of its job and builds nothing else."""
        raise LaunchError(f"a rank was asked to build {spec.name} ({kind.kind}); verbs must not call other verbs")


@contextmanager
def join_process_group(job: Job) -> Iterator[int]:
    """The number of this process among its job's, with torch's process group around it where there are several."""
    if job.ranks == 1:
        yield 0
        return
    import torch
    import torch.distributed as dist

    if job.runtime.device == "cpu":
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"  # else it is cpu:0, to which torch loads no checkpoint
    ours = not dist.is_initialized()  # else Ray has made it, and ends it
    if ours:
        dist.init_process_group(backend(job.runtime), timeout=TIMEOUT)
        if job.runtime.device != "cpu":
            torch.cuda.set_device(dist.get_node_local_rank())
    if dist.get_world_size() != job.ranks:
        raise LaunchError(f"{dist.get_world_size()} ranks were started, the runtime says {job.ranks}; correct it")
    yield dist.get_rank()
    if ours:
        dist.destroy_process_group()


def backend(runtime: Runtime) -> str:
    """Over what ranks talk: tensors where they are, everything else on CPUs."""
    return "gloo" if runtime.device == "cpu" else "cpu:gloo,cuda:nccl"


def work(job: Job, rank: int, watching: Observer) -> None:
    """Make the call and report; `watching` sees what the first rank does."""
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
                "install the same versions wherever ranks run"
            )
        facts = verb.fill(build, spec, draft)
        if draft.leads:
            job.succeed(facts)
    except BaseException as error:
        job.fail(error)
        raise


def main(file: Path) -> None:
    """Do a rank's part of the job in `file`."""
    job = read_job(file)
    with join_process_group(job) as rank:
        work(job, rank, Observer())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
