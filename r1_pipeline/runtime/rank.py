"""`python -m r1_pipeline.runtime.rank JOB`: one of the processes that make a verb call together.

Each makes the whole call, on a store that opens what is finished and makes the one thing that the job is for. The first
rank writes and reports; the others compute their part and read what it wrote.
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
from r1_pipeline.artifacts.store import Facts, Spec
from r1_pipeline.errors import LaunchError
from r1_pipeline.recipe import Runtime, fingerprint
from r1_pipeline.runtime.jobs import Job, Teller, read_job
from r1_pipeline.runtime.workshop import Workshop

A = TypeVar("A", bound=Artifact)

PATIENCE = timedelta(hours=2)
"""That ranks wait for each other: for a rollout's longest completion, or for the first rank to write a model."""


class Made(Exception):
    """Raised in the place of returning an artifact: the draft is filled, the launcher's store does the rest."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts


class Attached:
    """In the place of a store: the one thing that is not finished is made into a draft that exists."""

    def __init__(self, job: Job, draft: Draft) -> None:
        self.home = Path(job.home)
        self._job = job
        self._draft = draft

    def build(self, kind: type[A], spec: Spec, make: Callable[[Draft], Facts]) -> A:
        """A finished artifact; raises `Made`, or `LaunchError` for something that the job is not for."""
        wanted = fingerprint(spec.payload())
        if wanted == self._job.fingerprint:
            raise Made(make(self._draft))
        path = self.home / "artifacts" / kind.kind / spec.name / wanted
        if not path.exists():
            raise LaunchError(
                f"this rank would make {spec.name} {wanted[:12]}, its launcher wants {self._job.fingerprint[:12]}; "
                "install the same versions wherever ranks run"
            )
        return kind.open(path)


@contextmanager
def joined(job: Job) -> Iterator[int]:
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
        dist.init_process_group(backend(job.runtime), timeout=PATIENCE)
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
    observers = Observers([Teller(job), watching])
    draft = Draft(job.name, Path(job.path), Path(job.scratch), observers, leads=rank == 0)
    try:
        job.call(Workshop(Attached(job, draft), job.runtime, job.name, start=None))
    except Made as made:
        if draft.leads:
            job.succeed(made.facts)
    except BaseException as error:
        job.fail(error)
        raise


def main(file: Path) -> None:
    """Do a rank's part of the job in `file`."""
    job = read_job(file)
    with joined(job) as rank:
        work(job, rank, Observer())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
