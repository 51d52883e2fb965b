"""The traversal of manifests: from artifacts to everything that they were made from.

`InputRef.path` and `lineage.library` resolve an edge to a folder; `edges` says which edges are training data.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from r1_pipeline.artifacts.kinds import Artifact


def with_ancestors(starts: Iterable[Artifact], sources: Callable[[Artifact], Iterable[Artifact]]) -> Iterator[Artifact]:
    """Yields every artifact once, nearest first: `starts`, then the `sources` of each of them, and so on.

    `sources` is called for an artifact after it was yielded, so that a caller can decide how to continue from it.
    """
    seen: set[Path] = set()
    waiting = deque(starts)
    while waiting:
        artifact = waiting.popleft()
        if artifact.path not in seen:
            seen.add(artifact.path)
            yield artifact
            waiting.extend(sources(artifact))
