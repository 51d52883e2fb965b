"""Which sampled replies may be trained on: right, well formed, readable and short enough.

Used for the cold start and for rejection sampling (paper, supplement B.3.2 and B.3.3: keep the correct ones, filter
mixed languages and repetition). A decision is keep (None) or a `DropReason`; the first that applies, in the order of
`DROP_REASONS`, is the one counted. Pure functions on numbers that others measured (`generation.judging`).
Not covered: repeats, which only show once a reply has been rewritten (`generation.rejection`).
"""

from typing import Literal, get_args

from r1_pipeline.recipe import Recipe
from r1_pipeline.records import Outcome, Record

DropReason = Literal[
    "grader_error",
    "ungradable",
    "truncated",
    "wrong",
    "malformed",
    "mixed_language",
    "repetition",
    "too_long",
]
DROP_REASONS: tuple[DropReason, ...] = get_args(DropReason)
_BY_OUTCOME: dict[Outcome, DropReason] = {
    Outcome.GRADER_ERROR: "grader_error",
    Outcome.UNGRADABLE: "ungradable",
    Outcome.TRUNCATED: "truncated",
    Outcome.MALFORMED: "malformed",
    Outcome.WRONG: "wrong",
}


class ScreenRecipe(Recipe):
    """What counts as readable."""

    min_language_share: float
    """Least share of reasoning words in the problem's language, in [0, 1]."""
    max_repetition: float
    """Largest share of repeated n-grams, in [0, 1]."""
    max_tokens: int
    """Longest reply, in tokens of its generator."""


class Measured(Record):
    """A sampled reply and all that the screen asks about it."""

    problem_id: str
    text: str
    outcome: Outcome
    well_formed: bool
    language_share: float
    repetition: float
    tokens: int


def screen(recipe: ScreenRecipe, reply: Measured) -> DropReason | None:
    """None to keep `reply`, else the first reason to drop it."""
    if reply.outcome is not Outcome.CORRECT:
        return _BY_OUTCOME[reply.outcome]
    if not reply.well_formed:
        return "malformed"
    if reply.language_share < recipe.min_language_share:
        return "mixed_language"
    if reply.repetition > recipe.max_repetition:
        return "repetition"
    return "too_long" if reply.tokens > recipe.max_tokens else None
