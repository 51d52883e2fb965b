"""Materializes a selection from the terminal through Dagster, in this process or in a pool of worker processes.

With one worker, everything happens in this process, in as few Dagster runs as possible. With several workers, this
process only verifies the fresh artifacts and repeats their checks. Every other artifact is computed as soon as its
inputs exist, each in a Dagster run of its own in a worker process. All these runs carry the same tag `r1/run`.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

from dagster_defs.code_location import code_location
from dagster_defs.execution.dead_runs import reap_dead_runs, set_device_slots
from dagster_defs.pipeline import PIPELINE_RUN_TAG
from dagster_defs.runner.executor import Executor, Failure
from dagster_defs.runner.worker_pool import run_in_workers
from dagster_defs.settings import Settings
from dagster_defs.staleness.execution_plan import dependencies, planned_runs, select_nodes
from dagster_defs.staleness.resolver import StalenessResolver
from dagster_defs.tracking.stage_runs import TrackingStore
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.observer import Observer, Observers
from r1_pipeline.graph.node import AssetName
from r1_pipeline.planning.fit import require_memory
from r1_pipeline.profiles import Profile
from r1_pipeline.profiles.own_data import fit_of, require_fit


class ComputationObserver(Observer):
    """Records whether any artifact was computed."""

    computed = False

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        self.computed = True
        return {}


def run(settings: Settings, select: str | None, observers: Sequence[Observer]) -> Failure | None:
    """Materializes the selection, by default all assets, and returns the first failure, after which nothing new starts.

    Raises `UnknownNameError` for an unknown asset or profile, `RequirementError` for a requirement that this machine
    does not meet, and `SourceError` for sources that the profile cannot run with.
    """
    profile = settings.load()
    profile.require()
    require_memory(profile)
    chosen = None if select is None else select_nodes(code_location(settings), select)
    _require_rows(profile, chosen, Observers(observers))  # before anything is written
    settings.export()
    reap_dead_runs(settings)
    set_device_slots(settings, profile.runtime.lanes)
    tracking, warn = TrackingStore.of(settings), logging.getLogger(__name__).warning
    tracking.upload_pending(warn)
    computation = ComputationObserver()
    tags = {PIPELINE_RUN_TAG: uuid.uuid4().hex, "r1/profile": settings.profile, "r1/seed": str(settings.seed)}
    executor = Executor(settings, tags, Observers([*observers, computation]))
    executor.observe_sources(profile)
    plan = dependencies(profile.bound, select_nodes(executor.graph, select))
    workers = profile.runtime.lanes
    done = fresh_artifacts(settings, profile, plan) if workers > 1 else set(plan)
    status = "KILLED"
    try:
        failure = None
        for planned_run in planned_runs(plan, done):
            failure = executor.materialize(planned_run.nodes, planned_run.partition)
            if failure:
                break
        if failure is None and len(done) < len(plan):
            failure = run_in_workers(executor, plan, done, workers)
        status = "FAILED" if failure else "FINISHED"
    finally:
        if computation.computed:
            with tracking.best_effort("close the run", warn):
                tracking.close_parent(tags[PIPELINE_RUN_TAG], status)
    return failure


def _require_rows(profile: Profile, chosen: set[str] | None, observer: Observer) -> None:
    """Notes what the user's sources bring to the chosen nodes; raises `SourceError` for what would stop the run."""
    fit = fit_of(profile, chosen)
    for name, line in (*fit.sources.items(), *((profile.name, note) for note in fit.notes)):
        observer.noted(name, line)
    require_fit(profile.name, fit)


def fresh_artifacts(
    settings: Settings, profile: Profile, plan: Mapping[AssetName, frozenset[AssetName]]
) -> set[AssetName]:
    """Returns the artifacts that are fresh and whose upstream artifacts are all fresh."""
    fresh: set[AssetName] = set()
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        resolver = StalenessResolver(settings.home, profile, instance)
        for name, parents in plan.items():
            if parents <= fresh and resolver.of(name).state == "fresh":
                fresh.add(name)
    return fresh
