"""Materializing a selection from the terminal: through Dagster, in this process, in as few Dagster runs as possible.

One Dagster run cannot mix partitioned and unpartitioned assets, so the selection is cut into waves: all unpartitioned
assets that are ready, then the partitions that are ready, one run each, and so on. All carry one tag, `r1/run`.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult

from dagster_defs.definitions import definitions
from dagster_defs.pipeline import PIPELINE_RUN_TAG
from dagster_defs.settings import Settings
from dagster_defs.tracking import Tracking
from r1_pipeline.artifacts.observer import Observer
from r1_pipeline.errors import UnknownNameError

QUIET_LOGS = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Wave:
    """One Dagster run."""

    assets: tuple[AssetKey, ...]
    partition: str | None


@dataclass(frozen=True)
class Failure:
    """Why a run stopped."""

    asset: str
    reason: str


class Witness(Observer):
    """Knows whether anything was computed at all."""

    computed = False

    def began(self, name: str, fingerprint: str, payload: Mapping[str, Any], metrics: Path) -> Mapping[str, str]:
        self.computed = True
        return {}


def run(settings: Settings, select: str | None, watching: Sequence[Observer]) -> Failure | None:
    """Materialize the selection (all assets by default); returns the first failure, after which nothing more is run.

    Raises `UnknownNameError` for an asset that does not exist.
    """
    settings.export()
    witness = Witness()
    graph = definitions(settings, [*watching, witness])
    job = graph.resolve_implicit_global_asset_job_def()
    tags = {PIPELINE_RUN_TAG: uuid.uuid4().hex, "r1/profile": settings.profile, "r1/seed": str(settings.seed)}
    failure: Failure | None = None
    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        for wave in waves(graph, selected(graph, select)):
            result = job.execute_in_process(
                instance=instance,
                asset_selection=wave.assets,
                partition_key=wave.partition,
                raise_on_error=False,
                run_config=QUIET_LOGS,
                tags=tags,
            )
            if not result.success:
                failure = explain(result, wave)
                break
    if witness.computed:
        Tracking.of(settings).close_parent(tags[PIPELINE_RUN_TAG], "FAILED" if failure else "FINISHED")
    return failure


def selected(graph: dg.Definitions, select: str | None) -> set[AssetKey]:
    """Asset keys of a selection such as `r1_zero`, `r1_zero,dev1`, `+r1` (with all upstream) or `key:evaluation/*`."""
    asset_graph = graph.resolve_asset_graph()
    runnable = set(asset_graph.materializable_asset_keys)
    if select is None:
        return runnable
    known = {key.to_user_string() for key in runnable}
    chosen: set[AssetKey] = set()
    for piece in select.split(","):
        name = piece.strip().strip("+*")
        if name.replace("_", "").replace("/", "").isalnum() and name not in known:
            raise UnknownNameError("asset", name, sorted(known))
        text = piece.strip().replace(name, f'key:"{name}"') if name in known else piece.strip()
        chosen |= dg.AssetSelection.from_string(text).resolve(asset_graph)
    return chosen & runnable


def waves(graph: dg.Definitions, chosen: set[AssetKey]) -> Iterator[Wave]:
    """Dagster runs that materialize `chosen`, in order."""
    asset_graph = graph.resolve_asset_graph()
    left = [key for key in asset_graph.toposorted_asset_keys if key in chosen]
    parents = {key: asset_graph.get(key).parent_keys & chosen for key in left}
    partitions = {key: asset_graph.get(key).partitions_def for key in left}
    done: set[AssetKey] = set()
    while left:
        plain: list[AssetKey] = []
        for key in left:
            if partitions[key] is None and parents[key] <= done | set(plain):
                plain.append(key)
        if plain:
            yield Wave(tuple(plain), None)
            done |= set(plain)
        ready: dict[dg.PartitionsDefinition[str], list[AssetKey]] = {}
        for key in left:
            cut = partitions[key]
            if cut is not None and parents[key] <= done | set(ready.get(cut, [])):
                ready.setdefault(cut, []).append(key)
        for cut, keys in ready.items():
            for partition in cut.get_partition_keys():
                yield Wave(tuple(keys), partition)
            done |= set(keys)
        left = [key for key in left if key not in done]


def explain(result: ExecuteInProcessResult, wave: Wave) -> Failure:
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
            name = f"{name}/{wave.partition}" if wave.partition else name
            return Failure(name, (error.message if error else "no reason recorded").strip())
    return Failure("?", "the run failed without saying why; look at it in r1 ui")
