"""Materializing a selection from the terminal, through Dagster, on one or more lanes.

With one lane everything happens in this process, in as few Dagster runs as possible. With more, that goes for what is
fresh already (its artifacts are verified and its checks asked again), and the rest is computed unit by unit, as soon as
its inputs are there, each in a Dagster run of its own, by one worker process a lane. All runs carry one tag, `r1/run`.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterInstance, ExecuteInProcessResult

from dagster_defs.code_location import code_location
from dagster_defs.drift import Drifts
from dagster_defs.keys import asset_key
from dagster_defs.pipeline import PIPELINE_RUN_TAG
from dagster_defs.reconcile import limit_devices, reconcile
from dagster_defs.settings import Settings
from dagster_defs.tracking import Tracking
from dagster_defs.watch import look
from dagster_defs.waves import selected, waits, waves
from r1_pipeline.artifacts.kinds import Artifact
from r1_pipeline.artifacts.observer import Observer, Observers
from r1_pipeline.graph.node import AssetName
from r1_pipeline.profiles import Profile

QUIET_LOGS = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Failure:
    """Why a run stopped."""

    asset: str
    reason: str


@dataclass
class Executor:
    """Materializes assets in this process."""

    settings: Settings
    tags: Mapping[str, str]
    watching: Observer
    graph: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.graph = code_location(self.settings, [self.watching])
        self._job = self.graph.resolve_implicit_global_asset_job_def()
        self._instance = DagsterInstance.from_config(str(self.settings.dagster_home))

    def materialize(self, nodes: Sequence[str], partition: str | None) -> Failure | None:
        """One Dagster run; None if everything in it succeeded."""
        result = self._job.execute_in_process(
            instance=self._instance,
            asset_selection=list(map(asset_key, nodes)),
            partition_key=partition,
            raise_on_error=False,
            run_config=QUIET_LOGS,
            tags=dict(self.tags),
        )
        return None if result.success else explain(result, partition)

    def look(self, profile: Profile) -> None:
        """Let Dagster know what the sources hold now."""
        look(self._instance, profile)


class Witness(Observer):
    """Knows whether anything was computed at all."""

    computed = False

    def began(
        self, name: str, fingerprint: str, payload: Mapping[str, Any], inputs: Mapping[str, Artifact], metrics: Path
    ) -> Mapping[str, str]:
        self.computed = True
        return {}


def run(settings: Settings, select: str | None, watching: Sequence[Observer]) -> Failure | None:
    """Materialize the selection (all assets by default); returns the first failure, after which nothing is started.

    Raises `UnknownNameError` for an asset or profile that does not exist, `RequirementError` for
    what this machine lacks.
    """
    from dagster_defs.lanes import compute

    profile = settings.load()
    profile.require()
    settings.export()
    reconcile(settings)
    limit_devices(settings, profile.runtime.lanes)
    tracking, warn = Tracking.of(settings), logging.getLogger(__name__).warning
    tracking.pay(warn)
    witness = Witness()
    tags = {PIPELINE_RUN_TAG: uuid.uuid4().hex, "r1/profile": settings.profile, "r1/seed": str(settings.seed)}
    here = Executor(settings, tags, Observers([*watching, witness]))
    here.look(profile)
    wanted = waits(profile.bound, selected(here.graph, select))
    lanes = profile.runtime.lanes
    done = fresh(settings, profile, wanted) if lanes > 1 else set(wanted)
    ended = "KILLED"
    try:
        failure = None
        for wave in waves(wanted, done):
            failure = here.materialize(wave.nodes, wave.partition)
            if failure:
                break
        if failure is None and len(done) < len(wanted):
            failure = compute(here, wanted, done, lanes)
        ended = "FAILED" if failure else "FINISHED"
    finally:
        if witness.computed:
            with tracking.tolerant("close the run", warn):
                tracking.close_parent(tags[PIPELINE_RUN_TAG], ended)
    return failure


def fresh(settings: Settings, profile: Profile, wanted: Mapping[AssetName, frozenset[AssetName]]) -> set[AssetName]:
    """What is fresh, and whose inputs are, all the way up."""
    found: set[AssetName] = set()
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        drifts = Drifts(settings.home, profile, instance)
        for name, parents in wanted.items():
            if parents <= found and drifts.of(name).state == "fresh":
                found.add(name)
    return found


def explain(result: ExecuteInProcessResult, partition: str | None) -> Failure:
    """The asset that failed, and one line that says why: a gate with its numbers, or the error that was raised."""
    failed_checks = [e for e in result.get_asset_check_evaluations() if not e.passed and e.blocking]
    if failed_checks:
        check = failed_checks[0]
        return Failure(check.asset_key.to_user_string(), f"gate {check.description}")
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error and error.cause:
                error = error.cause
            name = (event.step_key or "?").replace("__", "/")
            name = f"{name}/{partition}" if partition else name
            reason = (error.message if error else "no reason recorded").strip()
            if "DagsterExecutionInterruptedError" in reason:
                reason = "interrupted; the next run goes on from the last checkpoint"
            return Failure(name, reason)
    return Failure("?", "the run failed without saying why; look at it in r1 ui")
