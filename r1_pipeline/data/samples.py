"""The identity of a corpus row, its `sample_id`, is the hash of all its other columns.

Equal rows have equal ids wherever they lie, and an id that does not match its row reveals an edit. Not covered: which
rows are kept (`generation.rejection`), in what order (`prompt_schedule`).
"""

from collections.abc import Mapping
from typing import Any

from r1_pipeline.recipe import fingerprint
from r1_pipeline.records import Problem, Sample, sparse

HASHED = tuple(name for name in Sample.model_fields if name != "sample_id" and name not in sparse(Sample))
"""The columns that an id covers in every row, in order; a sparse column is included, with its name, where it has a
value."""


def sample_id(row: Mapping[str, Any]) -> str:
    """Returns 16 hex digits of the hash over the values of `HASHED`.

    Among 800,000 different rows the probability that two ids collide is one in 58 million.
    """
    others = [[name, row[name]] for name in sparse(Sample) if row.get(name) is not None]
    return fingerprint([*(row[name] for name in HASHED), *others])[:16]


def sample_with_id(**columns: Any) -> Sample:
    """Returns the row with these columns, all but the id, which it computes."""
    unnamed = Sample(sample_id="", **columns)
    return unnamed.model_copy(update={"sample_id": sample_id(unnamed.model_dump(mode="json"))})


def sample_from_problem(problem: Problem, response: str, **columns: Any) -> Sample:
    """Returns the row in which `problem` is answered with `response`; `columns` are all that the problem does not
    provide."""
    from_problem = problem.model_dump(include={"domain", "language", "source", "licence", "question", "rounds"})
    return sample_with_id(problem_id=problem.id, response=response, **from_problem, **columns)
