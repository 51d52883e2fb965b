"""A subset of problems, or of preference pairs, is drawn by the hash of their ids.

A file of problems is often in order, by subject or by difficulty, so its first rows are not a fair sample. The draw
depends on the ids alone: every model gets the same problems, a smaller draw is part of a larger one, and adding or
removing a problem moves no other.
Not covered: which side of the split a problem is on (`split`), and the order of training prompts (`prompt_schedule`).
"""

import hashlib
from collections.abc import Iterable
from typing import TypeVar

from r1_pipeline.records import PreferencePair, Problem

T = TypeVar("T", Problem, PreferencePair)


def shuffled(rows: Iterable[T]) -> list[T]:
    """Returns all `rows` in the order of the draw, which does not depend on the order of the input."""
    return sorted(rows, key=lambda row: hashlib.sha256(row.id.encode()).digest())
