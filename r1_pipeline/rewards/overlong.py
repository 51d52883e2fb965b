"""Soft over-length: replies close to the limit of their tokens lose a little, those beyond it lose one.

DAPO (Yu et al. 2025, equation 13): with limit `max_tokens` and a margin before it, 0 up to `max_tokens - margin`, then
falling linearly to -1 at `max_tokens`, and -1 beyond. R1 has no such term; a run whose replies grow into the limit
learns to stop in time instead of being cut off.
"""

from typing import Any

from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import Recipe


class Overlong(Recipe):
    """Weight and course of the penalty."""

    weight: float
    """Of the penalty in [-1, 0]."""
    max_tokens: int
    """L_max: from here on the whole penalty; the most that a rollout may sample, or less."""
    margin: int
    """L_cache: so many tokens before that it begins."""

    def model_post_init(self, _: Any) -> None:
        if not 0 < self.margin <= self.max_tokens:
            raise RecipeError(f"margin is {self.margin}, must lie in 1..{self.max_tokens} (max_tokens)")


def overlong_penalty(recipe: Overlong, tokens: int) -> float:
    """In [-1, 0] for a reply of so many tokens, its end of sequence included."""
    return -min(1.0, max(0.0, (tokens - recipe.max_tokens + recipe.margin) / recipe.margin))
