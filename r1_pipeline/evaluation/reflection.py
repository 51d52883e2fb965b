"""This module measures reply length and reflection by the depth of a problem, the number of calculations it needs.

The paper counts reflective words and tokens through the training of R1-Zero (supplement, C.2). In the toy world, the
depth of a problem and the self-correction of a reply are known: its sums have one calculation or more, and its web
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
    """The statistics of a model's replies to the problems of one depth."""

    steps: int
    """The number of calculations that a problem needs."""
    replies: int
    right: float
    """The share of replies that are correct."""
    mean_tokens: float
    reflective: float
    """The share of replies with at least one reflective word."""
    corrected: float
    """The share of replies that find and correct a slip: the reply calls an estimate wrong, replaces it by another
    value, and its answer is correct."""


def depths(judged: "pl.DataFrame", problems: Sequence[Problem]) -> tuple[Depth, ...]:
    """Returns the statistics of the toy sums among `problems` by depth, shallowest first; empty if there are none.

    `judged` has the completions of one model, with the columns `problem_id`, `text`, `token_ids` and `outcome`.
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
    """Returns the share of replies to sums of any depth that find and correct a slip; None if there are no sums."""
    replies = sum(depth.replies for depth in found)
    return sum(depth.corrected * depth.replies for depth in found) / replies if replies else None
