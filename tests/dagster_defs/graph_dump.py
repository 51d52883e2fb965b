"""Describes Dagster's view of a profile's graph as plain JSON, for the golden test.

Run as a script, `python tests/dagster_defs/graph_dump.py`, it writes the golden file. Do so only for a change of the
graph that the changelog names.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from dagster_defs.code_location import code_location
from dagster_defs.settings import Settings
from r1_pipeline.profiles import PROFILES

GOLDEN = Path(__file__).parents[1] / "golden" / "graph.json"


def dump(profile: str, home: Path) -> dict[str, Any]:
    """Returns the assets with all that users see or runs depend on, the assets of every job, and the schedules."""
    made = code_location(Settings(home=home, profile=profile, seed=0, tracking_uri="unused"))
    graph = made.resolve_asset_graph()
    assets = {}
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.to_user_string()):
        node = graph.get(key)
        condition = node.automation_condition
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "kinds": sorted(node.kinds),
            "pools": sorted(node.pools),
            "partitions": list(node.partitions_def.get_partition_keys()) if node.partitions_def else None,
            "code_version": node.code_version,
            "automation": condition.get_label() if condition else None,
            "checks": sorted(check.name for check in node.check_keys),
            "freshness": node.freshness_policy is not None,
        }
    jobs = {
        job.name: sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
        for job in made.resolve_all_job_defs()
        if not job.name.startswith("__")
    }
    schedules = sorted(schedule.name for schedule in made.schedules or [])
    return {"assets": assets, "jobs": jobs, "schedules": schedules}


def dumps() -> dict[str, Any]:
    """Returns the graph of every profile by name."""
    with tempfile.TemporaryDirectory() as home:
        return {profile: dump(profile, Path(home)) for profile in PROFILES}


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(dumps(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
