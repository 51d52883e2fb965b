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
            description="What every source holds now; the sensor of the same name sees changes sooner.",
        ),
        *(
            dg.define_asset_job(
                cut,
                _keys([node.name for node in graph if node.each == cut and node.group not in EVALUATION_GROUPS]),
                description=f"One partition of what is cut into {cut}.",
            )
            for cut in cuts
        ),
        dg.define_asset_job(
            "evaluations", _keys(whole), description="Every checkpoint but those that are partitions, and the report."
        ),
        dg.define_asset_job(
            "refresh",
            dg.AssetSelection.groups("problems"),
            description="Problems and preference pairs, read again; automation carries what changed further.",
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
            ("hourly_look", "sources", "0 * * * *", "What every source holds, every hour."),
            ("nightly_evaluation", "evaluations", "0 2 * * *", "Scores and the report, every night at 02:00 UTC."),
            ("weekly_refresh", "refresh", "0 4 * * 0", "Sources read again on Sundays at 04:00 UTC."),
        )
    ]


def _keys(nodes: list[str]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*map(asset_key, nodes))
