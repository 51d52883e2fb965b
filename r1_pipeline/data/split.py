"""Train and held-out, told apart by what a problem is about and nothing else.

The side is a hash of the domain and the row that the source names (the part after `#`), so all questions about one
fact, in whatever language and of whatever generator version, fall on the same side, run after run.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from r1_pipeline.records import PreferencePair, Problem

T = TypeVar("T", Problem, PreferencePair)


def is_heldout(source: str, heldout_share: float) -> bool:
    """Whether the fact that `source` names after its `#` is kept from training."""
    digest = hashlib.sha256(source.rpartition("#")[2].encode()).digest()
    return int.from_bytes(digest[:8], "big") < heldout_share * 2**64


def split(rows: Sequence[T], heldout_share: float) -> tuple[list[T], list[T]]:
    """(train, held-out), each in the order given."""
    heldout = [row for row in rows if is_heldout(row.source, heldout_share)]
    return [row for row in rows if not is_heldout(row.source, heldout_share)], heldout
