"""Work spread over a Ray cluster: one function, on which sampling, judging and screening of large tables stand.

    for index, result in spread(tasks, open_worker, cluster): ...

Ray Data hands the tasks to actors, each with a worker of its own; what a lost node had at work is done again elsewhere,
and every task answers exactly once, in any order. Every node needs this package, the files that a worker opens under
the same paths (a shared file system), and what its work needs: bubblewrap for programs, vLLM where it is the engine.
Tasks and results are pickled, as Ray does by itself: a machine that can join the cluster can run anything on it.
Not covered: starting a cluster (`ray start`), training on one (`runtime.ray_train`).
"""

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from r1_pipeline.errors import R1Error, RequirementError

T = TypeVar("T")
R = TypeVar("R")


class Cluster(BaseModel):
    """A Ray cluster that runs already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    """`auto` on a node of the cluster, else HOST:PORT of its head."""
    workers: int
    """Workers at once, at most; fewer where the cluster has no room for so many."""
    cpus: float
    """CPUs that each takes."""
    gpus: float
    """GPUs that each takes; 0 for engines on CPUs."""


def ray_map(
    tasks: Sequence[T], open_worker: Callable[[], Callable[[T], R]], cluster: Cluster
) -> Iterator[tuple[int, R]]:
    """(index, result) of every task, as they are done; raises the `R1Error` of a worker as it was raised there."""
    if not tasks:
        return
    data = _joined(cluster).from_items([{"index": i, "task": pickle.dumps(task)} for i, task in enumerate(tasks)],
                                       override_num_blocks=len(tasks))  # fmt: skip
    done = data.map_batches(
        _Worker,
        fn_constructor_args=(open_worker,),
        batch_size=1,
        concurrency=(1, min(cluster.workers, len(tasks))),
        num_cpus=cluster.cpus,
        num_gpus=cluster.gpus,
    )
    waiting = set(range(len(tasks)))
    for batch in done.iter_batches(batch_size=None):
        for index, pickled in zip(batch["index"].tolist(), batch["result"], strict=True):
            result = pickle.loads(pickled)
            if isinstance(result, R1Error):
                raise result
            waiting.remove(index)  # KeyError: answered twice
            yield index, result
    assert not waiting, f"Ray left out {len(waiting)} tasks"


class _Worker:
    """An actor: opens its worker at the first task, so that what fails there is told like any other failure."""

    def __init__(self, open_worker: Callable[[], Callable[[Any], Any]]) -> None:
        self._open = open_worker
        self._work: Callable[[Any], Any] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        results = [self._result(pickle.loads(task)) for task in batch["task"]]
        return {"index": batch["index"], "result": [pickle.dumps(result) for result in results]}

    def _result(self, task: Any) -> Any:
        try:
            self._work = self._work or self._open()
            return self._work(task)
        except R1Error as error:
            return error


def join(address: str, variables: Mapping[str, str] | None = None) -> None:
    """Join the cluster, whose workers get these environment variables; raises `RequirementError` where it cannot."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise RequirementError("Ray is not installed; install the extra `ray` on every node") from error
    if ray.is_initialized():
        return
    environment = {"env_vars": dict(variables)} if variables else None
    try:
        ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise RequirementError(
            f"no Ray cluster answers at {address} ({error}); start one with `ray start --head`"
        ) from error


def _joined(cluster: Cluster) -> Any:
    """The module `ray.data`, in a process that has joined the cluster; raises like `join`."""
    join(cluster.address)
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    return ray.data
