"""`python -m dagster_defs.execution.rank JOB`: a rank of which the first one speaks to Dagster.

All ranks inherit the variables of the Pipes session; it must be opened once.
"""

import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from dagster_pipes import PipesContext, open_dagster_pipes

from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.runtime.jobs import Job, read_job
from r1_pipeline.runtime.rank import join_process_group, work

PERIOD_S = 30.0
"""Between two steps that the event log hears of; trackers hear of all."""


class PipesObserver(Observer):
    """Says in the event log what goes on."""

    def __init__(self, pipes: PipesContext) -> None:
        self._log = pipes.log
        self._next = 0.0

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        if step == total or time.monotonic() >= self._next:
            self._next = time.monotonic() + PERIOD_S
            self._log.info("step %d of %d: %s", step, total, ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))

    def noted(self, name: str, message: str) -> None:
        self._log.warning(message)


def resource_usage(job: Job) -> dict[str, int | float]:
    """What the job took, for the metadata of what it made."""
    usage: dict[str, int | float] = {
        "ranks": job.ranks,
        "peak memory of a rank (GiB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if job.runtime.device.startswith("cuda"):
        import torch

        usage["peak memory of a GPU (GiB)"] = torch.cuda.max_memory_allocated() / 2**30
    return usage


def main(file: Path) -> None:
    """Do a rank's part of the job in `file`."""
    job = read_job(file)
    with join_process_group(job) as rank:
        if rank > 0:
            work(job, rank, Observer())
            return
        with open_dagster_pipes() as pipes:
            work(job, rank, PipesObserver(pipes))
            pipes.report_custom_message(resource_usage(job))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
