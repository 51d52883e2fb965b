"""Jobs and schedules: one job per partitioning of the graph, and the jobs that schedules run."""

from typing import Any

import dagster as dg

from dagster_defs.asset_keys import asset_key
from r1_pipeline.graph.node import Graph

EVALUATION_GROUPS = ("answers", "evaluation")
"""Groups of the nodes that evaluate checkpoints."""


def graph_jobs(graph: Graph) -> list[Any]:
    """Returns the jobs of a graph; one Dagster run cannot mix assets with different partitions."""
    cuts = dict.fromkeys(node.each for node in graph if node.each)
    whole = [node.name for node in graph if node.each is None and node.group in EVALUATION_GROUPS]
    return [
        dg.define_asset_job(
            "sources",
            dg.AssetSelection.groups("sources", include_sources=True),
            description="Observes the content of every source; the sensor of the same name notices changes sooner.",
        ),
        *(
            dg.define_asset_job(
                cut,
                _keys([node.name for node in graph if node.each == cut and node.group not in EVALUATION_GROUPS]),
                description=f"Makes one partition of the assets that are partitioned by {cut}.",
            )
            for cut in cuts
        ),
        dg.define_asset_job(
            "evaluations",
            _keys(whole),
            description="Evaluates every checkpoint that is not a partition, and writes the report.",
        ),
        dg.define_asset_job(
            "refresh",
            dg.AssetSelection.groups("problems"),
            description="Reads problems and preference pairs again; automation re-runs what depends on a change.",
        ),
    ]


def schedules(running: bool) -> list[dg.ScheduleDefinition]:
    """Returns the schedules, which are on from the start if `running`, and otherwise wait to be switched on."""
    status = dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
    return [
        dg.ScheduleDefinition(
            name=name, job_name=job, cron_schedule=cron, default_status=status, description=description
        )
        for name, job, cron, description in (
            ("hourly_look", "sources", "0 * * * *", "Observes every source, every hour."),
            (
                "nightly_evaluation",
                "evaluations",
                "0 2 * * *",
                "Evaluates and writes the report, every night at 02:00 UTC.",
            ),
            ("weekly_refresh", "refresh", "0 4 * * 0", "Reads the sources again on Sundays at 04:00 UTC."),
        )
    ]


def _keys(nodes: list[str]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*map(asset_key, nodes))
