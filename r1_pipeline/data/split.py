"""Train and held-out, told apart by what a problem is about and nothing else.

The side is a hash of the domain and the row that the source names (the part after `#`), so all questions about one
fact, in whatever language and of whatever generator version, fall on the same side, run after run.
Not covered: sources that name a side themselves (`curation`).
"""

import hashlib

from r1_pipeline.data.origin import Origin
from r1_pipeline.records import Problem


def is_heldout(source: str, heldout_share: float) -> bool:
    """Whether the fact that `source` names after its `#` is kept from training."""
    digest = hashlib.sha256(Origin.of(source).fact.encode()).digest()
    return int.from_bytes(digest[:8], "big") < heldout_share * 2**64


def fact_of(problem: Problem) -> str:
    """The fact that the source of `problem` names, which all its languages share; its own id where none is named."""
    return Origin.of(problem.source).fact or problem.id
