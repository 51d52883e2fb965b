"""A row is about a held-out problem by its exact question for merging and the gate, by any typesetting of it for the
audit."""

import polars as pl

from r1_pipeline.data.corpus import heldout_problem
from r1_pipeline.data.screening.normalization import plain
from r1_pipeline.records import Problem


def problem(name: str, question: str) -> Problem:
    return Problem(
        id=name, question=question, answer="1", tests=(), domain="math", language="en", source="t#1", licence="MIT"
    )


HELDOUT = [problem("a", "What is $x+1$?"), problem("b", "Say 7.")]
ROWS = pl.DataFrame(
    {
        "problem_id": ["a", "z", "z", "z", "b"],
        "question": ["another", "What is $x+1$?", "what is  x + 1", "What is x + 2?", "What is $x+1$?"],
    }
)


def test_the_id_counts_first_then_the_very_question() -> None:
    """The third row has another typesetting, the fourth another question."""
    assert ROWS.select(heldout_problem(HELDOUT)).to_series().to_list() == ["a", "a", None, None, "b"]


def test_in_any_typesetting_all_of_these_are_found_and_more() -> None:
    assert ROWS.select(heldout_problem(HELDOUT, plain)).to_series().to_list() == ["a", "a", "a", None, "b"]


def test_nothing_held_out_finds_nothing() -> None:
    assert ROWS.select(heldout_problem([]), other=heldout_problem([], plain)).null_count().row(0) == (5, 5)
