"""A real Ray cluster on this machine."""

from collections.abc import Iterator
from typing import Any

import pytest


class Nodes:
    """A head and one more node, of one CPU each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 200 << 20, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=self._node)
        self.add()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self) -> None:
        self._second = self._cluster.add_node(**self._node)

    def lose(self) -> None:
        """The second node, without grace."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def close(self) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Starts the nodes of a cluster; a test that stops one adds another."""
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started = Nodes()
        yield started
        started.close()
