"""Which sampled replies may be trained on: right, well formed, readable and short enough.

Used for the cold start and for rejection sampling (paper, supplement B.3.2 and B.3.3: keep the correct ones, filter
mixed languages, long paragraphs, code blocks and repetition). The first reason that applies, in the order of
`REPLY_REASONS`, is the one counted. What needs the text's words was measured by others
(`generation.grade_completions`).
Not covered: repeats, which only show once a reply has been rewritten (`generation.rejection`).
"""

from typing import TYPE_CHECKING, Literal, get_args

from r1_pipeline.data.screening.quality import longest_paragraph
from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Outcome

if TYPE_CHECKING:
    import polars as pl

ReplyReason = Literal[
    "grader_error",
    "unreferenced",
    "ungradable",
    "truncated",
    "wrong",
    "malformed",
    "mixed_language",
    "repetition",
    "long_paragraph",
    "code_block",
    "too_long",
]
REPLY_REASONS: tuple[ReplyReason, ...] = get_args(ReplyReason)


class ReplyRecipe(Recipe):
    """What counts as readable."""

    min_language_share: float
    """Least share of reasoning words in the problem's language, in [0, 1]."""
    max_repetition: float
    """Largest share of repeated n-grams, in [0, 1]."""
    max_paragraph: int
    """Characters of the longest paragraph of reasoning; a paragraph ends at an empty line."""
    code_blocks: bool
    """Whether reasoning may hold fenced code."""
    max_tokens: int
    """Longest reply, in tokens of its generator."""


def screen_replies(judged: "pl.DataFrame", recipe: ReplyRecipe) -> "pl.DataFrame":
    """`judged` with `reason` (null to keep the reply) and `value` (what was measured, where it was)."""
    import polars as pl

    outcome, reasoning = pl.col("outcome"), pl.col("reasoning")
    paragraph = longest_paragraph(reasoning)
    measures = {
        "mixed_language": (pl.col("language_share"), pl.col("language_share") < recipe.min_language_share),
        "repetition": (pl.col("repetition"), pl.col("repetition") > recipe.max_repetition),
        "long_paragraph": (paragraph, paragraph > recipe.max_paragraph),
        "code_block": (pl.lit(None), reasoning.str.contains("```", literal=True) & (not recipe.code_blocks)),
        "too_long": (pl.col("tokens"), pl.col("tokens") > recipe.max_tokens),
    }
    reason = pl.coalesce(
        pl.when(outcome != Outcome.CORRECT).then(outcome),
        pl.when(~pl.col("well_formed")).then(pl.lit("malformed")),
        *(pl.when(law).then(pl.lit(name)) for name, (_, law) in measures.items()),
    )
    value = pl.coalesce(
        pl.when(pl.col("reason") == name).then(measure.cast(pl.Float64)) for name, (measure, _) in measures.items()
    )
    return judged.with_columns(reason=reason).with_columns(value=value)
