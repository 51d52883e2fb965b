"""The law of the graph in Dagster: it changes only on purpose, in every profile.

`graph_dump` describes how the golden file is written.
"""

import json
from pathlib import Path

import pytest
from graph_dump import GOLDEN, dump

from r1_pipeline.profiles import PROFILES


@pytest.mark.parametrize("profile", PROFILES)
def test_assets_edges_pools_versions_automation_gates_jobs_and_schedules_are_the_golden_ones(
    profile: str, tmp_path: Path
) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[profile]
    found = dump(profile, tmp_path)
    assert set(found["assets"]) == set(golden["assets"])
    for name, asset in golden["assets"].items():
        assert found["assets"][name] == asset, name
    assert found == golden
