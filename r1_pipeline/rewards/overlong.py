"""The soft over-length penalty: a reply close to the token limit loses a part of 1, and one beyond it loses 1.

It is DAPO's (Yu et al. 2025, equation 13): with the limit `max_tokens` and a margin before it, the penalty is 0 up to
`max_tokens - margin`, then falls linearly to -1 at `max_tokens`, and stays -1 beyond. R1 has no such term; a policy
whose replies grow towards the limit learns from it to stop in time instead of being cut off.
"""

from typing import Any

from r1_pipeline.errors import RecipeError
from r1_pipeline.recipe import Recipe


class Overlong(Recipe):
    """The weight and shape of the over-length penalty."""

    weight: float
    """The weight of the penalty, which is in [-1, 0]."""
    max_tokens: int
    """L_max in DAPO: the length from which the penalty is -1, in tokens; at most the rollout limit."""
    margin: int
    """L_cache in DAPO: the number of tokens before `max_tokens` at which the penalty begins."""

    def model_post_init(self, _: Any) -> None:
        if not 0 < self.margin <= self.max_tokens:
            raise RecipeError(f"margin is {self.margin}, must be in 1..{self.max_tokens} (max_tokens)")


def overlong_penalty(recipe: Overlong, tokens: int) -> float:
    """Returns the penalty, in [-1, 0], for a reply of `tokens` tokens, including its end-of-sequence token."""
    return -min(1.0, max(0.0, (tokens - recipe.max_tokens + recipe.margin) / recipe.margin))
