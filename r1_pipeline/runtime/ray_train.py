"""Runs all ranks of a job as workers of Ray Train.

    python -m r1_pipeline.runtime.ray_train MODULE JOB

Each worker runs `MODULE`'s `main`, as torchrun would; Ray places it and creates the process group. A rank that fails
ends the job, and the next run resumes from the last complete checkpoint. Every node needs this package and the home
under the same path. `ray start` starts a cluster.
"""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from r1_pipeline.runtime.jobs import Job, read_job
from r1_pipeline.runtime.rank import TIMEOUT, backend
from r1_pipeline.settings.cluster import join
from r1_pipeline.settings.launchers import RayTrain

PASSED_ON = (
    "HF_DATASETS_OFFLINE",
    "HF_HOME",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_OFFLINE",
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "PYTHONPATH",
    "TOKENIZERS_PARALLELISM",
)
"""Environment variables to pass to workers besides Dagster's, since Ray passes none. None may be a secret, because
Ray displays them."""


def main(module: str, file: Path) -> None:
    """Runs all ranks of the job in `file` until they end; raises Ray's error for the first that fails."""
    job = read_job(file)
    launcher = job.runtime.launcher
    assert isinstance(launcher, RayTrain)
    variables = {k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith("DAGSTER_PIPES_")}
    try:
        join(launcher.address, variables)
        _trainer(job, launcher, module).fit()
    except Exception as error:
        job.fail(error)
        raise


def _trainer(job: Job, launcher: RayTrain, module: str) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    gpu = job.runtime.device != "cpu"
    return TorchTrainer(
        rank,
        train_loop_config={"module": module, "file": str(job.file)},
        torch_config=TorchConfig(backend=backend(job.runtime), timeout_s=int(TIMEOUT.total_seconds())),
        scaling_config=ScalingConfig(
            num_workers=job.ranks, use_gpu=gpu, resources_per_worker={"CPU": job.runtime.threads, "GPU": int(gpu)}
        ),
        run_config=RunConfig(storage_path=str(job.folder / "ray"), failure_config=FailureConfig(max_failures=0)),
    )


def rank(config: dict[str, str]) -> None:
    """Runs one rank in a worker."""
    import_module(config["module"]).main(Path(config["file"]))


if __name__ == "__main__":
    from r1_pipeline.runtime import ray_train  # by name, so that workers import it too

    ray_train.main(sys.argv[1], Path(sys.argv[2]))
