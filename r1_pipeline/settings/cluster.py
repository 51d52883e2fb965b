"""Distributes work over a Ray cluster; sampling, grading and screening of large tables use it.

    for index, result in ray_map(tasks, open_worker, cluster): ...

Ray Data passes the tasks to actors, each with a worker of its own. Tasks of a lost node are repeated elsewhere, and
every task yields exactly one result, in any order. Every node needs this package, the worker's files under the same
paths (a shared file system), and the worker's requirements: bubblewrap for programs, vLLM as an engine. Ray pickles
tasks and results, so a machine that can join the cluster can run any code on it. `ray start` starts a cluster;
`runtime.ray_train` trains on one.
"""

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from r1_pipeline.errors import R1Error, RequirementError

NO_RAY = "Ray is not installed; install the extra `ray` on every node"
T = TypeVar("T")
R = TypeVar("R")


class Cluster(BaseModel):
    """A Ray cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    """`auto` on a node of the cluster, otherwise HOST:PORT of its head; `local` starts one of this machine alone."""
    workers: int
    """Maximum number of concurrent workers; fewer if the cluster lacks resources."""
    cpus: float
    """Number of CPUs per worker."""
    gpus: float
    """Number of GPUs per worker; 0 for engines on CPUs."""


def ray_map(
    tasks: Sequence[T], open_worker: Callable[[], Callable[[T], R]], cluster: Cluster
) -> Iterator[tuple[int, R]]:
    """Yields (index, result) of every task as it is done; raises a worker's `R1Error` unchanged."""
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
            waiting.remove(index)  # raises KeyError for a second result
            yield index, result
    assert not waiting, f"Ray left out {len(waiting)} tasks"


class _Worker:
    """An actor that opens its worker at the first task, so that an error there is reported like any other."""

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


def ray_is_absent() -> str | None:
    """Returns the message for a machine without Ray; None if it is installed."""
    return None if find_spec("ray") else NO_RAY


def join(address: str, variables: Mapping[str, str] | None = None) -> None:
    """Joins the cluster and sets environment variables of its workers; raises `RequirementError` if it cannot."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise RequirementError(NO_RAY) from error
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
    """Joins the cluster and returns the module `ray.data`; raises like `join`."""
    join(cluster.address)
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    return ray.data
