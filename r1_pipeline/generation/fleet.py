"""Many engines on a Ray cluster behind the protocol of one, each with the same checkpoint loaded.

Seeds belong to samples, so who answers which shard, in which order and how often cannot change what is said: a fleet
has the identity of the engines it is made of. Not covered: how work is spread (`cluster`), one engine (`opening`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from r1_pipeline.generation.engine import SHARD, Engine, Progress
from r1_pipeline.records import Completion, Request, Sampling
from r1_pipeline.settings.cluster import Cluster, spread


class _Said(NamedTuple):
    completions: list[Completion]
    spent: Mapping[str, float]


class Fleet:
    """Engines that `open_engine` opens on the cluster, called `identity` each."""

    def __init__(self, open_engine: Callable[[], Engine], identity: str, cluster: Cluster) -> None:
        self.identity = identity
        self._open_engine, self._cluster = open_engine, cluster
        self._spent: Counter[str] = Counter()

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

        def open_worker() -> Callable[[Sequence[Request]], _Said]:
            engine = open_engine()
            return lambda requests: _Said(engine.generate(requests, sampling), engine.spent())

        for index, said in spread(shards, open_worker, self._cluster):
            self._spent.update(said.spent)
            yield index, said.completions

    def spent(self) -> Mapping[str, float]:
        spent, self._spent = self._spent, Counter()
        return dict(spent)
