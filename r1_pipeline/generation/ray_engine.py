"""The Ray engine is many engines on a Ray cluster behind the protocol of one, each with the same checkpoint loaded.

Seeds belong to samples, so the worker, the order and the number of attempts of a shard cannot change its completions: a
Ray engine has the identity of the engines it is made of. Not covered: the distribution of work (`cluster`), one engine
(`engine_factory`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from r1_pipeline.generation.engine import SHARD, Engine, Progress
from r1_pipeline.records import Completion, Request, Sampling
from r1_pipeline.settings.cluster import Cluster, ray_map


class _Usage(NamedTuple):
    completions: list[Completion]
    usage: Mapping[str, float]


class RayEngine:
    """An engine made of the engines that `open_engine` opens on the cluster, each with this `identity`."""

    def __init__(self, open_engine: Callable[[], Engine], identity: str, cluster: Cluster) -> None:
        self.identity = identity
        self._open_engine, self._cluster = open_engine, cluster
        self._usage: Counter[str] = Counter()

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """Returns one completion for each request, in order."""
        shards = [requests[i : i + SHARD] for i in range(0, len(requests), SHARD)]
        done: dict[int, list[Completion]] = {}
        for index, completions in self.stream(shards, sampling):
            done[index] = completions
            if progress:
                progress(sum(map(len, done.values())), len(requests))
        return [completion for index in range(len(shards)) for completion in done[index]]

    def stream(self, shards: Sequence[Sequence[Request]], sampling: Sampling) -> Iterator[tuple[int, list[Completion]]]:
        """Yields the index and the completions of every shard, as they are done."""
        open_engine = self._open_engine

        def open_worker() -> Callable[[Sequence[Request]], _Usage]:
            engine = open_engine()
            return lambda requests: _Usage(engine.generate(requests, sampling), engine.usage())

        for index, result in ray_map(shards, open_worker, self._cluster):
            self._usage.update(result.usage)
            yield index, result.completions

    def usage(self) -> Mapping[str, float]:
        """Returns the sum of what the workers' engines have charged since the last call."""
        usage, self._usage = self._usage, Counter()
        return dict(usage)
