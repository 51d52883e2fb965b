"""Executes one Dagster run in this process, over some nodes or one partition of them, and explains a failure in one
line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
from dagster import DagsterInstance, ExecuteInProcessResult

from dagster_defs.asset_keys import asset_key
from dagster_defs.code_location import code_location
from dagster_defs.settings import Settings
from dagster_defs.staleness.source_sensor import observe_sources
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.profiles import Profile

QUIET_LOGS = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Failure:
    """The asset that failed and the reason, in one line."""

    asset: str
    reason: str


@dataclass
class Executor:
    """Materializes assets in this process."""

    settings: Settings
    tags: Mapping[str, str]
    observers: Observer
    graph: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.graph = code_location(self.settings, [self.observers])
        self._job = self.graph.resolve_implicit_global_asset_job_def()
        self._instance = DagsterInstance.from_config(str(self.settings.dagster_home))

    def materialize(self, nodes: Sequence[str], partition: str | None) -> Failure | None:
        """Executes one Dagster run over `nodes` and returns None on success, or the failure."""
        result = self._job.execute_in_process(
            instance=self._instance,
            asset_selection=list(map(asset_key, nodes)),
            partition_key=partition,
            raise_on_error=False,
            run_config=QUIET_LOGS,
            tags=dict(self.tags),
        )
        return None if result.success else explain_failure(result, partition)

    def observe_sources(self, profile: Profile) -> None:
        """Records the present content of the sources in Dagster."""
        observe_sources(self._instance, profile)


def explain_failure(result: ExecuteInProcessResult, partition: str | None) -> Failure:
    """Returns the asset that failed with one line of explanation: the gate with its numbers, or the error."""
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
                reason = "interrupted; the next run resumes from the last checkpoint"
            return Failure(name, reason)
    return Failure("?", "the run failed without an error message; open it in r1 ui")
