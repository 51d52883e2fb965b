"""The reply screen selects the sampled replies that may be trained on: right, well formed, readable and short enough.

It serves the cold start and rejection sampling (paper, supplement B.3.2 and B.3.3: keep the correct ones, filter mixed
languages, long paragraphs, code blocks and repetition). The first reason that applies, in the order of `REPLY_REASONS`,
is counted. Measures that need the words of a text come from `generation.grade_completions`. Not covered: duplicates,
which are found only after a reply has been rewritten (`generation.rejection`).
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
    """The limits of a readable reply."""

    min_language_share: float
    """The minimum share of reasoning words in the problem's language, in [0, 1]."""
    max_repetition: float
    """The maximum share of repeated n-grams, in [0, 1]."""
    max_paragraph: int
    """The maximum number of characters of a paragraph of reasoning; a paragraph ends at an empty line."""
    code_blocks: bool
    """Reasoning may contain fenced code if true."""
    max_tokens: int
    """The maximum length of a reply, in tokens of its generator."""


def screen_replies(judged: "pl.DataFrame", recipe: ReplyRecipe) -> "pl.DataFrame":
    """Returns `judged` with `reason` (null to keep the reply) and `value` (what was measured, if anything)."""
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
