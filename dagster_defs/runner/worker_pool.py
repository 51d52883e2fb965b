"""A pool of worker processes that each materialize one artifact at a time, in order of the number of dependents.

A tiny model keeps one core busy, not two, so two workers of one thread use two cores better than one worker of two
threads. Workers send the events of their observers back to this process. Not covered: other machines.
"""

import ctypes
import multiprocessing
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from dagster_defs.runner.executor import Executor, Failure
from dagster_defs.settings import Settings
from dagster_defs.staleness.execution_plan import priorities
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.graph.node import AssetName

Event = tuple[str, tuple[Any, ...]]
PR_SET_PDEATHSIG = 1
"""Linux option of `prctl`: the signal that a process receives when its parent dies."""


def run_in_workers(
    executor: Executor, dependencies: Mapping[AssetName, frozenset[AssetName]], done: set[AssetName], workers: int
) -> Failure | None:
    """Materializes all artifacts that are not done; after the first failure nothing new starts, and it is returned."""
    priority = priorities(dependencies)
    remaining = sorted((unit for unit in dependencies if unit not in done), key=lambda unit: -priority[unit])
    done = set(done)
    failure = None
    with _WorkerPool(executor, min(workers, len(remaining))) as pool:
        running: dict[Future[Failure | None], AssetName] = {}
        while remaining or running:
            ready = (
                [unit for unit in remaining if dependencies[unit] <= done][: workers - len(running)]
                if failure is None
                else []
            )
            for unit in ready:
                running[pool.submit(unit)] = unit
                remaining.remove(unit)
            if not running:
                break
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                unit = running.pop(future)
                failure = future.result() or failure
                done.add(unit)
    return failure


def terminate_with_parent() -> None:
    """Makes the kernel end this process when its parent dies, so that no worker outlives a killed run."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class _WorkerPool:
    """Worker processes, and the thread that forwards their events to the observers."""

    def __init__(self, executor: Executor, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._events: Queue[Event | None] = context.Queue()
        self._observers = executor.observers
        self._executor = ProcessPoolExecutor(
            workers,
            context,
            initializer=_initialize_worker,
            initargs=(executor.settings, dict(executor.tags), self._events),
        )
        self._listener = threading.Thread(target=self._forward_events, daemon=True)

    def __enter__(self) -> "_WorkerPool":
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # nothing is lost: finished artifacts and checkpoints are on disk
            for worker in multiprocessing.active_children():
                worker.terminate()
        self._executor.shutdown(cancel_futures=True)
        self._events.put(None)
        self._listener.join()

    def submit(self, unit: AssetName) -> "Future[Failure | None]":
        return self._executor.submit(_materialize_in_worker, unit)

    def _forward_events(self) -> None:
        while event := self._events.get():
            method, arguments = event
            getattr(self._observers, method)(*arguments)


class _QueueObserver(Observer):
    """Sends every event to the process that started the workers."""

    def __init__(self, events: "Queue[Event | None]") -> None:
        self._events = events

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        self._events.put(("began", (name, fingerprint, dict(payload), dict(inputs), metrics)))
        return {}

    def stepped(self, name: str, step: int, total: int, metrics: Mapping[str, float]) -> None:
        self._events.put(("stepped", (name, step, total, dict(metrics))))

    def noted(self, name: str, message: str) -> None:
        self._events.put(("noted", (name, message)))

    def finished(self, artifact: Artifact) -> None:
        self._events.put(("finished", (artifact,)))

    def failed(self, name: str, error: BaseException) -> None:
        self._events.put(("failed", (name, RuntimeError(str(error)))))

    def reused(self, artifact: Artifact) -> None:
        self._events.put(("reused", (artifact,)))


_executor: Executor


def _initialize_worker(settings: Settings, tags: Mapping[str, str], events: "Queue[Event | None]") -> None:
    """Loads the graph in a new worker process."""
    import warnings

    from dagster import BetaWarning, PreviewWarning

    global _executor
    terminate_with_parent()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # lets a stage close its runs before it ends
    warnings.simplefilter("ignore", BetaWarning)
    warnings.simplefilter("ignore", PreviewWarning)
    settings.export()
    _executor = Executor(settings, tags, _QueueObserver(events))


def _materialize_in_worker(unit: AssetName) -> Failure | None:
    """Materializes one artifact in a worker process."""
    return _executor.materialize([unit.asset], unit.partition)
