"""One rank of a stage, `python -m dagster_defs.execution.rank JOB`, of which the first reports to Dagster.

All ranks inherit the variables of the Pipes session, but only one may open it.
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
"""Minimum seconds between two steps in the event log; trackers receive every step."""


class PipesObserver(Observer):
    """Reports steps and warnings to Dagster's event log."""

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
    """Returns the number of ranks and the peak memory of the job in GiB, as metadata of the artifact."""
    usage: dict[str, int | float] = {
        "ranks": job.ranks,
        "peak memory of a rank (GiB)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if job.runtime.device.startswith("cuda"):
        import torch

        usage["peak memory of a GPU (GiB)"] = torch.cuda.max_memory_allocated() / 2**30
    return usage


def main(file: Path) -> None:
    """Does the part of one rank in the job described by `file`."""
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
