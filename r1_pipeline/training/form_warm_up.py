"""Form warm-up: a base is tuned on its prompt form and nothing else before it is reinforced.

Every row asks for a number to be said back, in a well-formed reply; no row holds the answer to a problem of the graph.
Not covered: the forms (`data.templates`), the tuning itself (`sft`).
"""

import random

from r1_pipeline.data.templates import ANSWER_OPEN, FORMS, TemplateName, render, solution, summarize
from r1_pipeline.training.sft import Row, SftRecipe

SOURCE = "form_warm_up@1"
"""The source of every row; the version changes with the rows."""
LARGEST = 9999


class WarmUpRecipe(SftRecipe):
    """The settings of tuning a base on a prompt form alone."""

    rows: int
    """The number of rows."""


def form_rows(template: TemplateName, count: int, seed: int) -> list[Row]:
    """Returns `count` rows in this form; their numbers follow from the seed."""
    draw = random.Random(seed)
    return [_row(template, str(draw.randint(0, LARGEST))) for _ in range(count)]


def _row(template: TemplateName, number: str) -> Row:
    final = number if ANSWER_OPEN in FORMS[template].tags else summarize("math", number)
    reply = solution(template, f"I am asked to say {number}.", final)
    return Row(render(template, f"Say {number}."), reply, SOURCE)
