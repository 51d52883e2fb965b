"""`python -m r1_pipeline.runtime.ray_train MODULE JOB`: all ranks of a job as workers of Ray Train.

Each worker runs what torchrun would have started, `MODULE`'s `main`; Ray gives it a place and a process group. A rank
that fails ends the job, as everywhere: the next run goes on from the last sealed checkpoint. Every node needs this
package and the home under the same path. Not covered: starting a cluster (`ray start`).
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
"""Variables that workers need, beside Dagster's; Ray hands on none by itself. None may be a secret: Ray shows them."""


def main(module: str, file: Path) -> None:
    """Run all ranks of the job in `file` until they end; raises what Ray says of the first that fails."""
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
    """In a worker: one rank."""
    import_module(config["module"]).main(Path(config["file"]))


if __name__ == "__main__":
    from r1_pipeline.runtime import ray_train  # by its name, so that workers import it too

    ray_train.main(sys.argv[1], Path(sys.argv[2]))
