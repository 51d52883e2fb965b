"""Many engines on a Ray cluster behind the protocol of one, each with the same checkpoint loaded.

Seeds belong to samples, so who answers which shard, in which order and how often cannot change what is said: a Ray
engine has the identity of the engines it is made of. Not covered: how work is spread (`cluster`), one engine
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
    """Engines that `open_engine` opens on the cluster, called `identity` each."""

    def __init__(self, open_engine: Callable[[], Engine], identity: str, cluster: Cluster) -> None:
        self.identity = identity
        self._open_engine, self._cluster = open_engine, cluster
        self._usage: Counter[str] = Counter()

    def generate(
        self, requests: Sequence[Request], sampling: Sampling, progress: Progress | None = None
    ) -> list[Completion]:
        """One completion for each request, in order."""
        shards = [requests[i : i + SHARD] for i in range(0, len(requests), SHARD)]
        done: dict[int, list[Completion]] = {}
        for index, said in self.stream(shards, sampling):
            done[index] = said
            if progress:
                progress(sum(map(len, done.values())), len(requests))
        return [completion for index in range(len(shards)) for completion in done[index]]

    def stream(self, shards: Sequence[Sequence[Request]], sampling: Sampling) -> Iterator[tuple[int, list[Completion]]]:
        """(index, completions in order) of every shard, as they are done."""
        open_engine = self._open_engine

        def open_worker() -> Callable[[Sequence[Request]], _Usage]:
            engine = open_engine()
            return lambda requests: _Usage(engine.generate(requests, sampling), engine.usage())

        for index, said in ray_map(shards, open_worker, self._cluster):
            self._usage.update(said.usage)
            yield index, said.completions

    def usage(self) -> Mapping[str, float]:
        usage, self._usage = self._usage, Counter()
        return dict(usage)
