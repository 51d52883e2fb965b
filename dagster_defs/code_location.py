"""The Dagster code location of a home, profile and seed: assets, checks, jobs, sensors, schedules and resources.

Loading is cheap: no module imported here imports torch, transformers, trl or mlflow before an asset runs.
"""

from collections.abc import Sequence

import dagster as dg

from dagster_defs.assets import graph_assets
from dagster_defs.checks import graph_checks
from dagster_defs.execution.dead_runs import dead_run_sensor
from dagster_defs.io_manager import ArtifactIOManager, blocking_checks
from dagster_defs.jobs import graph_jobs, schedules
from dagster_defs.pipeline import PipelineResource
from dagster_defs.settings import Settings
from dagster_defs.sources import source_assets
from dagster_defs.staleness import automation
from dagster_defs.staleness.source_sensor import source_sensor
from r1_pipeline.artifacts.observer import Observer


def code_location(settings: Settings, observers: Sequence[Observer] = ()) -> dg.Definitions:
    """Returns the definitions of one home, profile and seed; `observers` receive the events of all stages in this
    process.

    Raises `UnknownNameError` for an unknown profile and `GraphError` if the recipes do not fit the graph.
    """
    pipeline = PipelineResource(settings, observers)
    profile = pipeline.profile
    checks = graph_checks(profile)
    return dg.Definitions(
        assets=[*source_assets(profile), *graph_assets(profile)],
        asset_checks=checks,
        jobs=graph_jobs(profile.graph),
        sensors=[automation.sensor(settings.automation), source_sensor, dead_run_sensor],
        schedules=schedules(settings.automation),
        resources={
            "pipeline": pipeline,
            "io_manager": ArtifactIOManager(
                settings.home, blocking_checks(profile.graph), frozenset(check.node_def.name for check in checks)
            ),
        },
        executor=dg.in_process_executor,
    )
