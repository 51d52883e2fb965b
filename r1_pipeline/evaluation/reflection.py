"""How long a model thinks and how often it looks again, by how many calculations a problem needs.

The paper counts reflective words and tokens through the training of R1-Zero (supplement, C.2). How deep a problem is
and whether a reply corrects itself is known in the toy world, whose sums have one calculation or more and whose web
checks estimates in words: "maybe 7, check 3 + 5 = 8, no 8" finds a slip and corrects it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from r1_pipeline.data.toy_corpus import WORDS
from r1_pipeline.data.toy_problems import steps_of
from r1_pipeline.records import Outcome, Problem, Record
from r1_pipeline.rewards.reflection import REFLECTIVE

if TYPE_CHECKING:
    import polars as pl

_ESTIMATE, _CORRECTION = (f"(?:{'|'.join(sorted(WORDS[word].values()))})([0-9]+)" for word in ("guess", "wrong"))


class Depth(Record):
    """What a model's replies are like on the problems of one depth."""

    steps: int
    """Calculations that a problem needs."""
    replies: int
    right: float
    """Share of replies that are correct."""
    mean_tokens: float
    reflective: float
    """Share of replies with at least one reflective word."""
    corrected: float
    """Share of replies that find a slip and correct it: an estimate is called wrong, another value is put in its place,
    and the answer is correct."""


def depths(judged: "pl.DataFrame", problems: Sequence[Problem]) -> tuple[Depth, ...]:
    """The depths of the toy sums among `problems`, shallowest first; empty where there is none.

    `judged` are the completions of one model with `problem_id`, `text`, `token_ids` and `outcome`.
    """
    import polars as pl

    known = {problem.id: steps for problem in problems if (steps := steps_of(problem))}
    replies = judged.filter(pl.col("problem_id").is_in(list(known)))
    right, text = pl.col("outcome") == Outcome.CORRECT, pl.col("text")
    corrected = text.str.extract(_ESTIMATE) != text.str.extract(_CORRECTION)
    found = (
        replies.with_columns(steps=pl.col("problem_id").replace_strict(known, return_dtype=pl.Int64))
        .group_by("steps")
        .agg(
            replies=pl.len(),
            right=right.mean(),
            mean_tokens=pl.col("token_ids").list.len().mean(),
            reflective=text.str.contains(f"(?i){REFLECTIVE.pattern}").mean(),
            corrected=(right & corrected.fill_null(value=False)).mean(),
        )
        .sort("steps")
    )
    return tuple(Depth.model_validate(row) for row in found.iter_rows(named=True))


def corrected_share(found: Sequence[Depth]) -> float | None:
    """Share of replies to sums of any depth that find a slip and correct it; None where there is no sum."""
    replies = sum(depth.replies for depth in found)
    return sum(depth.corrected * depth.replies for depth in found) / replies if replies else None
