"""The split assigns problems to train or held-out by the hash of what they are about.

The hash covers the fact that the source names (the part after `#`), so all questions about one fact, whatever their
language and generator version, are on the same side in every run.
Not covered: sources that name a side themselves (`curation`).
"""

import hashlib

from r1_pipeline.data.origin import Origin
from r1_pipeline.records import Problem


def is_heldout(source: str, heldout_share: float) -> bool:
    """Returns true if the fact that `source` names after its `#` is held out from training.

    `heldout_share` is in (0, 1); a larger share keeps every fact held out that a smaller one does.
    """
    digest = hashlib.sha256(Origin.of(source).fact.encode()).digest()
    return int.from_bytes(digest[:8], "big") < heldout_share * 2**64


def fact_of(problem: Problem) -> str:
    """The fact that the source of `problem` names, which all its languages share; its own id where none is named."""
    return Origin.of(problem.source).fact or problem.id
