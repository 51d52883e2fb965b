"""A real Ray cluster on this machine."""

from collections.abc import Iterator

import pytest


@pytest.fixture
def ray_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator["object"]:
    """A head and one more node, of one CPU each; the test may take the second away."""
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 200 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
