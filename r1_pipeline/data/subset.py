"""A subset of problems is drawn by the hash of their ids.

A file of problems is often in order, by subject or by difficulty, so its first rows are not a fair sample. The draw
depends on the ids alone: every model gets the same problems, a smaller draw is part of a larger one, and adding or
removing a problem moves no other.
Not covered: which side of the split a problem is on (`split`), and the order of training prompts (`prompt_schedule`).
"""

import hashlib
from collections.abc import Iterable

from r1_pipeline.records import Problem


def shuffled(problems: Iterable[Problem]) -> list[Problem]:
    """Returns all `problems` in the order of the draw, which does not depend on the order of the input."""
    return sorted(problems, key=lambda problem: hashlib.sha256(problem.id.encode()).digest())
