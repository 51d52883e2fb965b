"""The one walk over the edges of manifests: from artifacts to all that they were made from.

Not covered: where an edge leads (`InputRef.path`, `lineage.library`), which edges teach (`edges`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from r1_pipeline.artifacts.kinds import Artifact


def with_ancestors(starts: Iterable[Artifact], sources: Callable[[Artifact], Iterable[Artifact]]) -> Iterator[Artifact]:
    """Every artifact once, nearest first: `starts`, what `sources` gives for each of them, and so on.

    `sources` is asked about an artifact after that was yielded, so that a caller can decide how to go on from it.
    """
    seen: set[Path] = set()
    waiting = deque(starts)
    while waiting:
        artifact = waiting.popleft()
        if artifact.path not in seen:
            seen.add(artifact.path)
            yield artifact
            waiting.extend(sources(artifact))
